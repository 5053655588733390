"""Pictures of a study's arms: what is drawn, read back from the figures."""

import pytest
from matplotlib.colors import to_hex

from core_code.core_utils.plots.arms import Difference, plot_accuracy_by_share, plot_differences

pytestmark = pytest.mark.usefixtures("small_pictures")


def test_a_line_an_arm_with_intervals_against_the_share_of_the_faces(tmp_path, saved_figures):
    lines = {
        "baseline": [(10, 53.4, 52.0, 55.0), (100, 68.7, 68.0, 69.2)],
        "expanded": [(10, 51.4, 50.0, 52.5), (100, 69.0, 68.1, 70.4)],
        "oversampled": [(10, 49.2, 48.0, 50.5)],
    }
    path = plot_accuracy_by_share(lines, tmp_path / "shares.png", "resnet18", ["oversampled"])
    assert path.exists()
    (axes,) = saved_figures[0].axes
    assert axes.get_xscale() == "log" and list(axes.get_xticks()) == [10, 100]
    for container, (name, points) in zip(axes.containers, lines.items(), strict=True):
        line, _, (bars,) = container.lines
        assert container.get_label() == name
        assert list(line.get_ydata()) == [mean for _, mean, _, _ in points]
        assert line.get_linestyle() == ("--" if name == "oversampled" else "-")
        for segment, (share, _, low, high) in zip(bars.get_segments(), points, strict=True):
            assert segment[:, 1].tolist() == pytest.approx([low, high])
            assert segment[0, 0] == pytest.approx(share, rel=0.05), "arms stand a little apart"


def test_differences_are_rows_with_intervals_filled_where_significant(tmp_path, saved_figures):
    rows = [Difference("expanded", -2.0, -3.1, -0.9, True), Difference("augmented", 0.4, -0.5, 1.3, False)]
    assert plot_differences(rows, tmp_path / "differences.png", "resnet18").exists()
    (axes,) = saved_figures[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["expanded", "augmented"]
    _, *drawn = axes.lines
    for place, row in enumerate(rows):
        interval, point = drawn[2 * place : 2 * place + 2]
        assert list(interval.get_xdata()) == [row.low, row.high] and set(interval.get_ydata()) == {place}
        assert (to_hex(point.get_markerfacecolor()) == "#ffffff") == (not row.significant)
