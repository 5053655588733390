"""How much a linear classifier reads out of a net's frozen features, before and after BYOL pre-training.

    python -m core_code.evaluate --probe byol --net_name resnet18 --exp_names Regular

A judgement of pre-training in minutes, without a fine-tune.
"""

import argparse
import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from tqdm import tqdm

from core_code.core_utils.devices import autocast
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import write_json
from core_code.core_utils.transforms import evaluation_view
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.models.emotion_net import EmotionNet
from core_code.training.inference import load_byol, predict
from core_code.training.runs import pick_hardware

# An untrained net whose batch norms have never seen a face passes on nearly linear mixtures of pixels, which a linear
# classifier reads well; measured on faces, as a trained net's are, its norms make it the random net that it is.
BEFORE, MEASURED, AFTER = "before BYOL", "before, norms measured", "after BYOL"
SPLITS = ("val", "test")
Accuracies = dict[str, dict[str, float]]

STRENGTHS = (0.01, 0.001, 0.1, 1.0)  # scikit-learn's C, the higher the less held back; of equals the first is taken
HELD_OUT_EVERY = 5


def linear_classifier(features: np.ndarray, labels: np.ndarray, what: str = "fitting") -> Pipeline:
    """Multinomial logistic regression on features float [N,F] of mean 0 and variance 1, fitted to all of them.

    How far weights are held back is chosen for each net, by every fifth face, which the choice is not fitted to:
    features that differ in few directions want less of it than those that differ in many.
    """
    held = held_out(len(labels))
    bar = tqdm(total=len(STRENGTHS) + 1, desc=what, unit=" fits", leave=False, delay=2)

    def right(c: float) -> float:
        share = fitted(c, features[~held], labels[~held]).score(features[held], labels[held])
        bar.update()
        return share

    with bar:
        return fitted(max(STRENGTHS, key=right), features, labels)


def held_out(count: int) -> np.ndarray:
    """Which of so many faces the strength is chosen by: bool [N]."""
    return np.arange(count) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1


def fitted(c: float, features: np.ndarray, labels: np.ndarray) -> Pipeline:
    """The classifier of one strength."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=500)).fit(features, labels)


def probe_all(args: argparse.Namespace) -> dict[str, Accuracies]:
    """Accuracies in [0,1] by experiment, net (before and after BYOL) and split. Raises InputError.

    args: the flags of core_code.evaluate.
    """
    device, dtype = pick_hardware(args)
    folder = args.output_root / "checkpoints"
    nets = {name: nets_to_compare(folder, args.net_name, name, args.checkpoint) for name in args.exp_names}
    data = {phase: FER2013(args.data_root, phase, args.dataset) for phase in SPLITS}
    data["train"] = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    labels = data["train"].labels
    if len(labels) < HELD_OUT_EVERY or len(labels[~held_out(len(labels))].unique()) < 2:
        raise InputError(
            f"{args.data_root}: {len(labels)} training faces, expected {HELD_OUT_EVERY} or more of two emotions or more"
        )
    batches = {phase: FaceBatches(faces, args.batch_size, device) for phase, faces in data.items()}
    found: dict[str, Accuracies] = {}
    common: dict[tuple, dict[str, float]] = {}  # of the nets that several experiments started from
    for experiment, (several, start) in nets.items():
        start = start._replace(image_size=args.image_size or start.image_size)
        found[experiment] = {}
        for which, net in several.items():
            figures = common.get((which, start))
            if figures is None:
                if which == MEASURED:
                    measure_norms(net.to(device), batches["train"], start.image_size, dtype)
                figures = probe(net.to(device), batches, start.image_size, dtype, f"{experiment}, {which}")
            if which != AFTER:
                common[which, start] = figures
            found[experiment][which] = figures
    return found


class Start(NamedTuple):
    """What decides the net that BYOL started from, and how large it sees faces."""

    weights: str
    seed: int
    image_size: int


def nets_to_compare(folder: Path, name: str, experiment: str, kind: str) -> tuple[dict[str, EmotionNet], Start]:
    """The net that BYOL started from and the one in its checkpoint, both giving features; and what it started from.

    Random weights that BYOL started from are drawn again from its seed, and that net is there twice: its batch norms
    are to be measured once. Raises InputError.
    """
    state, path = load_byol(folder, name, experiment, kind, used=("seed", "settings"))
    settings = state["settings"]
    if not {"weights", "image_size"} <= settings.keys():
        raise InputError(f"{path}: its settings do not say what it started from, or the views' size")
    torch.manual_seed(state["seed"])
    before = EmotionNet(name)
    try:
        before.load_backbone(settings["weights"])
    except InputError as error:
        raise InputError(f"{path}: what it started from: {error}") from error
    after = EmotionNet(name)
    after.load_backbone_state(state, str(path))
    several = {BEFORE: before.drop_head()}
    if settings["weights"] == "none":
        several[MEASURED] = copy.deepcopy(before)
    return {**several, AFTER: after.drop_head()}, Start(settings["weights"], state["seed"], settings["image_size"])


@torch.no_grad()
def measure_norms(net: EmotionNet, batches: FaceBatches, image_size: int, dtype: torch.dtype) -> None:
    """Give the batch norms the statistics of these faces, the mean over their batches; nothing else changes."""
    norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    net.train()
    bar = tqdm(total=len(batches.dataset), desc="measuring the norms", unit=" faces", leave=False, delay=2)
    with bar, autocast(batches.device, dtype):
        for faces, _, _ in batches:
            net(evaluation_view(faces, image_size, dtype))
            bar.update(len(faces))
    net.eval()


def probe(
    net: EmotionNet, batches: dict[str, FaceBatches], image_size: int, dtype: torch.dtype, what: str
) -> dict[str, float]:
    """Top-1 accuracies on val and test of a classifier fitted to the features of train."""
    features, labels = features_of(net, batches["train"], image_size, dtype, f"{what}, train")
    print(f"{what}: fitting {features.shape[1]} features of {len(features)} faces", flush=True)
    classifier = linear_classifier(features, labels, f"{what}, fitting")
    return {
        split: float(classifier.score(*features_of(net, batches[split], image_size, dtype, f"{what}, {split}")))
        for split in SPLITS
    }


def features_of(
    net: EmotionNet, batches: FaceBatches, image_size: int, dtype: torch.dtype, what: str
) -> tuple[np.ndarray, np.ndarray]:
    """Features float64 [N,F] of evaluation views and labels int64 [N]."""
    features, labels = predict(net, batches, image_size, dtype, what)
    return features.double().numpy(), labels.numpy()


def report(args: argparse.Namespace, results: dict[str, Accuracies]) -> None:
    """Print the table and write plots_output/probe_byol_<net>.json."""
    width = max(10, *(len(name) for name in results)) + 2
    print(f"\n{'top-1 of a linear classifier':<{width + 24}}{'val':>8}{'test':>8}")
    for experiment, nets in results.items():
        for which, accuracies in nets.items():
            figures = "".join(f"{100 * accuracies[split]:>8.2f}" for split in SPLITS)
            print(f"{experiment:<{width}}{which:<24}{figures}")
    path = args.output_root / "plots_output" / f"probe_byol_{args.net_name}.json"
    settings = {"net": args.net_name, "checkpoint": args.checkpoint, "dataset": args.dataset}
    write_json(path, {**settings, "training_faces": args.max_faces or "all", "top1": results})
    print(f"\nfigures: {path}")
