"""How many mutants of each family are tried: by default, and in all."""

from typing import NamedTuple


class Share(NamedTuple):
    quick: int
    total: int


PLAN = {
    "csv": Share(38, 320),
    "png": Share(30, 360),
    "image_folder": Share(27, 260),
    "photograph": Share(13, 130),
    "config": Share(33, 250),
    "manifest": Share(27, 250),
    "half_made": Share(13, 110),
    "log": Share(24, 240),
    "drawn_log": Share(2, 24),
    "cache": Share(12, 80),
}
