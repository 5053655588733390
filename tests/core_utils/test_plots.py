"""The pictures: their names, and what is drawn where."""

import math

from PIL import Image

from core_code.core_utils.plots import training as plots
from core_code.core_utils.plots.palette import EMOTION_COLOURS, colours_of

HISTORY = [
    {"epoch": 1, "validation_accuracy": 0.3},
    {"epoch": 2, "validation_accuracy": 0.5},
    {"epoch": 3, "validation_accuracy": 0.4, "train_accuracy": 0.6},
]
EMOTIONS = ("Angry", "Disgust", "Fear", "Happy", "Sad", "Surprise", "Neutral")


def test_the_three_accuracy_pictures(tmp_path, saved_figures):
    plots.plot_accuracies(HISTORY, tmp_path, "resnet18", "Exp")
    names = sorted(path.name for path in tmp_path.iterdir())
    kinds = ("train_accuracy", "train_validation_accuracy", "validation_accuracy")
    assert names == [f"{kind}_resnet18_Exp.png" for kind in kinds]
    for path in tmp_path.iterdir():
        with Image.open(path) as image:
            assert min(image.size) > 300
    train, validation, both = (figure.axes[0] for figure in saved_figures)
    assert [line.get_xydata().tolist() for line in train.lines] == [[[3, 60]]]
    assert [line.get_xydata().tolist() for line in validation.lines] == [[[1, 30], [2, 50], [3, 40]]]
    assert len(both.lines) == 2 and [text.get_text() for text in both.get_legend().get_texts()]


def test_few_epochs_have_whole_ticks_and_the_label_of_the_best_lies_below_the_axes(tmp_path, saved_figures):
    for epochs in (1, 3, 40):
        history = [
            {"epoch": epoch, "validation_accuracy": 0.3 + epoch / 99, "train_accuracy": 0.2 + epoch / 80}
            for epoch in range(1, epochs + 1)
        ]
        plots.plot_accuracies(history, tmp_path, "resnet18", "Exp")
        both = saved_figures[-1].axes[0]
        assert all(len(line.get_xdata()) == epochs for line in both.lines)
        low, high = both.get_xlim()
        ticks = [tick for tick in both.get_xticks() if low <= tick <= high]
        assert ticks and all(tick == round(tick) for tick in ticks) and (epochs > 3 or ticks == [*range(1, epochs + 1)])
        legend = both.get_legend()
        assert f"best {30 + 100 * epochs / 99:.2f} % in epoch {epochs}" in legend.get_texts()[1].get_text()
        assert legend.get_window_extent().y1 < both.get_window_extent().y0


def test_a_history_without_training_accuracies_still_makes_the_pictures(tmp_path):
    assert all(path.stat().st_size for path in plots.plot_accuracies(HISTORY[:2], tmp_path, "resnet18", "Exp"))


def test_the_loss_over_the_epochs(tmp_path, saved_figures):
    path = plots.plot_losses([{"epoch": 2, "loss": 1.5}, {"epoch": 3, "loss": 1.25}], tmp_path, "resnet18", "Exp")
    assert path.name == "loss_resnet18_Exp.png" and path.stat().st_size
    assert saved_figures[0].axes[0].lines[0].get_xydata().tolist() == [[2, 1.5], [3, 1.25]]


def test_the_best_epoch_on_the_pictures_is_never_one_without_a_figure(tmp_path, saved_figures):
    std = {"loss": -0.5, "feature_std": 0.3, "projection_std": 0.3}
    history = [{"epoch": epoch, "validation_loss": loss, "validation_accuracy": loss, **std}
               for epoch, loss in ((3, math.nan), (4, 0.25), (5, 0.5))]  # fmt: skip
    plots.plot_byol_losses(history, tmp_path, "resnet18", "Exp")
    assert "best validation loss 0.2500 in epoch 4" in saved_figures[0].axes[0].get_title(loc="left")
    plots.plot_accuracies(history, tmp_path, "resnet18", "Exp")
    assert "best 50.00 % in epoch 5" in saved_figures[-1].axes[0].get_legend().get_texts()[0].get_text()


def test_the_confusion_matrix_shows_counts_and_shares_of_rows_in_the_emotions_order(tmp_path, saved_figures):
    confusion = [[0] * 7 for _ in range(7)]
    confusion[0] = [6, 0, 0, 2, 0, 0, 0]
    confusion[3] = [0, 0, 0, 10, 0, 0, 0]
    plots.plot_confusion_matrix(confusion, EMOTIONS, tmp_path / "c.png", "title")
    axes = saved_figures[0].axes[0]
    texts = {(text.get_position()[0], round(text.get_position()[1])): [] for text in axes.texts}
    for text in axes.texts:
        texts[text.get_position()[0], round(text.get_position()[1])].append(text.get_text())
    assert texts[0, 0] == ["6", "75%"] and texts[3, 0] == ["2", "25%"] and texts[3, 3] == ["10", "100%"]
    assert tuple(label.get_text() for label in axes.get_xticklabels()) == EMOTIONS
    assert [label.get_text().split()[0] for label in axes.get_yticklabels()] == list(EMOTIONS)
    assert axes.get_yticklabels()[0].get_text() == "Angry (8)"
    assert axes.get_ylim()[0] > axes.get_ylim()[1]


def test_names_that_look_like_formulas_or_lack_letters_are_drawn_as_they_stand(tmp_path, saved_figures, recwarn):
    names = (r"$\frac$", "$x^{$", "10 $ and 20 $", "\U0001f600", "x" * 250, "<b>", "_")
    plots.plot_confusion_matrix([[1] * 7 for _ in names], names, tmp_path / "c.png", "$_$")
    assert tuple(label.get_text() for label in saved_figures[0].axes[0].get_xticklabels()) == names
    with Image.open(tmp_path / "c.png") as image:
        assert min(image.size) > 300
    assert not recwarn.list


def test_emotions_of_ones_own_have_colours_of_their_own():
    assert len(set(colours_of([str(number) for number in range(9)]))) == 9
    assert colours_of(EMOTIONS) == list(EMOTION_COLOURS)
