"""Every picture that is drawn with matplotlib, and sheets of faces."""
