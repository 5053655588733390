"""The pictures of a study are there whatever the study holds."""

import matplotlib
import optuna
import pytest
from matplotlib import pyplot
from PIL import Image

from core_code.search import plots as study_plots
from core_code.search.plots import plot_study

KINDS = ("param_importances", "optimization_history", "parallel_coordinate", "intermediate_values")


def a_study(figures, direction="maximize"):
    """A trial for each figure; None is a pruned one."""
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.RandomSampler(seed=1))
    for figure in figures:
        trial = study.ask()
        trial.suggest_float("lr", 1e-5, 1e-2, log=True)
        trial.suggest_float("weight_decay", 0, 1e-4)
        trial.suggest_categorical("batch_size", [32, 64, 128])
        for epoch in (1, 2, 3):
            trial.report((figure or 0.1) * epoch / 3, epoch)
        state = optuna.trial.TrialState.COMPLETE if figure else optuna.trial.TrialState.PRUNED
        study.tell(trial, figure, state)
    return study


@pytest.mark.parametrize(
    ("figures", "direction"),
    [([], "maximize"), ([0.3], "maximize"), ([None, None], "minimize"), ([0.3] * 5, "maximize"),
     ([0.3, 0.5, None, 0.4, 0.6, 0.2], "minimize")],
)  # fmt: skip
def test_four_pictures_that_can_be_opened(tmp_path, small_pictures, figures, direction):
    settings = dict(matplotlib.rcParams)
    study = a_study(figures, direction)
    paths = plot_study(study, lambda kind: tmp_path / f"{kind}.png", "small, E", "validation accuracy", True)
    assert [path.name for path in paths] == [f"{kind}.png" for kind in KINDS]
    for path in paths:
        with Image.open(path) as picture:
            picture.load()
            assert picture.width > 200
    assert dict(matplotlib.rcParams) == settings and pyplot.get_fignums() == []


def test_the_epochs_of_the_best_trial_stand_out(monkeypatch):
    figure = study_plots.plot_intermediate_values(a_study([0.3, 0.9, None]), "small, E", "validation accuracy", True)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "trial 1, the best", "complete", "pruned or failed"]  # fmt: skip
    widest = max(axes.lines, key=lambda line: line.get_linewidth())
    assert list(widest.get_ydata()) == pytest.approx([0.3, 0.6, 0.9])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "validation accuracy")
    pyplot.close(figure)


def test_too_few_trials_for_importances_give_a_message():
    figure = study_plots.plot_importances(a_study([0.3, 0.4]), "small, E", "validation accuracy", True)
    assert "2 complete trials are too few" in figure.axes[0].texts[0].get_text()
    pyplot.close(figure)
