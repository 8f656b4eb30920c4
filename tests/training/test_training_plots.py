"""Figures render, whatever the names, and show the numbers they are given."""

import struct

import numpy as np
import pytest
from matplotlib.figure import Figure

from kerasft.training import plots

STRANGE = ("$100 to $200", "不明", "a\nb", "long " * 30, "", "_hidden", "%s {x}")


def size_of(png):
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24])


@pytest.mark.parametrize("classes", [2, 7, 20, 21, 50])
def test_a_confusion_matrix_can_be_read_with_few_and_many_classes(classes):
    matrix = np.arange(classes * classes).reshape(classes, classes)
    figure = plots.confusion_matrix(matrix, [f"label {i}" for i in range(classes)])
    axes = figure.axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        f"label {i}" for i in range(classes)
    ]
    counts = [text.get_text() for text in axes.texts]
    assert counts == ([str(n) for n in matrix.ravel()] if classes <= 20 else [])
    assert min(size_of(plots.figure_to_png(figure))) >= 400


def test_cells_are_shares_of_the_row():
    image = plots.confusion_matrix(np.array([[3, 1], [0, 0]]), "ab").axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), [[0.75, 0.25], [0, 0]])


def test_strange_names_are_drawn_as_they_are():
    figures = [
        plots.confusion_matrix(np.eye(7), STRANGE),
        plots.f1_bars(np.linspace(0, 1, 7), STRANGE),
        plots.precision_recall({name: ([1, 0], [0, 1], 0.5) for name in STRANGE}),
        plots.scatter(np.arange(3), np.arange(3), STRANGE[0]),
        plots.residuals(np.arange(3), np.arange(3), STRANGE[0]),
    ]
    for figure in figures:
        size_of(plots.figure_to_png(figure))
    names = [text.get_text() for text in figures[0].axes[0].get_yticklabels()]
    assert names[0] == STRANGE[0]
    assert max(map(len, names)) == plots.NAME_LENGTH


def test_of_many_curves_only_the_common_one_is_named():
    curves = {str(i): ([1, 0], [0, 1], 0.5) for i in range(30)} | {
        "(micro)": ([1, 0], [0, 1], 0.25)
    }
    legend = plots.precision_recall(curves).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["(micro)  0.250"]


def test_learning_curves_show_training_and_validation_in_one_panel():
    history = {"loss": [2.0, 1.0], "val_loss": [2.5, 1.5], "accuracy": [0.1, 0.2]}
    figure = plots.learning_curves(history)
    shown = {
        axes.get_title(): [list(line.get_ydata()) for line in axes.lines]
        for axes in figure.axes
    }
    assert shown == {"loss": [[2.0, 1.0], [2.5, 1.5]], "accuracy": [[0.1, 0.2]]}
    size_of(plots.figure_to_png(figure))


def test_figures_leave_pyplot_alone():
    import matplotlib.pyplot

    assert isinstance(plots.scatter(np.arange(3), np.arange(3)), Figure)
    assert matplotlib.pyplot.get_fignums() == []


def test_a_reliability_diagram_shows_shares_and_their_distance_from_the_scores():
    scores = np.array([0.95] * 10 + [0.65] * 10 + [1.0])
    right = np.array([True] * 9 + [False] + [True] * 4 + [False] * 6 + [True])
    figure = plots.reliability(scores, right)
    top, bottom = figure.axes
    np.testing.assert_allclose(top.lines[1].get_xdata(), [0.65, (9.5 + 1) / 11])
    np.testing.assert_allclose(top.lines[1].get_ydata(), [0.4, 10 / 11])
    assert [bar.get_height() for bar in bottom.patches] == [0] * 6 + [10, 0, 0, 11]
    error = (10 * 0.25 + 11 * abs(10.5 / 11 - 10 / 11)) / 21
    assert f"calibration error {error:.3f})" in top.get_title()
    size_of(plots.figure_to_png(figure))


def test_lengths_are_counted():
    figure = plots.lengths(np.array([2, 2, 3, 9]))
    (axes,) = figure.axes
    assert sum(bar.get_height() for bar in axes.patches) == 4
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert told == ["50 % have up to 2", "95 % have up to 8"]
    size_of(plots.figure_to_png(plots.lengths(np.array([7]))))


def test_scores_stand_over_each_setting_of_the_trials_that_have_it():
    values = [{"rate": 1e-5, "kind": "a"}, {"rate": 1e-3, "kind": "b"}, {"rate": 1e-4}]
    figure = plots.scores_by_setting(values, [1.0, 2.0, 3.0], "val_$loss")
    rate, kind = (axes for axes in figure.axes if axes.get_visible())
    np.testing.assert_allclose(
        rate.collections[0].get_offsets(), [[1e-5, 1], [1e-3, 2], [1e-4, 3]]
    )
    assert rate.get_xscale() == "log"
    assert [text.get_text() for text in kind.get_xticklabels()] == ["a", "b"]
    np.testing.assert_allclose(kind.collections[0].get_offsets(), [[0, 1], [1, 2]])
    size_of(plots.figure_to_png(figure))
