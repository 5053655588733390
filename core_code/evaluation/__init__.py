"""Judging trained nets: predictions, tables, pictures, a probe of frozen features."""
