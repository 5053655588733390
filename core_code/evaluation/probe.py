"""The accuracy of a linear classifier on a net's frozen features, before and after BYOL pre-training, which judges that
in minutes, without a fine-tune: `python -m core_code.evaluate --probe byol`."""

import copy
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from core_code.core_utils.devices import autocast
from core_code.core_utils.errors import InputError
from core_code.core_utils.files import write_json
from core_code.core_utils.tables import as_markdown, write_csv
from core_code.core_utils.transforms import evaluation_view
from core_code.datasets.fer2013 import FER2013
from core_code.datasets.loader import FaceBatches
from core_code.evaluation.settings import EvaluationSettings
from core_code.models.emotion_net import EmotionNet
from core_code.models.smallest_views import check_views
from core_code.training.inference import check_finite, load_byol, predict

# The features of a random net whose batch norms have initial statistics are nearly linear mixtures of pixels, which a
# linear classifier does well on. With norms measured on faces, as a trained net's are, it is the fair comparison.
BEFORE, MEASURED, AFTER = "before BYOL", "before, norms measured", "after BYOL"
EVALUATED = ("val", "test")
Accuracies = dict[str, float]  # top-1 in [0,1] by split
STRENGTHS = (0.01, 0.001, 0.1, 1.0)  # scikit-learn's C, the inverse of the L2 penalty; of equals the first is taken
HELD_OUT_EVERY = 5
Start = tuple[str, int, int]  # what BYOL started from: the weights and the seed; and the side of its views


def probe_experiments(settings: EvaluationSettings) -> None:
    """Probe the BYOL checkpoints of the experiments; print the table, write probe_byol_<net>.json and .csv.

    Raises InputError.
    """
    results = probe_all(settings)
    table = pd.DataFrame(
        {"experiment": experiment, "net": which, **accuracies}
        for experiment, nets in results.items()
        for which, accuracies in nets.items()
    )
    print("\ntop-1 of a linear classifier (%)\n")
    print(as_markdown(table.assign(**{split: 100 * table[split] for split in EVALUATED}), decimals=2))
    paths = [settings.output(f"probe_byol_{settings.net_name}", ending) for ending in ("json", "csv")]
    protocol = {"net": settings.net_name, "checkpoint": settings.checkpoint, "dataset": settings.dataset}
    write_json(paths[0], {**protocol, "training_faces": settings.max_faces or "all", "top1": results})
    write_csv(paths[1], table)
    print(f"\nfigures: {', '.join(map(str, paths))}")


def probe_all(settings: EvaluationSettings) -> dict[str, dict[str, Accuracies]]:
    """Accuracies by experiment and net (before and after BYOL). Raises InputError.

    A net that several experiments started from is fitted once.
    """
    folder = settings.output_root / "checkpoints"
    compared = {each: nets_to_compare(folder, settings.net_name, each, settings.checkpoint)
                for each in settings.exp_names}  # fmt: skip
    batches = load_batches(settings)
    at_once = min(settings.batch_size, len(batches["train"].labels))
    results: dict[str, dict[str, Accuracies]] = {}
    known: dict[tuple, Accuracies] = {}
    for experiment, (nets, (weights, seed, image_size)) in compared.items():
        size = settings.image_size or image_size
        results[experiment] = {}
        for which, net in nets.items():
            key = (which, experiment) if which == AFTER else (which, weights, seed, size)
            if key not in known:
                check_views(net, size, at_once if which == MEASURED else None)
                net.to(settings.device)
                if which == MEASURED:
                    bar = tqdm(batches["train"], desc="measuring the norms", unit=" batches", leave=False, delay=2)
                    with autocast(settings.device, settings.dtype):
                        update_bn((evaluation_view(faces, size, settings.dtype) for faces, _, _ in bar
                                   if len(faces) > 1 or at_once == 1), net)  # fmt: skip
                known[key] = probe(net, batches, size, settings.dtype, f"{experiment}, {which}")
            results[experiment][which] = known[key]
    return results


def load_batches(settings: EvaluationSettings) -> dict[str, FaceBatches]:
    """The faces of train, val and test. Raises InputError, also for training faces that are too few to fit."""
    most = {"val": None, "test": None, "train": settings.max_faces}
    data = {split: FER2013(settings.data_root, split, settings.dataset, count) for split, count in most.items()}
    labels = data["train"].labels
    if len(labels) < HELD_OUT_EVERY or len(labels[~held_out(len(labels))].unique()) < 2:
        where = "--dataset sample" if settings.dataset == "sample" else settings.data_root
        raise InputError(f"{where}: {len(labels)} training faces, expected {HELD_OUT_EVERY} or more of "
                         f"two emotions or more")  # fmt: skip
    return {split: FaceBatches(faces, settings.batch_size, settings.device) for split, faces in data.items()}


def nets_to_compare(folder: Path, name: str, experiment: str, kind: str) -> tuple[dict[str, EmotionNet], Start]:
    """The net that BYOL started from and the one in its checkpoint, both without head; and what it started from.

    Random weights that BYOL started from are made again from its seed, and that net is there twice: the batch norms of
    one are to be measured. Raises InputError.
    """
    state, path = load_byol(folder, name, experiment, kind, used=("seed", "settings"))
    settings = state["settings"]
    if not {"weights", "image_size"} <= settings.keys():
        raise InputError(f"{path}: its settings lack the weights that it started from, or the views' size")
    torch.manual_seed(state["seed"])
    before, after = EmotionNet(name), EmotionNet(name)
    try:
        before.load_backbone(settings["weights"])
    except InputError as error:
        raise InputError(f"{path}: what it started from: {error}") from error
    after.load_backbone_state(state, str(path))
    nets = {BEFORE: before.drop_head()}
    if settings["weights"] == "none":
        nets[MEASURED] = copy.deepcopy(before)
    return {**nets, AFTER: after.drop_head()}, (settings["weights"], state["seed"], settings["image_size"])


def probe(
    net: EmotionNet, batches: Mapping[str, FaceBatches], image_size: int, dtype: torch.dtype, title: str
) -> Accuracies:
    """The accuracies of a classifier fitted to the features, [N,F], of train."""
    data = {}
    for split in ("train", *EVALUATED):
        found = predict(net, batches[split], image_size, dtype, f"{title}, {split}")
        data[split] = check_finite(found[0], f"{title}, {split}").double().numpy(), found[1].numpy()
    features, labels = data["train"]
    print(f"{title}: fitting {features.shape[1]} features of {len(features)} faces", flush=True)
    classifier = linear_classifier(features, labels)
    return {split: float(classifier.score(*data[split])) for split in EVALUATED}


def linear_classifier(features: np.ndarray, labels: np.ndarray) -> GridSearchCV:
    """Multinomial logistic regression on features float [N,F] of mean 0 and variance 1, fitted to all of them.

    Its L2 penalty is chosen for each net on every fifth face, held out from that choice's fits: features that differ in
    few directions want less of it than those that differ in many.
    """
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    split = PredefinedSplit(held_out(len(labels)).astype(int) - 1)  # -1: never held out
    return GridSearchCV(pipeline, {"logisticregression__C": STRENGTHS}, cv=split).fit(features, labels)


def held_out(count: int) -> np.ndarray:
    """Which of so many faces the penalty is chosen on: bool [N]."""
    return np.arange(count) % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
