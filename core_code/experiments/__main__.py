"""The whole study: images, trainings, evaluation; ends with tables, pictures and one page that shows them all.

    python -m core_code.experiments --preset two_cores --dry_run True

Prints its plan with estimated times first. What is complete is skipped, what was interrupted goes on, and a run that
fails is recorded while the others go on. Files: plots_output/results.json, results.md and report.html.
"""

import argparse
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.errors import InputError, run_command
from core_code.experiments.presets import EXPERIMENTS, PRESETS, WHAT
from core_code.models.architectures import ARCHITECTURES


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags; those of the preset default to it."""
    parser = flags.make_parser(
        __doc__ + "\npresets:\n" + "\n".join(f"  {name}: {preset.what}" for name, preset in PRESETS.items())
        + "\n\nexperiments:\n" + "\n".join(f"  {name}: {what}" for name, what in WHAT.items()),
        "python -m core_code.experiments --preset quick --dataset sample --output_root study",
    )  # fmt: skip
    parser.add_argument("--preset", choices=tuple(PRESETS), default="published", help="(default: published)")
    parser.add_argument("--nets", choices=tuple(ARCHITECTURES), nargs="+", help="(default: the preset's)")
    parser.add_argument("--experiments", choices=EXPERIMENTS, nargs="+", default=EXPERIMENTS, help="(default: all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="a training each (default: 1)")
    for name, help in (
        ("epochs", "of the trainings"), ("image_size", "side of the views in pixels"),
        ("num_augments", "augmentations a face"), ("byol_epochs", "of the pre-training"),
        ("byol_image_size", "side of the views of the pre-training"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=flags.count, help=f"{help} (default: the preset's)")
    parser.add_argument("--weights", help="imagenet, none (random), or a file (default: the preset's)")
    flags.add_tta_flag(parser, default="flip")
    parser.add_argument(
        "--at_once", type=flags.count, default=1, metavar="N",
        help="commands that run side by side, each on its share of the processor: 2 on two cores (default: 1)",
    )  # fmt: skip
    flags.add_boolean(parser, "--dry_run", False, "print the plan with estimated times, and stop")
    parser.add_argument(
        "--images_root", type=Path, default=Path("data"),
        help="where the folders of augmentations and of the expansion lie (default: data)",
    )  # fmt: skip
    flags.add_output_flag(parser)
    flags.add_data_flags(parser)
    flags.add_generator_flag(parser)
    flags.add_device_flags(parser)
    args = parser.parse_args(arguments)
    flags.fill_in(args, argparse.Namespace(**{name: getattr(PRESETS[args.preset], name) for name in (
        "nets", "epochs", "image_size", "weights", "num_augments", "byol_epochs", "byol_image_size",
        "max_faces",
    )}))  # fmt: skip
    for name in ("nets", "experiments", "seeds"):
        setattr(args, name, list(dict.fromkeys(getattr(args, name))))
    return args


def main(arguments: list[str] | None = None) -> None:
    """Plan, run, evaluate, report. Raises InputError."""
    args = parse_arguments(arguments)
    from core_code.datasets.fer2013 import FER2013
    from core_code.experiments.estimates import seconds_of
    from core_code.experiments.plan import make_plan
    from core_code.experiments.runner import carry_out
    from core_code.experiments.tables import plan_as_text

    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    steps = make_plan(args, faces.class_counts.tolist())
    print(plan_as_text(steps, seconds_of(steps, args), args))
    if args.dry_run:
        return
    failed = carry_out(steps, args.at_once, args.output_root)
    report(args, failed)
    if failed:
        raise InputError(f"{len(failed)} of {len(steps)} steps failed: {', '.join(failed)}; start again to go on")


def report(args: argparse.Namespace, failed: dict[str, str]) -> None:
    """Evaluate what was trained; write the results, the pictures and the page."""
    from core_code.core_utils.files import atomic_write, write_json
    from core_code.datasets.fer2013 import FER2013
    from core_code.experiments.page import as_page
    from core_code.experiments.pictures import draw_pictures
    from core_code.experiments.plan import make_plan
    from core_code.experiments.results import collect, predict_all
    from core_code.experiments.tables import results_as_markdown

    plots = args.output_root / "plots_output"
    faces = FER2013(args.data_root, "train", args.dataset, args.max_faces)
    steps = make_plan(args, faces.class_counts.tolist())
    readings = predict_all(steps, args)
    results = collect(steps, readings, failed, len(faces), args)
    results["pictures"] = draw_pictures(steps, readings, args)
    write_json(plots / "results.json", results)
    markdown = results_as_markdown(results)
    atomic_write(plots / "results.md", lambda file: file.write(markdown.encode()))
    atomic_write(plots / "report.html", lambda file: file.write(as_page(results, plots).encode()))
    print(markdown)
    print(f"figures: {plots / 'results.json'}\ntables: {plots / 'results.md'}\npage: {plots / 'report.html'}")


if __name__ == "__main__":
    run_command(main)
