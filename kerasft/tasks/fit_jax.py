"""`fit` and its like on JAX: batches with any number of rows, on any number of devices.

What `keras.distribution` cannot split is filled up first: see `even_batches.py`.
"""

import keras
from keras import ops, tree

from kerasft.tasks import even_batches, even_rows
from kerasft.tasks.numpy_batches import batches_of


class Devices:
    """The devices at work, asked what a `tf.distribute` strategy is asked."""

    cluster_resolver = None

    @property
    def num_replicas_in_sync(self) -> int:
        """How many parts the rows of a batch are split into."""
        found = keras.distribution.distribution()
        return 1 if found is None else found.num_model_replicas


class FitsDevices:
    """Mixin of a train step for `keras.Model`, which sets `item_loss`."""

    distribute_strategy = Devices()

    def fit(self, x=None, y=None, **options):
        """As Keras', of batches with any number of rows."""
        if batches_of(x) is not None:
            options["shuffle"] = False  # They are, where that was asked for.
        x, y, options = self._evened(x, y, options, options.get("shuffle", False))
        valid, options["validation_data"] = options.get("validation_data"), None
        if valid is not None:
            known = {"batch_size": options.get("validation_batch_size")}
            known["batch_size"] = known["batch_size"] or options.get("batch_size")
            if isinstance(valid, tuple):
                keys = ("x", "y", "sample_weight")
                known |= dict(zip(keys, valid, strict=False))
                valid = known.pop("x")
            valid, labels, known = self._evened(valid, known.pop("y", None), known)
            weights = known.get("sample_weight")
            whole = labels is None and weights is None
            options["validation_data"] = valid if whole else (valid, labels, weights)
        return super().fit(x, y, **options)

    def evaluate(self, x=None, y=None, **options):
        """As Keras', of batches with any number of rows."""
        if not options.get("_use_cached_eval_dataset"):
            x, y, options = self._evened(x, y, options)
        return super().evaluate(x, y, **options)

    def predict(self, x, **options):
        """As Keras', of batches with any number of rows."""
        parts = self.distribute_strategy.num_replicas_in_sync
        if parts == 1:
            return super().predict(x, **options)
        size = options.pop("batch_size", None)
        padded = even_batches.PaddedInputs(x, parts, size)
        options.setdefault("steps", padded.steps)
        return padded.cut(super().predict(padded.batches(), **options))

    def predict_on_batch(self, x):
        """As Keras', of any number of rows."""
        parts = self.distribute_strategy.num_replicas_in_sync
        x = even_rows.as_arrays(x)
        rows = even_rows.rows_of(x)
        x = even_rows.padded(x, parts)
        outputs = super().predict_on_batch(_split_over_devices(x) if parts > 1 else x)
        return tree.map_structure(lambda output: output[:rows], outputs)

    def train_on_batch(self, x, y=None, sample_weight=None, **options):
        """As Keras', of any number of rows."""
        return super().train_on_batch(*self._even_batch(x, y, sample_weight), **options)

    def test_on_batch(self, x, y=None, sample_weight=None, **options):
        """As Keras', of any number of rows."""
        return super().test_on_batch(*self._even_batch(x, y, sample_weight), **options)

    def _even_batch(self, x, y, sample_weight):
        batch = even_rows.as_arrays((x, y, sample_weight))
        parts = self.distribute_strategy.num_replicas_in_sync
        x, y, weights = even_rows.even_batch(batch, parts, self.item_loss.skips)
        labelled = () if y is None else (y, weights)
        return even_batches.own_share((x, *labelled))

    def _evened(self, x, y, options, shuffle=False):
        """Data, labels and options of Keras, for batches that fit the devices."""
        parts = self.distribute_strategy.num_replicas_in_sync
        if parts == 1 or isinstance(x, even_batches.EvenBatches):
            return x, y, options
        options = dict(options)
        size = options.pop("batch_size", None)
        weights = options.pop("sample_weight", None)
        source = even_batches.source_of(x, y, weights, size, shuffle)
        if "shuffle" in options:
            options["shuffle"] = False
        return even_batches.evened(source, parts, self.item_loss.skips), None, options


def _split_over_devices(x):
    """Arrays whose rows lie on the devices that they belong to."""
    found = keras.distribution.distribution()
    return tree.map_structure(
        lambda array: keras.distribution.distribute_tensor(
            ops.convert_to_tensor(array), found.get_data_layout(array.shape)
        ),
        x,
    )
