"""Figures of a run: numbers in, a matplotlib `Figure` out, for TensorBoard and files.

No pyplot: figures belong to nobody's global state and need no display. The trap:
matplotlib reads text between two `$` as a formula, so label names are drawn with
`parse_math` off.
"""

import io
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

NAME_LENGTH = 24  # characters of a label's name on an axis
MOST_CELLS_WITH_COUNTS = 20  # classes; above, the numbers would run together
MOST_IN_LEGEND = 12
MOST_BARS = 50
BINS = 10  # of a reliability diagram


def figure_to_png(figure: Figure) -> bytes:
    """The figure as the content of a PNG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A script that the font lacks is drawn as boxes, which is no news to a user.
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def confusion_matrix(matrix: np.ndarray, labels: Sequence[str]) -> Figure:
    """Counts by true (row) and predicted (column) label, coloured by share of the row.

    Args:
        matrix: (classes, classes) counts.
        labels: names, in order.
    """
    classes = len(labels)
    side = float(np.clip(1.8 + 0.4 * classes, 3.0, 14.0))
    figure, axes = _new(side + 0.8, side)
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(image, ax=axes, label="share of true label", shrink=0.8)
    size = 9 if classes <= 20 else 6
    _name_ticks(axes.xaxis, labels, size, rotation=90 if classes > 6 else 30)
    _name_ticks(axes.yaxis, labels, size)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    if classes <= MOST_CELLS_WITH_COUNTS:
        for (row, column), count in np.ndenumerate(matrix):
            colour = "white" if share[row, column] > 0.5 else "black"
            place = {"ha": "center", "va": "center", "fontsize": size}
            axes.text(column, row, f"{int(count)}", color=colour, **place)
    return figure


def precision_recall(curves: Mapping[str, tuple]) -> Figure:
    """Precision over recall, one line a name.

    Args:
        curves: name -> (precision, recall, average precision); "(micro)" is drawn
            thick, and the others thin and grey where they are too many to tell apart.
    """
    figure, axes = _new(5.0, 3.6)
    many = len(curves) > MOST_IN_LEGEND
    for name, (precision, recall, average) in curves.items():
        style = {"linewidth": 1.2}
        if many:
            style = {"linewidth": 0.8, "color": "0.7", "label": "_"}
        if name == "(micro)":
            style = {"linewidth": 2.5, "color": "black"}
        style.setdefault("label", f"{_short(name)}  {average:.3f}")
        axes.step(recall, precision, where="post", **style)
    axes.set(xlabel="recall", ylabel="precision", title="Precision and recall")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.grid(alpha=0.3)
    _legend(axes, title="average precision", loc="center left", outside=True)
    return figure


def reliability(scores: np.ndarray, right: np.ndarray) -> Figure:
    """How often a label is right, over the score that it was given (Guo et al. 2017).

    On the diagonal a score is a probability; the title tells the expected calibration
    error, the mean distance from it by row.

    Args:
        scores: (rows,) probability of the predicted label.
        right: (rows,) whether it is the true one.
    """
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    some = counts > 0
    mean = np.bincount(bins, scores, BINS)[some] / counts[some]
    share = np.bincount(bins, right, BINS)[some] / counts[some]
    error = float(np.average(np.abs(mean - share), weights=counts[some]))
    figure, (top, bottom) = _new(4.0, 4.6, 2, 1, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], color="black", linewidth=1, linestyle="--")
    top.plot(mean, share, marker="o", markersize=4)
    top.set(ylabel="share that is right", ylim=(-0.02, 1.02))
    top.set_title(f"Reliability (expected calibration error {error:.3f})")
    bottom.bar((np.arange(BINS) + 0.5) / BINS, counts, 0.9 / BINS)
    bottom.set(xlabel="score of the predicted label", ylabel="rows")
    for axes in (top, bottom):
        axes.set_xlim(-0.02, 1.02)
        axes.grid(alpha=0.3)
    return figure


def lengths(tokens: np.ndarray) -> Figure:
    """How many examples have how many tokens; lines at the median and at 95 %."""
    figure, axes = _new(5.6, 3.0)
    axes.hist(tokens, bins=int(np.clip(np.ptp(tokens) + 1, 1, 60)))
    for share, style in ((50, "-"), (95, "--")):
        place = float(np.percentile(tokens, share))
        label = f"{share} % have up to {place:.0f}"
        axes.axvline(place, color="black", linewidth=1, linestyle=style, label=label)
    axes.set(xlabel="tokens", ylabel="examples", title="Lengths of the training data")
    _legend(axes, loc="center left", outside=True)
    return figure


def f1_bars(f1: Sequence[float], labels: Sequence[str]) -> Figure:
    """F1 of each label, best first; of very many labels the worst."""
    order = np.argsort(-np.asarray(f1), kind="stable")[-MOST_BARS:]
    figure, axes = _new(4.5, float(np.clip(1.2 + 0.25 * len(order), 2.0, 14.0)))
    values = np.asarray(f1)[order]
    bars = axes.barh(np.arange(len(order)), values, color="tab:blue")
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    _name_ticks(axes.yaxis, [labels[i] for i in order], 9 if len(order) <= 30 else 7)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.08), xlabel="F1", title="F1 by label")
    return figure


def scatter(true: np.ndarray, predicted: np.ndarray, name: str = "value") -> Figure:
    """Predicted over true numbers, with the line where they agree."""
    figure, axes = _new(4.0, 3.6)
    size = float(np.clip(2000 / max(1, len(true)), 1, 15))
    axes.scatter(true, predicted, s=size, alpha=0.5, linewidths=0)
    ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
    axes.plot(ends, ends, color="black", linewidth=1, linestyle="--", label="equal")
    axes.set(xlabel="true", ylabel="predicted")
    axes.set_title(f"Predicted and true {_short(name)}", parse_math=False)
    axes.grid(alpha=0.3)
    _legend(axes)
    return figure


def residuals(true: np.ndarray, predicted: np.ndarray, name: str = "value") -> Figure:
    """How often each error, predicted minus true, occurs."""
    figure, axes = _new(4.5, 3.2)
    errors = predicted - true
    axes.hist(errors, bins=int(np.clip(np.sqrt(len(errors)), 5, 60)))
    axes.axvline(0.0, color="black", linewidth=1, linestyle="--")
    axes.set(xlabel="predicted - true", ylabel="rows")
    axes.set_title(f"Errors of {_short(name)}", parse_math=False)
    return figure


def learning_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Loss and metrics by epoch, training and validation in one panel each.

    Args:
        history: `History.history` of a fit: name -> value of each epoch, with
            validation under "val_" + name.
    """
    names = list(dict.fromkeys(name.removeprefix("val_") for name in history))
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure, grid = _new(4.2 * columns, 3.2 * rows, rows, columns)
    panels = np.atleast_1d(grid).ravel()
    for axes, name in zip(panels, names, strict=False):
        for key, part in ((name, "training"), (f"val_{name}", "validation")):
            if key in history:
                epochs = np.arange(1, len(history[key]) + 1)
                axes.plot(epochs, history[key], marker="o", markersize=3, label=part)
        axes.set(title=name, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        _legend(axes)
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    return figure


def scores_by_setting(
    values: Sequence[Mapping], scores: Sequence[float], name: str
) -> Figure:
    """The score of each trial over each setting, a panel a setting.

    Args:
        values: of each trial, setting -> value.
        scores: as many.
        name: of the score.
    """
    settings = list(dict.fromkeys(key for one in values for key in one))
    columns = min(3, len(settings))
    rows = -(-len(settings) // columns)
    figure, grid = _new(4.0 * columns, 3.2 * rows, rows, columns)
    panels = np.atleast_1d(grid).ravel()
    for axes, setting in zip(panels, settings, strict=False):
        having = [
            (one[setting], score)
            for one, score in zip(values, scores, strict=True)
            if setting in one
        ]
        _scatter_setting(axes, *zip(*having, strict=True))
        axes.set_xlabel(_short(setting), parse_math=False)
        axes.set_ylabel(_short(name), parse_math=False)
        axes.grid(alpha=0.3)
    for axes in panels[len(settings) :]:
        axes.set_visible(False)
    return figure


def _scatter_setting(axes, found, scores):
    """Numbers on a line, by their logarithms where they are far apart; else names."""
    numbers = all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in found
    )
    if numbers:
        axes.scatter(found, scores, s=18, alpha=0.7)
        if min(found) > 0 and max(found) >= 8 * min(found):
            axes.set_xscale("log")
        return
    names = list(dict.fromkeys(map(str, found)))
    axes.scatter([names.index(str(one)) for one in found], scores, s=18, alpha=0.7)
    _name_ticks(axes.xaxis, names, 9, rotation=30)


def _new(width, height, rows=1, columns=1, **options):
    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **options)


def _name_ticks(axis, labels, size, rotation=0):
    turned = {"rotation": rotation}
    if rotation == 30:
        turned.update(ha="right", rotation_mode="anchor")
    names = [_short(label) for label in labels]
    ticks = np.arange(len(labels))
    axis.set_ticks(ticks, names, fontsize=size, parse_math=False, **turned)


def _legend(axes, title=None, loc="best", outside=False):
    place = {"bbox_to_anchor": (1.01, 0.5)} if outside else {}
    legend = axes.legend(title=title, loc=loc, fontsize=8, frameon=False, **place)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _short(name):
    """A name on one line, short enough for an axis; its middle goes first."""
    name = " ".join(str(name).split())
    if len(name) <= NAME_LENGTH:
        return name
    return f"{name[: NAME_LENGTH - 11]}…{name[-10:]}"
