"""The whole study from one command: `python -m core_code.experiments`."""
