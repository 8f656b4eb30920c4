"""Write one TensorBoard run: numbers, figures, texts, curves and settings.

A run is a folder below the log folder; TensorBoard lays runs over each other where
their tags are the same. The trap: its Text tab reads Markdown and HTML, so text from
users must be `escaped`.
"""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.plugins.hparams import api as hparams_api
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams_summary
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.pr_curve import metadata as curve_metadata

from kerasft.training.plots import figure_to_png

THRESHOLDS = 201  # evenly spaced points of a precision-recall curve
TEXT_LENGTH = 300  # characters of a text in a table
LINE_LENGTH = 70
BINS = 30  # of a histogram


class Summaries:
    """One run; its file is made with the first thing written.

    Args:
        folder: of the run.
        writes: False for a process that must not write: then nothing happens.
    """

    def __init__(self, folder: Path, writes: bool = True):
        self.folder = folder
        self.writes = writes
        self._writer = None

    def _at(self, step):
        """Within it, what `tf.summary` writes goes to this run."""
        if self._writer is None and self.writes:
            self._writer = tf.summary.create_file_writer(str(self.folder))
        elif self._writer is None:
            self._writer = tf.summary.create_noop_writer()
        return self._writer.as_default(step)

    def numbers(self, numbers: Mapping[str, float], step: int):
        """One point for each tag."""
        with self._at(step):
            for tag, value in numbers.items():
                tf.summary.scalar(tag, value)

    def figure(self, tag: str, figure, step: int):
        """A matplotlib figure, in the Images tab."""
        width, height = figure.canvas.get_width_height()
        parts = [str(width).encode(), str(height).encode(), figure_to_png(figure)]
        metadata = image_metadata.create_summary_metadata(None, None)
        with self._at(step):
            tf.summary.write(tag, tf.constant(parts), metadata=metadata)

    def histograms(self, values: Mapping[str, np.ndarray], step: int):
        """How often each value occurs, a chart for each name."""
        metadata = histogram_metadata.create_summary_metadata(None, None)
        with self._at(step):
            for tag, numbers in values.items():
                counts = counts_by_bin(numbers)
                tf.summary.write(f"weights/{tag}", counts, metadata=metadata)

    def text(self, tag: str, markdown: str, step: int):
        """Markdown, in the Text tab."""
        with self._at(step):
            tf.summary.text(tag, markdown)

    def curve(self, tag: str, true: np.ndarray, scores: np.ndarray, step: int):
        """Precision over recall by threshold, in the PR Curves tab.

        Args:
            tag: a name; TensorBoard draws one chart each.
            true: (items,) of 0 and 1.
            scores: (items,) probabilities.
            step: of the model.
        """
        metadata = curve_metadata.create_summary_metadata(None, "", THRESHOLDS)
        with self._at(step):
            tf.summary.write(tag, counts_by_threshold(true, scores), metadata=metadata)

    def settings(self, settings: Mapping, name: str):
        """Settings of the run, a column each in the HParams tab."""
        plain = {key: _plain(value) for key, value in settings.items()}
        with self._at(0):
            hparams_api.hparams(plain, trial_id=name)

    def succeeded(self):
        """Let the HParams tab show that the run has come to its end."""
        end = hparams_summary.session_end_pb(api_pb2.STATUS_SUCCESS)
        with self._at(0):
            tf.summary.experimental.write_raw_pb(end.SerializeToString())

    def flush(self):
        """Let TensorBoard see what was written so far."""
        if self._writer is not None:
            self._writer.flush()


def counts_by_bin(values: np.ndarray) -> np.ndarray:
    """Bins of equal width of the finite values, as TensorBoard's plugin wants them.

    `tf.summary.histogram` gives the same, but holds each value `BINS` times: gigabytes
    for the embeddings of a BERT.

    Returns:
        float64 (BINS, 3): left edge, right edge, how many values.
    """
    counts, edges = np.histogram(values[np.isfinite(values)], BINS)
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def counts_by_threshold(true: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Six rows by evenly spaced thresholds 0 to 1, as TensorBoard's plugin wants them.

    True positives, false positives, true negatives, false negatives, precision (1
    where nothing is predicted) and recall; an item counts from its score on.

    Returns:
        float32 (6, THRESHOLDS).
    """
    thresholds = np.linspace(0.0, 1.0, THRESHOLDS)
    positive = np.sort(scores[true == 1])
    negative = np.sort(scores[true != 1])
    missed = np.searchsorted(positive, thresholds, side="left")
    refused = np.searchsorted(negative, thresholds, side="left")
    hits, alarms = len(positive) - missed, len(negative) - refused
    predicted = hits + alarms
    precision = np.where(predicted > 0, hits / np.maximum(predicted, 1), 1.0)
    recall = hits / max(1, len(positive))
    rows = (hits, alarms, refused, missed, precision, recall)
    return np.stack(rows).astype("float32")


def markdown_table(header: Sequence[str], rows: Iterable[Sequence]) -> str:
    """A Markdown table; every cell is shown as it is, whatever it holds."""
    lines = [header, ["---"] * len(header), *rows]
    first, rule, *others = [[str(cell) for cell in line] for line in lines]
    shown = [rule, *([escaped(cell) for cell in line] for line in others)]
    return "\n".join(f"| {' | '.join(line)} |" for line in [first, *shown])


def escaped(text: str) -> str:
    """Text cut to `TEXT_LENGTH` that Markdown and HTML leave alone.

    In lines of `LINE_LENGTH`: TensorBoard gives columns their share of the width by
    the length of their lines, and would squeeze a label beside a long text.
    """
    text = " ".join(text.split())
    if len(text) > TEXT_LENGTH:
        text = text[: TEXT_LENGTH - 1] + "…"
    lines = textwrap.wrap(text, LINE_LENGTH)
    return "<br>".join(
        re.sub(r"[\\`*_{}\[\]()#+\-.!|~:/@&<>\"']", lambda m: f"&#{ord(m[0])};", line)
        for line in lines
    )


def _plain(value):
    if isinstance(value, (bool, int, float, str)):
        return value
    return "" if value is None else str(value)
