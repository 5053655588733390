"""A study's results as core_code.experiments would collect them, of random logits instead of trained nets."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image

from core_code.core_utils.emotions import EMOTIONS
from core_code.datasets.labelled_faces import LabelledFaces
from core_code.evaluation.predictions import Predictions
from core_code.experiments.__main__ import parse_arguments, settings_of
from core_code.experiments.arms import CLASSIC
from core_code.experiments.comparisons import compare_all
from core_code.experiments.models import described
from core_code.experiments.predicted import with_derived
from core_code.experiments.presets import BEST_PUBLISHED, PUBLISHED
from core_code.experiments.results import all_scores

NETS = ("resnet18", "densenet201")
SEEDS = (1, 2, 3)
SPLITS = {"val": 512, "test": 512, "test_not_in_training": 470}
SHARES = torch.tensor([467, 56, 496, 895, 653, 415, 607]).double()  # of the emotions in PublicTest
ERROR = 'exit status 2: data/<fer2013>/"icml" & co.csv, row 7: 2303 pixels <script>alert(1)</script>, expected 2304'
FAILED = "densenet201_byol_seed3"
KINDS = (
    "curves",
    "byol",
    "confusion",
    "reliability",
    "tsne",
    "most_wrong",
    "distribution",
    "augmentations",
    "expansion",
)
MISSING = "most_wrong_resnet18_gone.png"


def synthetic_predictions(faces: int, random: torch.Generator, names: list[str], logits_of: int = 2) -> Predictions:
    """Logits of nets that find the same faces hard; about 70 % are right."""
    labels = torch.multinomial(SHARES, faces, replacement=True, generator=random)
    common = torch.randn(faces, 7, generator=random) + 2.2 * torch.nn.functional.one_hot(labels, 7)
    found = [{name: common + 0.5 * torch.randn(faces, 7, generator=random) for name in names} for _ in range(logits_of)]
    return Predictions(torch.zeros(faces, 1, 1, dtype=torch.uint8), labels, *found)


def synthetic_results(splits: dict[str, int] = SPLITS) -> dict[str, Any]:
    """Two nets, five experiments, three seeds, one of the trainings failed; without pictures."""
    random = torch.Generator().manual_seed(1)
    predictions = {}
    for net in NETS:
        for seed in SEEDS:
            names = [name for name in CLASSIC if f"{net}_{name}_seed{seed}" != FAILED]
            predictions[net, 1.0, seed] = {
                split: synthetic_predictions(faces, random, names) for split, faces in splits.items()
            }
    flags = ["--preset", "two_cores", "--nets", *NETS, "--seeds", *map(str, SEEDS), "--experiments", *CLASSIC]
    study = settings_of(parse_arguments(flags))
    labels = torch.arange(7).repeat_interleave(SHARES.long())
    train = LabelledFaces(torch.zeros(len(labels), 1, 1, dtype=torch.uint8), labels)
    predictions = with_derived(predictions, train, study)
    protocol = {"epochs": 30, "image_size": 64, "weights": "none", "num_augments": 4, "seeds": list(SEEDS),
                "byol_epochs": 15, "byol_image_size": 48, "equal_faces": True, "training_faces": 28709,
                "max_faces": None, "whole_epochs": None, "training_flags": [], "recipe": "scratch"}  # fmt: skip
    trainings = [training_run(net, name, seed) for net in NETS for seed in SEEDS for name in CLASSIC]
    compared = compare_all(predictions, predictions, torch.empty(0, 1, 1, dtype=torch.uint8), study)
    return {
        "format": 3, "dataset": "fer2013", "preset": "two_cores", "protocol": protocol, "emotions": list(EMOTIONS),
        "experiments": described(CLASSIC), "generator": "", "splits": dict(splits), "runs": [image_run(), *trainings],
        "scores": list(all_scores(predictions, study)), "comparisons": compared,
        "published": PUBLISHED, "best_published": BEST_PUBLISHED,
    }  # fmt: skip


def image_run() -> dict[str, Any]:
    """The step of the augmentations, not run yet."""
    command = "python create_augmentations.py --dest_folder 'data/of <me> & you' --num_augments 4"
    return {"name": "augmentations", "kind": "images", "net": "", "experiment": "", "seed": 0, "command": command,
            "state": "missing", "error": "", "hardware": "", "seconds": None}  # fmt: skip


def training_run(net: str, experiment: str, seed: int) -> dict[str, Any]:
    """A training, complete but for one."""
    name = f"{net}_{experiment}_seed{seed}"
    run = {
        "name": name, "kind": "training", "net": net, "experiment": experiment, "seed": seed,
        "command": f"python train_model.py --net_name {net} --exp_name {experiment}_seed{seed} --seed {seed} --weights "
        "none --resume True --dataset fer2013 --data_root data/fer2013 --device auto --precision auto --output_root . "
        "--epochs 30 --image_size 64 --emotion_transform_prob 0",
        "state": "complete", "error": "", "hardware": "2 cores of a processor (amx_bf16)", "seconds": 3661.5,
    }  # fmt: skip
    if name == FAILED:
        return run | {"state": "failed", "error": ERROR}
    history = [{"epoch": 1, "validation_accuracy": 0.5, "seconds": 3661.5}]
    return run | {"faces": 861270, "faces_per_second": 235.2, "best_epoch": 10 + seed, "history": history}


def synthetic_pictures(plots: Path) -> list[dict[str, str]]:
    """A picture of each kind in the folder `plots`, and one that is not there."""
    plots.mkdir(parents=True, exist_ok=True)
    entries = []
    for place, kind in enumerate(KINDS):
        file = f"{kind}_resnet18_<baseline>_seed1.png"
        Image.new("L", (900, 300), 20 * place).save(plots / file)
        entries.append({"file": file, "kind": kind, "net": "resnet18", "experiment": "<baseline>_seed1"})
    return [*entries, {"file": MISSING, "kind": "most_wrong", "net": "resnet18", "experiment": "gone"}]
