"""The whole study: images, trainings, evaluation; ends with tables, pictures and one page that shows them all.

    python -m core_code.experiments --preset two_cores --dry_run True

Prints its plan with estimated times first; with --budget_minutes what is not expected to fit is left for the next
start. What is complete is skipped, what was interrupted goes on, and a run that fails is recorded while the others go
on. Files: report.html, results.md, results.json and the tables results*.csv in plots_output.
"""

import argparse
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from core_code.core_utils import flags
from core_code.core_utils.errors import InputError, run_command
from core_code.experiments.arms import ARMS
from core_code.experiments.presets import PRESETS, StudySettings
from core_code.models.architectures import ARCHITECTURES

COUNTS = {"epochs": "of the trainings", "image_size": "side of the views in pixels",
          "num_augments": "augmentations a face", "byol_epochs": "of the pre-training",
          "byol_image_size": "side of the views of the pre-training"}  # fmt: skip


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags; those of the preset default to it."""
    parser = flags.make_parser(
        (__doc__ or "") + "\npresets:\n" + "\n".join(f"  {name}: {preset.what}" for name, preset in PRESETS.items())
        + "\n\nexperiments:\n" + "\n".join(f"  {name}: {arm.what}" for name, arm in ARMS.items()),
        "python -m core_code.experiments --preset quick --dataset sample --output_root study",
    )  # fmt: skip
    parser.add_argument("--preset", choices=tuple(PRESETS), default="published")
    parser.add_argument("--nets", choices=tuple(ARCHITECTURES), nargs="+", help="(default: the preset's)")
    parser.add_argument("--experiments", choices=tuple(ARMS), nargs="+", metavar="ARM",
                        help="the arms, the most important first (default: the preset's)")  # fmt: skip
    parser.add_argument("--seeds", type=flags.seed, nargs="+", help="a training each (default: the preset's)")
    parser.add_argument("--whole_seeds", type=flags.count, metavar="N",
                        help="of the seeds only the first N on all faces (default: the preset's)")  # fmt: skip
    parser.add_argument("--whole_epochs", type=flags.count, metavar="N",
                        help="of the trainings on all faces (default: --epochs, or else the preset's)")  # fmt: skip
    parser.add_argument(
        "--shares", "--sizes", type=flags.share, nargs="+",
        help="shares of the training faces to train on, each its first rows (default: the preset's)",
    )  # fmt: skip
    for name, help in COUNTS.items():
        kind = flags.view_side if name.endswith("image_size") else flags.count
        parser.add_argument(f"--{name}", type=kind, help=f"{help} (default: the preset's)")
    parser.add_argument("--weights", help="imagenet, none (random), or a file (default: the preset's)")
    flags.add_tta_flag(parser, default="flip")
    parser.add_argument(
        "--at_once", type=flags.count, default=1, metavar="N",
        help="commands that run side by side, each on its share of the processor: 2 on two cores",
    )  # fmt: skip
    flags.add_boolean(parser, "--dry_run", False, "print the plan with estimated times, and stop")
    parser.add_argument(
        "--budget_minutes", type=flags.positive, default=math.inf, metavar="M",
        help="run what is expected to fit into M minutes, and start nothing after them (default: no limit)",
    )  # fmt: skip
    flags.add_boolean(
        parser, "--learn_generators", False,
        "for each of --shares below 1 learn a generator from those faces alone; otherwise --generator makes the "
        "images, and the one that is included has seen all of FER2013's training faces",
    )  # fmt: skip
    parser.add_argument("--images_root", type=Path, default=Path("data"),
                        help="where the folders of augmentations and of the expansion lie")  # fmt: skip
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_generator_flag(parser)
    flags.add_device_flags(parser)
    return parser.parse_args(arguments)


def settings_of(args: argparse.Namespace) -> StudySettings:
    """The study that the flags describe; the preset's values where they are not given."""
    preset = PRESETS[args.preset]
    values: dict[str, Any] = {}
    for field in fields(StudySettings):
        given: Any = getattr(args, field.name, None)
        value = getattr(preset, field.name, None) if given is None else given
        values[field.name] = tuple(dict.fromkeys(given)) if isinstance(given, list) else value
    if args.epochs and not args.whole_epochs:  # what is given counts more than the preset's
        values["whole_epochs"] = None
    return StudySettings(**values)


def main(arguments: list[str] | None = None) -> None:
    """Plan, run, evaluate, report. Raises InputError."""
    args = parse_arguments(arguments)
    study = settings_of(args)
    from core_code.core_utils.files import make_folder, write_json
    from core_code.core_utils.tables import write_csv
    from core_code.datasets.fer2013 import FER2013
    from core_code.experiments.completed import with_completed
    from core_code.experiments.estimates import seconds_of
    from core_code.experiments.page import as_text, write_report
    from core_code.experiments.pictures import draw_pictures
    from core_code.experiments.plan import make_plan
    from core_code.experiments.predicted import predict_all, predicted_emotions
    from core_code.experiments.results import collect
    from core_code.experiments.runner import run_steps, within
    from core_code.experiments.tables import plan_as_text

    if not args.dry_run:
        make_folder(study.output_root)
    faces = FER2013(study.data_root, "train", study.dataset, study.max_faces)
    val = FER2013(study.data_root, "val", study.dataset)
    plan = make_plan(study, faces.class_counts.tolist())
    steps = with_completed(plan, study, faces)
    seconds, budget = seconds_of(steps, study, len(val)), 60 * args.budget_minutes
    chosen = within(steps, seconds, budget * args.at_once)
    print(plan_as_text(steps, chosen, seconds, study, args.at_once))
    if args.dry_run:
        return
    failed = run_steps(chosen, args.at_once, study.output_root, budget)
    steps = with_completed(plan, study, faces)
    selected, last = predict_all(steps, faces, study)
    training_faces = FER2013(study.data_root, "train", study.dataset).faces  # those of the generator that is included
    results = collect(steps, selected, last, failed, len(faces), training_faces, study)
    results["pictures"] = draw_pictures(steps, selected, results, study)
    write_json(study.plots / "results.json", results)
    *tables, page = write_report(results, study.plots)
    tables.append(study.plots / "results_predictions.csv")
    write_csv(tables[-1], predicted_emotions(selected, last))
    print(as_text(results))
    print(f"figures: {study.plots / 'results.json'}\ntables: {', '.join(map(str, tables))}")
    print(f"page: {page.resolve().as_uri()}")
    if failed:
        raise InputError(f"{len(failed)} of {len(steps)} steps failed: {', '.join(failed)}; start again to go on")


if __name__ == "__main__":
    run_command(main)
