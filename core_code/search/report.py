"""What a study leaves for people: pictures, tables and the command that trains with the best values. Without torch."""

from pathlib import Path

import optuna

from core_code.core_utils.tables import write_csv
from core_code.search import plots, results
from core_code.search.files import FOLDER, StudyFiles, settings_of


def report(study: optuna.Study, folder: Path) -> None:
    """Write pictures and tables into `folder`, print the rest. Raises InputError when no trial is complete."""
    settings = settings_of(study)
    byol, files = settings["byol"], StudyFiles(folder, settings["net_name"], settings["exp_name"])
    name = f"validation {'loss' if byol else 'accuracy'}"
    chosen = results.chosen_table(study)
    pictures = plots.plot_study(
        study, lambda kind: folder / f"{kind}_{files.run}.png", f"{files.net_name}, {files.experiment}", name, not byol
    )
    trials = folder / f"optuna_study_trials_{files.run}.csv"
    write_csv(trials, results.trials_table(study, study.get_trials(deepcopy=False)))
    print(f"\n{results.describe_counts(study)}; the best by {name}:\n\n{results.best_table(study)}\n")
    print(f"the hyper-parameters of the best trial:\n\n{chosen}\n")
    print("\n".join(map(str, [*pictures, trials])))
    print(f"\ntrain with them:\n{results.winner_command(study)}")


def report_again(path: Path, output_root: Path) -> None:
    """Report the study of a .pkl, below `output_root`. Raises InputError."""
    report(results.read_complete(path), output_root / FOLDER)
