"""The pictures of an Optuna study: those of Optuna's matplotlib backend, made readable."""

import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib
import optuna
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator, PercentFormatter
from optuna.study import StudyDirection
from optuna.trial import TrialState
from optuna.visualization import matplotlib as optuna_plots

from core_code.core_utils.plots.saving import save_figure
from core_code.core_utils.plots.training import TRAIN_COLOUR, VALIDATION_COLOUR
from core_code.search.results import ranking

from matplotlib import pyplot as plt  # isort: skip (after plots has chosen the backend)

BEST_COLOUR, COMPLETE_COLOUR, PRUNED_COLOUR = TRAIN_COLOUR, VALIDATION_COLOUR, "#9a9a9a"
BLUES = ListedColormap(matplotlib.colormaps["Blues"](range(60, 256)))  # none that is invisible on white
FEWEST_FOR_IMPORTANCES = 4
NONE_COMPLETE = "no trial is complete"


def plot_study(
    study: optuna.Study, path_of: Callable[[str], Path], title: str, value_name: str, percent: bool
) -> list[Path]:
    """Write the four pictures; returns their paths, each path_of(kind).

    `value_name` is what the trials are judged by; with `percent` it lies in [0,1] and is shown in percent. A picture
    for which there are too few trials holds a message.
    """
    kinds = {
        "param_importances": plot_importances, "optimization_history": plot_history,
        "parallel_coordinate": plot_parallel_coordinate, "intermediate_values": plot_intermediate_values,
    }  # fmt: skip
    paths = []
    for kind, plot in kinds.items():
        with matplotlib.rc_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = plot(study, title, value_name, percent)
            paths.append(save_figure(figure, path_of(kind)))
            plt.close(figure)
    return paths


def plot_importances(study: optuna.Study, title: str, value_name: str, percent: bool) -> Figure:
    """How much of the differences between trials each parameter explains (PED-ANOVA where Optuna has it)."""
    complete = ranking(study)
    if len(complete) < FEWEST_FOR_IMPORTANCES or len({trial.value for trial in complete}) < 2:
        return message(title, f"{len(complete)} complete trials are too few, or too alike, to tell what matters")
    try:
        axes = optuna_plots.plot_param_importances(study)
    except (ValueError, RuntimeError, ArithmeticError) as error:
        return message(title, f"no importances: {error}")
    axes.legend().remove()
    axes.set_xlabel(f"share of the differences in {value_name} ({len(complete)} complete trials)")
    axes.set_ylabel("")
    return finish(axes, f"{title}: what matters")


def plot_history(study: optuna.Study, title: str, value_name: str, percent: bool) -> Figure:
    """The value of each complete trial, and the best one so far."""
    if not ranking(study):
        return message(title, NONE_COMPLETE)
    axes = optuna_plots.plot_optimization_history(study, target_name=value_name)
    show_percent(axes, percent)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.legend(["a trial", "the best so far"], loc="best")
    return finish(axes, f"{title}: history")


def plot_parallel_coordinate(study: optuna.Study, title: str, value_name: str, percent: bool) -> Figure:
    """Each complete trial as a line through its parameters; the darker, the better."""
    if not ranking(study):
        return message(title, NONE_COMPLETE)
    axes = optuna_plots.plot_parallel_coordinate(study, target_name=value_name)
    names = [label.get_text() for label in axes.get_xticklabels()]
    axes.set_xticks(axes.get_xticks(), [value_name, *names[1:]], rotation=0)
    lines = axes.collections[-1]
    lines.set(cmap=BLUES.reversed() if study.direction == StudyDirection.MINIMIZE else BLUES, clip_on=False)
    assert lines.colorbar
    bar = lines.colorbar.ax
    bar.set_ylabel(value_name)
    for other in axes.figure.axes:
        if other in (axes, bar):
            show_percent(other, percent)
        else:
            make_ticks_readable(other)
    return finish(axes, f"{title}: parameters of the complete trials", size=(12, 5))


def make_ticks_readable(axes: Axes) -> None:
    """Few numbers on the axis of a parameter, legible where lines cross them; names of choices stay as they are."""
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    if not isinstance(axes.yaxis.get_major_formatter(), FixedFormatter | FuncFormatter):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axes.tick_params(labelsize=8)
    for label in axes.get_yticklabels():
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5})


def plot_intermediate_values(study: optuna.Study, title: str, value_name: str, percent: bool) -> Figure:
    """The value after each epoch of each trial: the best trial, the other complete ones, the pruned ones."""
    trials = {trial.number: trial for trial in study.get_trials(deepcopy=False) if trial.intermediate_values}
    if not trials:
        return message(title, "no trial has finished an epoch")
    axes = optuna_plots.plot_intermediate_values(study)
    best = next((trial.number for trial in ranking(study)), None)
    labels = {BEST_COLOUR: f"trial {best}, the best", COMPLETE_COLOUR: "complete", PRUNED_COLOUR: "pruned or failed"}
    for line in axes.lines:
        number = int(str(line.get_label()).removeprefix("Trial"))
        if number == best:
            line.set(color=BEST_COLOUR, alpha=1, linewidth=2.2, zorder=3)
        else:
            complete = trials[number].state == TrialState.COMPLETE
            line.set(color=COMPLETE_COLOUR if complete else PRUNED_COLOUR, alpha=0.5, linewidth=1, zorder=2)
    used = {line.get_color() for line in axes.lines}
    axes.legend(handles=[Line2D([], [], color=colour, label=labels[colour]) for colour in labels if colour in used])
    axes.set_xlabel("epoch")
    axes.set_ylabel(value_name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    show_percent(axes, percent)
    return finish(axes, f"{title}: epoch by epoch")


def show_percent(axes: Axes, percent: bool) -> None:
    """Show what lies in [0,1] in percent."""
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))


def finish(axes: Axes, title: str, size: tuple[float, float] = (8, 5)) -> Figure:
    """What every picture has."""
    axes.set_title("")
    axes.set_title(title, fontsize=11, loc="left")
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.set_size_inches(*size)
    return figure


def message(title: str, text: str) -> Figure:
    """A picture that says why there is none."""
    figure, axes = plt.subplots(figsize=(8, 2))
    axes.set_title(title, fontsize=11, loc="left")
    axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    axes.set_axis_off()
    return figure
