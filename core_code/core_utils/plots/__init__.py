"""Every plot of matplotlib, and sheets of faces."""
