"""From rows to batches, and from texts to predictions, for every task."""

import abc
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import keras
import numpy as np

from kerasft._errors import DataError, SettingsError
from kerasft.data.batching import BatchPlan
from kerasft.data.encoding import Examples, encode_rows
from kerasft.data.text_columns import TextColumns
from kerasft.tasks.even_rows import FilledUp
from kerasft.tasks.step import as_data


class Fed(NamedTuple):
    """Rows as a task feeds them.

    Args:
        examples: token ids, of one text a row or of several.
        labels: first axis the examples, or None; with `per_token` (tokens,).
        per_token: whether there is a label for each token.
        rows: (examples,) the row of each; None: one example a row.
        make: what makes batches of them, as of `Batches`, labels included; None:
            they are fed as they are.
        extras: further inputs by name, as of `Batches`.
    """

    examples: Examples | TextColumns
    labels: np.ndarray | None
    per_token: bool = False
    rows: np.ndarray | None = None
    make: Callable | None = None
    extras: Mapping = MappingProxyType({})


class Feeding(abc.ABC):
    """Mixin of a task that has a `tokenizer` and can `predict` logits."""

    needs_static_shapes = False
    """Whether batches must have one shape alone; a train step may know better."""

    def fed(self, rows):
        """What rows become: a `Fed`.

        Raises:
            DataError: texts or labels do not fit the task.
        """
        labels = self.label_array(rows)  # Before the long work.
        return Fed(encode_rows(rows, self.tokenizer), labels)

    @abc.abstractmethod
    def label_array(self, rows):
        """Labels of rows as an array, or None where the rows have none.

        Raises:
            DataError: the labels do not fit the task.
        """

    @abc.abstractmethod
    def described(self, logits):
        """Predictions as plain Python values, one for each row of `logits`."""

    def dataset(  # noqa: PLR0913 - each named by the user
        self,
        rows,
        batch_size=32,
        *,
        training=False,
        seed=0,
        group_by_length=None,
        tokens_per_batch=None,
        max_shapes=None,
        static_shapes=None,
        weights=None,
    ):
        """Tokenised batches of rows, as a `tf.data.Dataset` of (inputs, labels).

        Where there is no TensorFlow, a `keras.utils.PyDataset` of the same arrays.

        Its attribute `batches` tells the padding share and holds the position.

        Args:
            rows: what a reader gives (`read_csv`, `from_lists`, ...).
            batch_size: rows of one step, over all devices.
            training: shuffle anew each epoch, and group rows of like length. Without
                it batches keep the order of the rows.
            seed: of the shuffling.
            group_by_length: batches of like length; None: as `training`.
            tokens_per_batch: the most tokens of a batch, padding included.
            max_shapes: how many padded lengths there may be. None: 16, for XLA compiles
                the step for each; on a CPU, which runs it uncompiled, 64 (give 16 with
                `compile(jit_compile=True)`). The batches of a seed depend on it.
            static_shapes: all batches of one shape, known before the first: padded to
                the longest row, the last one filled up with rows of weight 0. None: on
                a `TPUStrategy`, which takes no others.
            weights: (rows,) weight of each row in loss and metrics.

        Raises:
            DataError: labels or texts that do not fit the task.
            SettingsError: numbers that exclude each other.
        """
        from kerasft.data.pipeline import Batches

        if static_shapes is None:
            static_shapes = self.needs_static_shapes
        fed = self.fed(rows)
        if training and fed.labels is None and fed.make is None:
            raise SettingsError(
                f"{rows!r}: rows to train on need labels. Name their column when "
                "reading: label='...'."
            )
        plan = BatchPlan(
            fed.examples.lengths,
            batch_size,
            shuffle=training,
            group_by_length=training if group_by_length is None else group_by_length,
            seed=seed,
            tokens_per_batch=tokens_per_batch,
            max_shapes=_shapes(max_shapes, static_shapes),
            texts_per_row=fed.examples.texts_per_row,
        )
        if weights is not None:
            weights = _row_weights(weights, len(rows))
            weights = _example_weights(weights, fed)
        batches = Batches(
            fed.examples,
            plan,
            fed.labels,
            weights,
            self.tokenizer.pad_id,
            per_token=fed.per_token,
            make=fed.make,
            extras=dict(fed.extras),
            finish=self._filling(plan) if static_shapes else None,
        )
        return as_data(batches)

    def outputs(self, examples, batch_size=32, make=None, extras=None):
        """The model's outputs, batch by batch; examples of like length go together.

        Args:
            examples: token ids.
            batch_size: examples worked on at once.
            make: what makes the batches, as of `Batches`.
            extras: further inputs by name, as of `Batches`.

        Yields:
            Numbers of examples (batch,), and their outputs, float32 (batch, ...), or a
            dict of such.
        """
        from kerasft.data.pipeline import Batches

        plan = self._plan(examples, batch_size)
        order = plan.order(0)
        batches = Batches(
            examples,
            plan,
            pad_id=self.tokenizer.pad_id,
            make=make,
            extras=extras or {},
        )
        for step, inputs in enumerate(as_data(batches)):
            chosen, _ = plan.batch(order, step)
            outputs = self.predict_on_batch(inputs)
            yield chosen, keras.tree.map_structure(_float32, outputs)

    def _plan(self, examples, batch_size, static_shapes=False):
        """Batches of like length, in one order."""
        return BatchPlan(
            examples.lengths,
            batch_size,
            group_by_length=True,
            max_shapes=_shapes(None, static_shapes),
        )

    def _filling(self, plan):
        """What gives each batch of a plan as many rows as the largest has.

        Raises:
            SettingsError: these do not divide by the devices.
        """
        rows = plan.rows_at(plan.shapes[-1])
        devices = self.distribute_strategy.num_replicas_in_sync
        if rows % devices:
            raise SettingsError(
                f"Batches of one shape have {rows} rows here, which cannot be shared "
                f"evenly by {devices} devices. Choose a batch_size that divides by "
                f"{devices}; with tokens_per_batch, as many rows of "
                f"{plan.shapes[-1] * plan.texts_per_row} tokens as fit in."
            )
        return FilledUp(self, rows)

    def predict_rows(self, rows, batch_size=32):
        """Logits of rows, in their order; batches are grouped by length inside.

        Returns:
            float32 (rows, ...).
        """
        from kerasft.data.pipeline import Batches

        examples = encode_rows(rows, self.tokenizer)
        static = self.needs_static_shapes
        plan = self._plan(examples, batch_size, static)
        batches = Batches(
            examples,
            plan,
            pad_id=self.tokenizer.pad_id,
            finish=self._filling(plan) if static else None,
        )
        order, _ = plan.order(0)
        logits = self.predict(as_data(batches), verbose=0)[: len(order)]
        in_order = np.empty_like(logits, dtype="float32")
        in_order[order] = logits
        return in_order

    def predict_text(self, texts, batch_size=32):
        """Predictions for texts, or pairs of texts, as plain Python values.

        Args:
            texts: list of str, or list of (str, str).
            batch_size: texts worked on at once.
        """
        from kerasft.data.corpus import from_lists

        if isinstance(texts, str):
            raise SettingsError("predict_text takes a list of texts: [text].")
        if not len(texts):
            return []
        if isinstance(texts[0], str):
            rows = from_lists(list(texts))
        else:
            first, second = zip(*texts, strict=True)
            rows = from_lists(list(first), text_pairs=list(second))
        return self.described(self.predict_rows(rows, batch_size))


def _float32(output):
    return np.asarray(output, "float32")


def _shapes(wanted, static):
    """How many padded lengths there may be.

    Args:
        wanted: by the user, or None.
        static: whether all batches have one shape.

    Raises:
        SettingsError: both are said, and they exclude each other.
    """
    if not static:
        return _usual_shapes() if wanted is None else wanted
    if wanted not in (None, 1):
        raise SettingsError(
            f"max_shapes is {wanted}, but static_shapes (which a TPUStrategy needs) "
            "leaves one. Leave max_shapes out, or set static_shapes=False."
        )
    return 1


def _usual_shapes():
    """How many padded lengths are worth having on this machine."""
    from kerasft.data.pipeline import COMPILED_SHAPES, UNCOMPILED_SHAPES, on_cpu_alone

    uncompiled = keras.backend.backend() == "tensorflow" and on_cpu_alone()
    return UNCOMPILED_SHAPES if uncompiled else COMPILED_SHAPES


def _row_weights(weights, rows):
    weights = np.asarray(weights, "float32")
    if weights.shape != (rows,) or not (weights >= 0).all():
        raise DataError(
            f"weights have shape {weights.shape} and least value {weights.min()}; "
            f"give one weight of at least 0 for each of the {rows} rows."
        )
    return weights


def _example_weights(weights, fed):
    if fed.rows is not None:
        return weights[fed.rows]
    if len(weights) != len(fed.examples):
        raise SettingsError(
            "weights are of rows, but here one example holds parts of several. Leave "
            "them out, or do not pack the rows."
        )
    return weights
