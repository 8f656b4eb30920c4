"""The train step on TensorFlow: one that is right on one device and on many.

Keras' own step averages each replica's mean, clips before the all-reduce and sums the
squares of a repeated token's gradients instead of squaring their sum. This one
divides Σ(loss·weight) by the weights of the *global* batch, merges repeated rows of
embedding gradients, sums gradients over replicas once, and lets the optimizer clip
after that. Micro batches run one after the other inside it, under the same divisor.

What several replicas need is in `replicas_tensorflow.py`; no other file of `tasks`
knows TensorFlow. `step_jax.py` is its twin.
"""

import keras
import tensorflow as tf

from kerasft.tasks.replicas_tensorflow import OnReplicas
from kerasft.tasks.weighed import Weighed


class TrainStep(Weighed, OnReplicas):
    """Mixin for `keras.Model`: an exact `train_step` and `test_step`.

    The model sets `item_loss`, an `ItemLoss`, and `micro_batches`, the number
    of parts that each replica's batch is worked through in.
    """

    def train_step(self, data):
        """One optimizer step on one batch (x, labels[, sample_weight]).

        Labels, logits, weights and sums are tensors, or of a `LossSum` dicts of them.
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        weights = self._weights(y, sample_weight)
        total = _each(tf.reduce_sum, weights)
        context = tf.distribute.get_replica_context()
        several = context.num_replicas_in_sync > 1
        divisor = context.all_reduce("SUM", total) if several else total
        loss_sum, logits, gradients = self._all_parts(x, y, weights, divisor)
        if several:
            gradients = self.sum_over_replicas(context, gradients)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.follow_step(gradients)
        return self._measure(x, y, logits, sample_weight, loss_sum, total)

    def loss_sums(self):
        """Σ(loss·weight) and Σ weight of the epoch so far, on the device."""
        return self._loss_tracker.total, self._loss_tracker.count

    def sync_variables(self):
        """Let the variables hold what the last step made of them; here they do."""

    def make_train_function(self, force=False):
        """As Keras', with the optimizer's variables made before the step is traced.

        A function that makes variables is traced twice: half of the time to the first
        step of a fit.
        """
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def test_step(self, data):
        """Loss and metrics of one batch."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        weights = self._weights(y, sample_weight)
        logits = self(x, training=False)
        loss_sum = self._loss_sum(self.item_loss.call(y, logits), weights)
        total = _each(tf.reduce_sum, weights)
        return self._measure(x, y, logits, sample_weight, loss_sum, total)

    def _trained_on(self, x, y):
        """Loss of each item, and the logits; some losses look at two passes."""
        if getattr(self.item_loss, "passes", 1) == 1:
            logits = self(x, training=True)
            return self.item_loss.call(y, logits), logits
        both = self(
            tf.nest.map_structure(lambda t: tf.concat([t, t], 0), x), training=True
        )
        first, second = tf.split(both, 2)
        return self.item_loss.of_two(y, first, second), first

    def _loss_sum(self, values, weights):
        """Sum of loss times weight."""

        def weighed(values, weights):
            return tf.reduce_sum(tf.cast(values, tf.float32) * weights)

        return _each(weighed, values, weights)

    def _all_parts(self, x, y, weights, divisor):
        """Loss sum, logits and gradients of the replica's batch."""
        parts = self.micro_batches
        if parts == 1:
            return self._part(x, y, weights, divisor)
        rows = -(-tf.shape(tf.nest.flatten(y)[0])[0] // parts)
        loss_sums, logits, gradients = [], [], None
        for i in range(parts):
            # In turn, so that only one part's activations are alive at a time.
            done = [g for g in gradients or () if g is not None]
            with tf.control_dependencies(done):
                x_i, y_i, weights_i = tf.nest.map_structure(
                    lambda t, i=i: tf.identity(t[i * rows : (i + 1) * rows]),
                    (x, y, weights),
                )
            part = self._part(x_i, y_i, weights_i, divisor)
            dense = [None if g is None else tf.convert_to_tensor(g) for g in part[2]]
            gradients = dense if gradients is None else _added(gradients, dense)
            loss_sums.append(part[0])
            logits.append(part[1])
        loss_sum = _each(lambda *sums: tf.add_n(sums), *loss_sums)
        return loss_sum, _each(lambda *t: tf.concat(t, 0), *logits), gradients

    def _part(self, *tensors):
        """Loss sum, logits and gradients of some rows."""
        if not self.xla_inside:
            return self._one_part(*tensors)
        return tf.function(self._one_part, jit_compile=True)(*tensors)

    def _one_part(self, x, y, weights, divisor):
        weights_of_step = [v.value for v in self.trainable_variables]
        # Keras' frozen weights are watched by themselves, and gradients made of them.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights_of_step)
            values, logits = self._trained_on(x, y)
            loss_sum = self._loss_sum(values, weights)
            loss = _mean(loss_sum, divisor)
            # Regularisers: once a step, not once a part or replica.
            for penalty in self._penalties():
                loss += penalty
            loss = self.optimizer.scale_loss(loss)
        gradients = tape.gradient(loss, weights_of_step)
        if self.xla_inside:  # Which knows no tensor whose size it finds out itself.
            known = [g if g is None else tf.convert_to_tensor(g) for g in gradients]
            return loss_sum, logits, known
        return loss_sum, logits, [merged(g) for g in gradients]

    def _penalties(self):
        """What the loss of a part grows by."""
        penalties = [*self.losses, self.adapter_penalty()]
        times = self.micro_batches * self.distribute_strategy.num_replicas_in_sync
        return [tf.cast(p, tf.float32) / times for p in penalties if p is not None]

    def _measure(self, x, y, logits, sample_weight, loss_sum, total):
        if isinstance(total, dict):
            self._loss_tracker.update_state(loss_sum, total)
        else:
            mean = _mean(loss_sum, total)
            self._loss_tracker.update_state(mean, sample_weight=total)
        values = self.compute_metrics(x, y, logits, sample_weight=sample_weight)
        return self.told(values)


def _each(function, *structures):
    """A function of tensors, of each in a structure."""
    return tf.nest.map_structure(function, *structures)


def _mean(sums, weights):
    """The sum of sums divided by their weights."""
    pairs = zip(tf.nest.flatten(sums), tf.nest.flatten(weights), strict=True)
    return tf.add_n([tf.math.divide_no_nan(*pair) for pair in pairs])


def merged(gradient):
    """A sparse gradient with one row for each id; anything else as it is.

    Keras hands Adam one row for every occurrence of a token, and Adam squares each.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient
    ids, place = tf.unique(gradient.indices)
    rows = tf.math.unsorted_segment_sum(gradient.values, place, tf.size(ids))
    return tf.IndexedSlices(rows, ids, gradient.dense_shape)


def _added(left, right):
    return [
        a if b is None else b if a is None else a + b
        for a, b in zip(left, right, strict=True)
    ]


def batches_of(data):
    """The `Batches` behind a dataset of ours, or None."""
    return vars(data).get("batches") if isinstance(data, tf.data.Dataset) else None


def as_data(batches):
    """Batches as what `fit` takes."""
    return batches.dataset()


def prepared(data, vocab_size):
    """A user's dataset as it should be run: ids checked, without autotuning.

    The autotuner's thread keeps the end of a pass waiting for its next wake-up, and
    XLA clamps ids that are out of range without a word.
    """
    if not isinstance(data, tf.data.Dataset) or batches_of(data) is not None:
        return data  # Arrays; or ours, prepared where it was made.
    spec = data.element_spec
    inputs = spec[0] if isinstance(spec, tuple) else spec
    if isinstance(inputs, dict) and "input_ids" in inputs:
        data = data.map(lambda *batch: _checked(batch, vocab_size))
    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)


def _checked(batch, vocab_size):
    ids = batch[0]["input_ids"]
    message = f"input_ids must be 0 to {vocab_size - 1}: this model has no others."
    checks = [
        tf.debugging.assert_less(ids, tf.cast(vocab_size, ids.dtype), message),
        tf.debugging.assert_non_negative(ids, message),
    ]
    with tf.control_dependencies(checks):
        batch = tf.nest.map_structure(tf.identity, batch)
    return batch if len(batch) > 1 else batch[0]
