"""Many processes that share one piece of work."""
