"""The pictures of a study, each by the function that the single commands draw it with."""

from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from core_code.core_utils.checkpoints import BEST, FINAL
from core_code.core_utils.choices import NO_TTA, VOTES
from core_code.core_utils.errors import InputError
from core_code.core_utils.plots.arms import Difference, plot_accuracy_by_share, plot_differences
from core_code.core_utils.plots.training import plot_accuracies, plot_byol_losses
from core_code.evaluation import report
from core_code.evaluation.tsne import draw_maps, faces_to_map
from core_code.experiments.arms import ARMS, AUGMENTATIONS, EXPANSION
from core_code.experiments.comparisons import BASELINE, LAST_EPOCH
from core_code.experiments.models import models_of
from core_code.experiments.plan import Step, checkpoint_files, image_folders, part_name, run_name
from core_code.experiments.predicted import AllPredictions, evaluation_settings, keys_of, trainings
from core_code.experiments.presets import StudySettings
from core_code.experiments.tables import SIGNIFICANT, part_title
from core_code.training.inference import load_trained

TRAINING_FACES = 28_709  # of FER2013
MAPPED = {"baseline": "val", "augmented": "augmentations"}  # of which faces a net's features are mapped
Entry = dict[str, str]


def draw_pictures(
    steps: Sequence[Step], predictions: AllPredictions, results: dict[str, Any], study: StudySettings
) -> list[Entry]:  # fmt: skip
    """Draw all pictures into plots_output; returns what there is to show, in order.

    Those of single nets and of generated images are of the largest part of the faces, with the first seed. Each has
    `file` (a name in plots_output), `kind`, `net` and `experiment` (the run, vote or split in its name). Those of the
    images are create_augmentations.py's. `results`: see results.collect.
    """
    entries = draw_arms(results, study) + sheets_of_images(study)
    for net in study.nets:
        keys = [key for key in keys_of(study) if key[0] == net and key in predictions]
        if not keys:
            continue
        key = max(keys, key=lambda key: key[1])  # of equal ones the first
        _, share, seed = key
        nets_steps = [step for step in steps if step.complete and (step.net, step.share, step.seed) == key]
        entries += [draw_curves(step, study) for step in nets_steps]
        named = {
            split: found._replace(
                logits={run_name(name, seed, share): found.logits[name] for name in study.experiments
                        if name in found.logits}, tta={},
            )
            for split, found in predictions[key].items()
        }  # fmt: skip
        drawn = report.draw_pictures(
            report.make_report(named, NO_TTA), named, evaluation_settings(study, net),
            votes=all_vote([name for name in study.experiments if name in predictions[key]["val"].logits]),
        )  # fmt: skip
        entries += [entry(path, kind, net) for kind, paths in drawn.items() for path in paths]
        for step in trainings(steps, key):
            if step.experiment in MAPPED:
                entries += draw_map(step, study)
    return entries


def sheets_of_images(study: StudySettings) -> list[Entry]:
    """What create_augmentations.py has drawn of the augmentations and of the expansion of the largest part."""
    folders = image_folders(study, max(study.shares))
    augmentations, expansion = folders[AUGMENTATIONS].name, folders[EXPANSION].name
    distributions = [study.plots / f"label_distribution_{name}.png" for name in (expansion, augmentations)]
    sheets = [
        *[("distribution", path) for path in distributions if path.exists()][:1],
        (AUGMENTATIONS, study.plots / f"augmentation_examples_{augmentations}.png"),
        (EXPANSION, study.plots / f"expansion_examples_{expansion}.png"),
    ]
    return [entry(path, kind) for kind, path in sheets if path.exists()]


def all_vote(experiments: Sequence[str]) -> bool:
    """Whether the votes of all these experiments are among the models of the tables, as where there are three."""
    return {*VOTES} <= {model.vote for model in models_of(experiments) if set(model.members) == set(experiments)}


def draw_arms(results: dict[str, Any], study: StudySettings) -> list[Entry]:
    """The arms of each net beside each other: accuracy on test against the share of the faces, and the differences.

    Where there are arms of several shares, the first picture leaves out those of one.
    """
    all_faces = TRAINING_FACES if study.dataset == "fer2013" else results["protocol"]["training_faces"]
    percent = 100 * results["protocol"]["training_faces"] / all_faces
    entries = []
    for net in study.nets:
        lines: dict[str, list[tuple[float, float, float, float]]] = {}
        for row in sorted(results["scores"], key=itemgetter("share")):
            if (row["net"], row["split"], row["tta"], row["vote"]) == (net, "test", NO_TTA, ""):
                top1 = [100 * value for value in (row["mean"]["top1"], *row["interval"])]
                lines.setdefault(row["model"], []).append((percent * row["share"], top1[0], top1[1], top1[2]))
        lines = {name: points for name, points in lines.items() if len(points) > 1} or lines
        if lines:
            controls = [name for name in lines if name in ARMS and ARMS[name].control_of]
            path = study.plots / f"accuracy_by_share_{net}.png"
            drawn = plot_accuracy_by_share(lines, path, f"{net}: top-1 on test; dashed: controls", controls)
            entries.append(entry(drawn, "shares", net))
    wanted = [row for row in results["comparisons"] if (row["on"], row["family"]) == (LAST_EPOCH, BASELINE)]
    for net, share in dict.fromkeys((row["net"], row["share"]) for row in wanted):
        differences = [difference(row) for row in wanted if (row["net"], row["share"]) == (net, share)]
        title = f"{part_title(net, share)}: top-1 minus the baseline's, {LAST_EPOCH}"
        path = study.plots / f"{part_name('differences', share)}_{net}.png"
        entries.append(entry(plot_differences(differences, path, title), "differences", net))
    return entries


def difference(row: dict[str, Any]) -> Difference:
    """A comparison's top-1 as it is drawn."""
    top1 = row["figures"]["top1"]
    low, mean, high = (100 * top1[name] for name in ("low", "mean", "high"))
    return Difference(row["model"], mean, low, high, top1["p_holm"] < SIGNIFICANT)


def entry(path: Path, kind: str, net: str = "") -> Entry:
    """What the page shows of a picture <kind>_<net>_<experiment>.png."""
    experiment = path.stem.partition(f"_{net}_")[2] if net else ""
    return {"file": path.name, "kind": kind, "net": net, "experiment": experiment}


def draw_curves(step: Step, study: StudySettings) -> Entry:
    """Training and validation accuracy of a run in one plot, or the losses of a pre-training."""
    history = checkpoint_files(step, study.output_root).load(FINAL, "history")["history"]
    name = run_name(step.experiment, step.seed, step.share)
    if step.kind == "byol":
        return entry(plot_byol_losses(history, study.plots, step.net, name), "byol", step.net)
    *_, both = plot_accuracies(history, study.plots, step.net, name)
    return entry(both, "curves", step.net)


def draw_map(step: Step, study: StudySettings) -> list[Entry]:
    """t-SNE of a net's features: the baseline's of real faces of val, the augmented net's of augmentations."""
    settings = replace(
        evaluation_settings(study, step.net, step.faces), tsne_on=MAPPED[step.experiment],
        augmentations_folder=image_folders(study, step.share)["augmentations"],
    )  # fmt: skip
    trained = load_trained(checkpoint_files(step, study.output_root), BEST, settings.device)
    name = run_name(step.experiment, step.seed, step.share)
    try:
        _, paths = draw_maps(settings, {name: trained}, faces_to_map(settings))
    except InputError as error:  # too few faces for a map, or features that are not finite
        print(f"no t-SNE of {name}: {error}")
        return []
    return [entry(path, "tsne", step.net) for path in paths]
