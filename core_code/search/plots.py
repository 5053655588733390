"""The pictures of an Optuna study, drawn by Optuna's matplotlib backend and made readable."""

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
from optuna.visualization import matplotlib as drawn

from core_code.core_utils.plots.training import TRAIN_COLOUR, VALIDATION_COLOUR, save_figure

from matplotlib import pyplot as plt  # isort: skip (after plots has chosen the backend)

BEST_COLOUR, COMPLETE_COLOUR, PRUNED_COLOUR = TRAIN_COLOUR, VALIDATION_COLOUR, "#9a9a9a"
BLUES = ListedColormap(matplotlib.colormaps["Blues"](range(60, 256)))  # none that is lost on white
BLUES_REVERSED = BLUES.reversed()
FEWEST_FOR_IMPORTANCES = 4


def plot_study(
    study: optuna.Study, path_of: Callable[[str], Path], title: str, figure_name: str, percent: bool
) -> list[Path]:
    """Write the four pictures; returns their paths.

    `path_of(kind)` says where each goes. `figure_name` is what the trials were judged by; with `percent` it lies in
    [0,1] and is shown in percent. Where there are too few trials for a picture, it says so.
    """
    kinds = {
        "param_importances": draw_importances,
        "optimization_history": draw_history,
        "parallel_coordinate": draw_parallel_coordinate,
        "intermediate_values": draw_intermediate_values,
    }
    paths = []
    for kind, draw in kinds.items():
        with matplotlib.rc_context(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = draw(study, title, figure_name, percent)
            paths.append(save_figure(figure, path_of(kind)))
            plt.close(figure)
    return paths


def draw_importances(study: optuna.Study, title: str, figure_name: str, percent: bool) -> Figure:
    """How much of the differences between trials each value explains (PED-ANOVA where Optuna has it)."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(complete) < FEWEST_FOR_IMPORTANCES or len({trial.value for trial in complete}) < 2:
        return message(title, f"{len(complete)} complete trials are too few, or too alike, to tell what matters")
    try:
        axes = drawn.plot_param_importances(study)
    except (ValueError, RuntimeError, ArithmeticError) as error:
        return message(title, f"no importances: {error}")
    axes.get_legend().remove()
    axes.set_xlabel(f"share of the differences in {figure_name} ({len(complete)} complete trials)")
    axes.set_ylabel("")
    return finish(axes, f"{title}: what matters")


def draw_history(study: optuna.Study, title: str, figure_name: str, percent: bool) -> Figure:
    """The figure of each complete trial, and the best one so far."""
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return message(title, "no trial is complete")
    axes = drawn.plot_optimization_history(study, target_name=figure_name)
    show_percent(axes, percent)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("trial")
    axes.legend(["a trial", "the best so far"], loc="best")
    return finish(axes, f"{title}: history")


def draw_parallel_coordinate(study: optuna.Study, title: str, figure_name: str, percent: bool) -> Figure:
    """Each complete trial as a line through its values; the darker, the better."""
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return message(title, "no trial is complete")
    axes = drawn.plot_parallel_coordinate(study, target_name=figure_name)
    names = [label.get_text() for label in axes.get_xticklabels()]
    axes.set_xticks(axes.get_xticks(), [figure_name, *names[1:]], rotation=0)
    show_percent(axes, percent)
    lines = axes.collections[-1]
    lines.set(cmap=BLUES_REVERSED if study.direction == StudyDirection.MINIMIZE else BLUES, clip_on=False)
    bar = lines.colorbar.ax
    bar.set_ylabel(figure_name)
    show_percent(bar, percent)
    for other in axes.figure.axes:
        if other not in (axes, bar):
            make_ticks_readable(other)
    return finish(axes, f"{title}: values of the complete trials", size=(12, 5))


def make_ticks_readable(axes: Axes) -> None:
    """Few numbers on the axis of one value, legible where lines cross them; names of choices stay as they are."""
    if axes.get_yscale() == "log":
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
    if not isinstance(axes.yaxis.get_major_formatter(), FixedFormatter | FuncFormatter):
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}" if value else "0"))
    axes.tick_params(labelsize=8)
    for label in axes.get_yticklabels():
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5})


def draw_intermediate_values(study: optuna.Study, title: str, figure_name: str, percent: bool) -> Figure:
    """The figure after each epoch of each trial: the best trial, the other complete ones, the pruned ones."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.intermediate_values]
    if not trials:
        return message(title, "no trial has finished an epoch")
    axes = drawn.plot_intermediate_values(study)
    best = best_number(study)
    for line in axes.lines:
        number = int(line.get_label().removeprefix("Trial"))
        state = study.trials[number].state
        colour = COMPLETE_COLOUR if state == TrialState.COMPLETE else PRUNED_COLOUR
        line.set(color=BEST_COLOUR if number == best else colour, alpha=1 if number == best else 0.5)
        line.set(linewidth=2.2 if number == best else 1, zorder=3 if number == best else 2)
    shown = {
        BEST_COLOUR: f"trial {best}, the best" if best is not None else "",
        COMPLETE_COLOUR: "complete",
        PRUNED_COLOUR: "pruned or failed",
    }
    used = {line.get_color() for line in axes.lines}
    handles = [Line2D([], [], color=colour, label=name) for colour, name in shown.items() if colour in used]
    axes.legend(handles=handles, loc="best")
    axes.set_xlabel("epoch")
    axes.set_ylabel(figure_name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    show_percent(axes, percent)
    return finish(axes, f"{title}: epoch by epoch")


def best_number(study: optuna.Study) -> int | None:
    """The number of the best complete trial."""
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(trials, key=lambda trial: (sign * trial.value, trial.number)).number if trials else None


def show_percent(axes: Axes, percent: bool) -> None:
    """Show what lies in [0,1] in percent."""
    if percent:
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))


def finish(axes: Axes, title: str, size: tuple[float, float] = (8, 5)) -> Figure:
    """What every picture has."""
    axes.set_title("")
    axes.set_title(title, fontsize=11, loc="left")
    axes.figure.set_size_inches(*size)
    return axes.figure


def message(title: str, text: str) -> Figure:
    """A picture that says why there is none."""
    figure, axes = plt.subplots(figsize=(8, 2))
    axes.set_title(title, fontsize=11, loc="left")
    axes.text(0.5, 0.5, text, ha="center", va="center", wrap=True)
    axes.set_axis_off()
    return figure
