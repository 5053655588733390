"""Search the hyper-parameters of fine-tuning, or of BYOL pre-training, with Optuna; plot a study."""

import argparse
import time
from pathlib import Path

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES

TRIALS, BYOL_TRIALS = 30, 20


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags."""
    parser = flags.make_parser(__doc__, "python optuna_study.py --net_name resnet18 --workers 2")
    parser.add_argument(
        "--net_name", choices=tuple(ARCHITECTURES), help="which architecture (required unless --plot_results)"
    )
    parser.add_argument("--exp_name", type=flags.run_name, default="Regular", help="becomes part of the files' names")
    parser.add_argument(
        "--plot_results", type=Path, metavar="PKL",
        help="plot a study's .pkl and run no trial; the .pkl of another program's study works too, named "
        "optuna_study_results_<net>_<experiment>.pkl, and no code in it is run",
    )  # fmt: skip
    flags.add_boolean(parser, "--byol", False, "study BYOL pre-training: its validation loss goes down")
    parser.add_argument(
        "--n_trials", type=flags.count,
        help="trials of the whole study, complete, pruned or failed; those that are finished already count, "
        f"interrupted ones do not (default: {TRIALS}, with --byol {BYOL_TRIALS})",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=flags.positive, default=4800.0, metavar="S",
        help="no trial begins after so many seconds of this run; one that has begun is finished",
    )  # fmt: skip
    parser.add_argument("--epochs", type=flags.count, default=45, help="of each trial")
    parser.add_argument("--train_faces", type=flags.count, default=3840, help="in each epoch")
    parser.add_argument("--val_faces", type=flags.count, default=1280, help="validation faces of each trial")
    parser.add_argument(
        "--storage", metavar="URL",
        help="where the study lives, so that it is resumed when started again and any number of processes and machines "
        "share it: the path of a journal file, or a URL such as postgresql+psycopg://user@host/database or "
        "mysql+pymysql://... (default: a SQLite file beside the .pkl)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=flags.count, default=1,
        help="processes that run trials at once here; the parameters of a trial depend on --seed, its number and the "
        "trials finished before it, so that a resumed study samples as an unbroken one does, and with several workers "
        "the order in which they finish plays a part",
    )  # fmt: skip
    flags.add_augmentations_flag(parser, "with --byol: what create_augmentations.py made, or none")
    flags.add_training_flags(parser, max_faces=False)
    args = parser.parse_args(arguments)
    if args.net_name is None and args.plot_results is None:
        parser.error("--net_name is required (unless --plot_results is given)")
    if args.n_trials is None:
        args.n_trials = BYOL_TRIALS if args.byol else TRIALS
    return args


def main(arguments: list[str] | None = None) -> None:
    """Run a study and report, or report alone. Raises InputError."""
    started = time.time()
    args = parse_arguments(arguments)
    if args.plot_results:
        from core_code.search.report import report_again

        report_again(args.plot_results, args.output_root)
        return
    from core_code.search.run import SearchSettings, run_search

    run_search(flags.as_settings(SearchSettings, args, deadline=started + args.timeout), vars(args))


if __name__ == "__main__":
    run_command(main)
