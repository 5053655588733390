"""How many mutants of each family are tried: by default, and in all. `python tests/fuzz/plan.py` adds them up."""

from typing import NamedTuple


class Share(NamedTuple):
    quick: int
    total: int


PLAN = {
    "csv": Share(38, 320),
    "parquet": Share(24, 240),
    "png": Share(30, 360),
    "shard": Share(17, 180),
    "image_folder": Share(30, 280),
    "photograph": Share(14, 140),
    "config": Share(33, 250),
    "manifest": Share(27, 250),
    "half_made": Share(13, 110),
    "log": Share(24, 600),
    "drawn_log": Share(2, 24),
    "cache": Share(12, 80),
    "weights": Share(16, 200),
    "checkpoint": Share(14, 190),
    "byol": Share(8, 90),
    "history": Share(8, 90),
    "resumed": Share(20, 250),
    "learning": Share(14, 170),
    "generator": Share(14, 190),
    "published": Share(4, 90),
    "study": Share(23, 240),
    "drawn_study": Share(2, 30),
}

if __name__ == "__main__":
    quick, total = (sum(counts) for counts in zip(*PLAN.values(), strict=True))
    print(f"{len(PLAN)} families: {quick} mutants by default, {total} in all")
