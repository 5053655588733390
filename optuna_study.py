"""Search the hyper-parameters of fine-tuning, or of BYOL pre-training, with Optuna; plot a study."""

import argparse
import os
import sys
import time
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from core_code.core_utils import flags
from core_code.core_utils.errors import run_command
from core_code.models.architectures import ARCHITECTURES

if TYPE_CHECKING:
    import optuna

    from core_code.core_utils.logs import TrainingLog
    from core_code.search.files import StudyFiles
    from core_code.search.objective import MakeTask
    from core_code.search.study import Budget

TRIALS, BYOL_TRIALS = 30, 20
FOLDER = "optuna_study_output"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """All the flags."""
    parser = flags.make_parser(__doc__, "python optuna_study.py --net_name resnet18 --workers 2")
    parser.add_argument("--net_name", choices=tuple(ARCHITECTURES), help="(required unless --plot_results)")
    parser.add_argument(
        "--exp_name", type=flags.run_name, default="Regular", help="becomes part of the files' names (default: Regular)"
    )
    parser.add_argument(
        "--plot_results", type=Path, default=None, metavar="PKL",
        help="plot a study's .pkl and run no trial; the .pkl of another program's study works too, named "
        "optuna_study_results_<net>_<experiment>.pkl, and no code in it is run",
    )  # fmt: skip
    flags.add_boolean(parser, "--byol", False, "study BYOL pre-training: its validation loss goes down")
    parser.add_argument(
        "--n_trials", type=flags.count, default=None,
        help="trials of the whole study, complete, pruned or failed; those that are finished already count, "
        f"interrupted ones do not (default: {TRIALS}, with --byol {BYOL_TRIALS})",
    )  # fmt: skip
    parser.add_argument(
        "--timeout", type=flags.positive, default=4800.0, metavar="S",
        help="no trial begins after so many seconds of this run; one that has begun is finished (default: 4800)",
    )  # fmt: skip
    parser.add_argument("--epochs", type=flags.count, default=45, help="of each trial (default: 45)")
    parser.add_argument("--train_faces", type=flags.count, default=3840, help="in each epoch (default: 3840)")
    parser.add_argument("--val_faces", type=flags.count, default=1280, help="(default: 1280)")
    parser.add_argument(
        "--storage", default=None, metavar="URL",
        help="where the study lives, so that it is resumed when started again and any number of processes and machines "
        "share it: the path of a journal file, or a URL such as postgresql+psycopg://user@host/database or "
        "mysql+pymysql://... (default: a SQLite file beside the .pkl)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=flags.count, default=1,
        help="processes that run trials at once here; the parameters of a trial depend on --seed, its number and the "
        "trials finished before it, so that a resumed study samples as an unbroken one does, and with several workers "
        "the order in which they finish plays a part (default: 1)",
    )  # fmt: skip
    flags.add_augmentations_flag(parser, "with --byol: what create_augmentations.py made, or none")
    flags.add_output_flag(parser)
    flags.add_data_flags(parser, max_faces=False)
    flags.add_network_flags(parser)
    flags.add_device_flags(parser)
    flags.add_accelerate_flag(parser)
    args = parser.parse_args(arguments)
    if args.net_name is None and args.plot_results is None:
        parser.error("--net_name is required (unless --plot_results is given)")
    if args.n_trials is None:
        args.n_trials = BYOL_TRIALS if args.byol else TRIALS
    return args


def main(arguments: list[str] | None = None) -> None:
    """Run a study and report, or report alone. Raises InputError."""
    args = parse_arguments(arguments)
    if args.plot_results:
        from core_code.search.files import StudyFiles, settings_of
        from core_code.search.results import read_complete

        study = read_complete(args.plot_results)
        settings = settings_of(study)
        report(study, StudyFiles(args.output_root / FOLDER, settings["net_name"], settings["exp_name"]))
        return
    from core_code.core_utils.logs import TrainingLog
    from core_code.core_utils.signals import exit_with_message
    from core_code.search.results import describe_counts
    from core_code.search.storage import storage_errors, storage_url, without_password
    from core_code.search.study import Budget, fail_abandoned

    budget = Budget(args.n_trials, time.time() + args.timeout)
    make_task, study, files = set_up(args)
    storage = storage_url(args.storage, files)
    shown = without_password(storage)
    log = TrainingLog(args.output_root / "logs")
    log.parameters({**vars(args), "storage": shown})
    with storage_errors(storage):
        for number in fail_abandoned(study, files.folder):
            print(f"trial {number} was abandoned by a process that has ended: marked as failed, not counted")
        print(f"study {study.study_name} in {shown}: {describe_counts(study)}; log in {log.path}")
        try:
            run(args, budget, make_task, study, files, log)
        except KeyboardInterrupt as interrupt:
            kept = f"{describe_counts(study)}; all finished trials are kept in {shown} and {files.write(study)}"
            log.line(f"interrupted: {kept}")
            exit_with_message(interrupt, f"{kept}; the same command goes on from there")
        print(f"study: {files.write(study)}")
    report(study, files)


def set_up(args: argparse.Namespace) -> "tuple[MakeTask, optuna.Study, StudyFiles]":
    """What makes a trial's task, the study, and its files."""
    from core_code.core_utils.devices import pick_device, pick_dtype
    from core_code.search.files import StudyFiles
    from core_code.search.objective import SearchSettings, direction_of, prepare
    from core_code.search.storage import open_study, storage_url

    names = [field.name for field in fields(SearchSettings) if hasattr(args, field.name)]
    given = {name: getattr(args, name) for name in names}
    given["device"] = pick_device(args.device)
    given["dtype"] = pick_dtype(args.precision, given["device"])
    if not args.byol or str(args.augmentations_folder) == flags.NO_AUGMENTATIONS:
        given["augmentations_folder"] = None
    make_task, settings = prepare(SearchSettings(**given))
    files = StudyFiles(args.output_root / FOLDER, args.net_name, args.exp_name)
    study = open_study(storage_url(args.storage, files), files, direction_of(args.byol), settings)
    return make_task, study, files


def run(
    args: argparse.Namespace, budget: "Budget", make_task: "MakeTask", study: "optuna.Study", files: "StudyFiles",
    log: "TrainingLog",
) -> None:  # fmt: skip
    """Run trials until the budget is spent: here, or in workers."""
    if args.workers > 1:
        from core_code.search.workers import run_workers

        run_workers(args.workers, work, (args, budget), study, files, budget, log)
        return
    from core_code.search.objective import make_objective
    from core_code.search.space import batch_sizes
    from core_code.search.study import run_trials

    objective = make_objective(make_task, batch_sizes(args.net_name, args.byol), args.epochs, log)
    run_trials(study, files, objective, budget, args.seed, log)


def work(args: argparse.Namespace, budget: "Budget") -> None:
    """A worker process: trials until the budget is spent. It prints errors alone; the rest is in its log."""
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)

    def run_alone() -> None:
        with suppress(KeyboardInterrupt):  # the process that started this one logs what is kept
            from core_code.core_utils.logs import TrainingLog
            from core_code.search.storage import storage_errors, storage_url
            from core_code.search.workers import split_threads

            split_threads(args.workers)
            make_task, study, files = set_up(args)
            log = TrainingLog(args.output_root / "logs")
            alone = argparse.Namespace(**{**vars(args), "workers": 1})
            with storage_errors(storage_url(args.storage, files)):
                run(alone, budget, make_task, study, files, log)

    run_command(run_alone)


def report(study: "optuna.Study", files: "StudyFiles") -> None:
    """The pictures, the tables and the winner's command. Raises InputError when no trial is complete."""
    from core_code.core_utils.tables import write_csv
    from core_code.search.files import settings_of
    from core_code.search.plots import plot_study
    from core_code.search.results import best_table, chosen_table, describe_counts, trials_table, winner_command

    byol = settings_of(study)["byol"]
    name = f"validation {'loss' if byol else 'accuracy'}"
    chosen = chosen_table(study)
    pictures = plot_study(study, files.picture, f"{files.net_name}, {files.experiment}", name, percent=not byol)
    write_csv(files.trials, trials_table(study, study.get_trials(deepcopy=False)))
    print(f"\n{describe_counts(study)}; the best by {name}:\n\n{best_table(study)}\n")
    print(f"the hyper-parameters of the best trial:\n\n{chosen}\n")
    print("\n".join(map(str, [*pictures, files.trials])))
    print(f"\ntrain with them:\n{winner_command(study)}")


if __name__ == "__main__":
    run_command(main)
