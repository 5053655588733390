"""The pictures of a study, each by the function that the single commands draw it with."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core_code.core_utils.checkpoints import BEST, FINAL
from core_code.core_utils.devices import pick_hardware
from core_code.core_utils.errors import InputError
from core_code.core_utils.flags import NO_TTA
from core_code.core_utils.plots.training import plot_accuracies, plot_byol_losses
from core_code.evaluation import report
from core_code.evaluation.tsne import draw_maps, faces_to_map
from core_code.experiments.plan import Step, checkpoint_files, image_folders, run_name
from core_code.experiments.results import AllPredictions, evaluation_settings, trainings
from core_code.training.inference import load_trained


def draw_pictures(steps: Sequence[Step], readings: AllPredictions, args: argparse.Namespace) -> list[dict[str, str]]:
    """Draw all pictures of the first seed's nets into plots_output; returns what there is to show, in order.

    Each has `file` (a name in plots_output), `kind`, `net` and `experiment` (the run, vote or split in its name).
    """
    plots = args.output_root / "plots_output"
    shown = sheets(plots, args.dataset)
    for net in args.nets:
        seed = next((seed for seed in args.seeds if (net, seed) in readings), None)
        if seed is None:
            continue
        for step in [step for step in steps if step.complete and (step.net, step.seed) == (net, seed)]:
            shown += curves(step, plots, args)
        named = {
            split: read._replace(logits={run_name(name, seed): values for name, values in read.logits.items()}, tta={})
            for split, read in readings[net, seed].items()
        }
        settings = evaluation_settings(net, args, *pick_hardware(args.device, args.precision))
        drawn = report.draw_pictures(report.make_report(named, NO_TTA), named, settings)
        for kind, paths in drawn.items():
            shown += [entry(path, kind, net, path.stem.split(f"_{net}_", 1)[1]) for path in paths]
        shown += maps(steps, net, seed, args)
    return shown


def entry(path: Path, kind: str, net: str = "", experiment: str = "") -> dict[str, str]:
    """What the page needs to know of a picture."""
    return {"file": path.name, "kind": kind, "net": net, "experiment": experiment}


def sheets(plots: Path, dataset: str) -> list[dict[str, str]]:
    """What create_augmentations.py has drawn of the images, where it has."""
    kinds = {"distribution": "label_distribution", "augmentations": "augmentation_examples",
             "expansion": "expansion_examples"}  # fmt: skip
    paths = {kind: plots / f"{name}_{dataset}.png" for kind, name in kinds.items()}
    return [entry(path, kind) for kind, path in paths.items() if path.exists()]


def curves(step: Step, plots: Path, args: argparse.Namespace) -> list[dict[str, str]]:
    """Training and validation accuracy of a run in one plot, or the losses of a pre-training."""
    history = checkpoint_files(step, args.output_root).load(FINAL, "history")["history"]
    name = run_name(step.experiment, step.seed)
    if step.kind == "byol":
        return [entry(plot_byol_losses(history, plots, step.net, name), "byol", step.net, name)]
    *_, both = plot_accuracies(history, plots, step.net, name)
    return [entry(both, "curves", step.net, name)]


def maps(steps: Sequence[Step], net: str, seed: int, args: argparse.Namespace) -> list[dict[str, str]]:
    """t-SNE of the baseline on real faces of val, and of the augmented net on augmented faces."""
    device, dtype = pick_hardware(args.device, args.precision)
    shown = []
    for step in trainings(steps, net, seed):
        wanted = {"baseline": "val", "augmented": "augmentations"}.get(step.experiment)
        if wanted is None:
            continue
        name = run_name(step.experiment, seed)
        trained = load_trained(checkpoint_files(step, args.output_root), BEST)
        trained.net.to(device)
        settings = replace(
            evaluation_settings(net, args, device, dtype), tsne_on=wanted,
            augmentations_folder=image_folders(args)["augmentations"],
        )  # fmt: skip
        try:
            _, paths = draw_maps(settings, {name: trained}, faces_to_map(settings))
        except InputError as error:  # too few faces for a map, or features that are not finite
            print(f"no t-SNE of {name}: {error}")
            continue
        shown += [entry(path, "tsne", net, path.stem.split(f"_{net}_", 1)[1]) for path in paths]
    return shown
