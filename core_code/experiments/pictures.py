"""The pictures of a study, each by the function that the single commands draw it with."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core_code.core_utils.checkpoints import BEST, FINAL
from core_code.core_utils.errors import InputError
from core_code.core_utils.flags import NO_TTA
from core_code.core_utils.plots.training import plot_accuracies, plot_byol_losses
from core_code.evaluation import report
from core_code.evaluation.tsne import draw_maps, faces_to_map
from core_code.experiments.plan import Step, checkpoint_files, image_folders, run_name
from core_code.experiments.presets import StudySettings
from core_code.experiments.results import AllPredictions, evaluation_settings, trainings
from core_code.training.inference import load_trained

MAPPED = {"baseline": "val", "augmented": "augmentations"}  # of which faces a net's features are mapped
SHEETS = {"distribution": "label_distribution", "augmentations": "augmentation_examples",
          "expansion": "expansion_examples"}  # fmt: skip
Entry = dict[str, str]


def draw_pictures(steps: Sequence[Step], predictions: AllPredictions, study: StudySettings) -> list[Entry]:
    """Draw all pictures of the first seed's nets into plots_output; returns what there is to show, in order.

    Each has `file` (a name in plots_output), `kind`, `net` and `experiment` (the run, vote or split in its name). Those
    of the images are create_augmentations.py's.
    """
    sheets = {kind: study.plots / f"{name}_{study.dataset}.png" for kind, name in SHEETS.items()}
    entries = [entry(path, kind) for kind, path in sheets.items() if path.exists()]
    for net in study.nets:
        seed = next((seed for seed in study.seeds if (net, seed) in predictions), None)
        if seed is None:
            continue
        nets_steps = [step for step in steps if step.complete and (step.net, step.seed) == (net, seed)]
        entries += [draw_curves(step, study) for step in nets_steps]
        named = {
            split: found._replace(logits={run_name(name, seed): each for name, each in found.logits.items()}, tta={})
            for split, found in predictions[net, seed].items()
        }
        drawn = report.draw_pictures(report.make_report(named, NO_TTA), named, evaluation_settings(study, net))
        entries += [entry(path, kind, net) for kind, paths in drawn.items() for path in paths]
        for step in trainings(steps, net, seed):
            if step.experiment in MAPPED:
                entries += draw_map(step, study)
    return entries


def entry(path: Path, kind: str, net: str = "") -> Entry:
    """What the page shows of a picture <kind>_<net>_<experiment>.png."""
    experiment = path.stem.partition(f"_{net}_")[2] if net else ""
    return {"file": path.name, "kind": kind, "net": net, "experiment": experiment}


def draw_curves(step: Step, study: StudySettings) -> Entry:
    """Training and validation accuracy of a run in one plot, or the losses of a pre-training."""
    history = checkpoint_files(step, study.output_root).load(FINAL, "history")["history"]
    name = run_name(step.experiment, step.seed)
    if step.kind == "byol":
        return entry(plot_byol_losses(history, study.plots, step.net, name), "byol", step.net)
    *_, both = plot_accuracies(history, study.plots, step.net, name)
    return entry(both, "curves", step.net)


def draw_map(step: Step, study: StudySettings) -> list[Entry]:
    """t-SNE of a net's features: the baseline's of real faces of val, the augmented net's of augmentations."""
    settings = replace(
        evaluation_settings(study, step.net), tsne_on=MAPPED[step.experiment],
        augmentations_folder=image_folders(study)["augmentations"],
    )  # fmt: skip
    trained = load_trained(checkpoint_files(step, study.output_root), BEST, settings.device)
    name = run_name(step.experiment, step.seed)
    try:
        _, paths = draw_maps(settings, {name: trained}, faces_to_map(settings))
    except InputError as error:  # too few faces for a map, or features that are not finite
        print(f"no t-SNE of {name}: {error}")
        return []
    return [entry(path, "tsne", step.net) for path in paths]
