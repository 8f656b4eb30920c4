"""The train step on JAX: the one of `step_tensorflow.py`, without state.

Keras' own step on JAX takes the mean over each batch's rows, and adds up gradients of
`gradient_accumulation_steps` as if all batches weighed the same. This one divides
Σ(loss·weight) by the weights of the *whole* batch, which is one array over all devices,
so that sums and clipping are of all of it, too. Micro batches run one after the other
inside it, under the same divisor.

The only file of `tasks` that knows JAX.
"""

import importlib.util

import jax
import keras
from keras import ops, tree

from kerasft.tasks import even_batches, even_rows
from kerasft.tasks.fit_jax import FitsDevices
from kerasft.tasks.numpy_batches import NumpyBatches, batches_of
from kerasft.tasks.weighed import Weighed


class TrainStep(Weighed, FitsDevices):
    """Mixin for `keras.Model`: an exact `train_step` and `test_step`.

    The model sets `item_loss`, an `ItemLoss`, and `micro_batches`, the number of parts
    that each batch is worked through in.
    """

    def compile(self, **options):
        """As Keras', without its own loss."""
        super().compile(**options)
        # Else each fit and evaluation would trace the model for the sake of a loss that
        # Keras makes of ours, and that no step here asks.
        self._compile_loss.built = True

    def loss_sums(self):
        """Σ(loss·weight) and Σ weight of the epoch so far, on the device.

        While a fit runs the variables are empty, and the next step takes these arrays
        for its own: copy what is to be kept.
        """
        sums = self._loss_tracker.total, self._loss_tracker.count
        state = getattr(self, "_jax_state", None)
        if not state or self._jax_state_synced:
            return sums
        values = state["metrics_variables"]
        known = zip(self.metrics_variables, values, strict=True)
        known = {id(variable): value for variable, value in known}
        return tuple(known[id(variable)] for variable in sums)

    def sync_variables(self):
        """Let the variables hold what the last step made of them, while a fit runs."""
        self.jax_state_sync()

    def train_step(self, state, data):
        """One optimizer step on one batch (x, labels[, sample_weight]).

        Args:
            state: values of the trainable, the other, the optimizer's and the metrics'
                variables.
            data: the batch; labels and sums are of a `LossSum` dicts.

        Returns:
            Metrics by name, and the new state.
        """
        trained, others, optimizing, measured = state
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        weights = self._weights(y, sample_weight)
        total = _each(ops.sum, weights)
        fixed = optimizing, total
        work = self._one_part if self.micro_batches == 1 else self._all_parts
        loss_sum, logits, others, slopes = work(trained, others, fixed, (x, y, weights))
        trained, optimizing = self.optimizer.stateless_apply(
            optimizing, slopes, trained
        )
        trained, others = self._followed(trained, others, slopes)
        state = trained, others, optimizing, measured
        logs, measured = self._measure(
            state, (x, y, sample_weight), logits, loss_sum, total
        )
        return logs, (trained, others, optimizing, measured)

    def test_step(self, state, data):
        """Loss and metrics of one batch, and the new state."""
        trained, others, measured = state
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        weights = self._weights(y, sample_weight)
        with self._scope(trained, others) as scope:
            logits = self(x, training=False)
            loss_sum = self._loss_sum(self.item_loss.call(y, logits), weights)
        others = _now(scope, self.non_trainable_variables)
        total = _each(ops.sum, weights)
        state = trained, others, (), measured
        logs, measured = self._measure(
            state, (x, y, sample_weight), logits, loss_sum, total
        )
        return logs, (trained, others, measured)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """As Keras', which asks them before the loss: it is the loss that knows."""
        if hasattr(self.item_loss, "check"):
            self.item_loss.check(y, y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, state, data):
        """As Keras'; where several processes share a batch, each gets all outputs."""
        outputs, others = super().predict_step(state, data)
        found = keras.distribution.distribution()
        if found is not None and found.num_processes > 1:
            mesh = found.device_mesh.backend_mesh
            whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
            outputs = _each(
                lambda one: jax.lax.with_sharding_constraint(one, whole), outputs
            )
        return outputs, others

    def _scope(self, trained, others, optimizing=()):
        """Within it the variables have these values, and changes are kept apart."""
        pairs = [
            *zip(self.trainable_variables, trained, strict=True),
            *zip(self.non_trainable_variables, others, strict=True),
        ]
        if optimizing:
            pairs += zip(self.optimizer.variables, optimizing, strict=True)
        return keras.StatelessScope(state_mapping=pairs, collect_losses=True)

    def _one_part(self, trained, others, fixed, batch):
        """Loss sum, logits, new values of the other variables, and gradients."""
        optimizing, divisor = fixed
        x, y, weights = batch

        def loss_of(trained):
            with self._scope(trained, others, optimizing) as scope:
                values, logits = self._trained_on(x, y)
                loss_sum = self._loss_sum(values, weights)
                loss = _mean(loss_sum, divisor)
                # Regularisers: once a step, not once a part.
                for penalty in (*self.losses, self.adapter_penalty()):
                    if penalty is not None:
                        loss += ops.cast(penalty, "float32") / self.micro_batches
                self._clear_losses()
                loss = self.optimizer.scale_loss(loss)
            changed = _now(scope, self.non_trainable_variables)
            return loss, (loss_sum, logits, changed)

        (_, found), slopes = jax.value_and_grad(loss_of, has_aux=True)(trained)
        return *found, slopes

    def _all_parts(self, trained, others, fixed, batch):
        """As `_one_part`, in turn, so that one part's activations are alive at a time.

        Part i has every so manieth row from i on: a share of each device's rows.
        """
        parts = self.micro_batches
        rows = even_rows.rows_of(batch)
        stacked = _each(lambda t: _dealt(t, parts), batch)
        # Rows that fill up the last parts weigh nothing.
        real = ops.reshape(ops.arange(-(-rows // parts) * parts) < rows, (-1, parts))
        real = ops.cast(ops.transpose(real), "float32")
        x, y, weights = stacked
        weights = _each(lambda w: w * _like(real, w), weights)

        def work(carried, batch):
            others, slopes = carried
            loss_sum, logits, others, more = self._one_part(
                trained, others, fixed, batch
            )
            return (others, _each(ops.add, slopes, more)), (loss_sum, logits)

        none = [ops.zeros_like(weight) for weight in trained]
        (others, slopes), (sums, logits) = jax.lax.scan(
            work, (others, none), (x, y, weights)
        )
        loss_sum = _each(lambda values: ops.sum(values, axis=0), sums)
        logits = _each(lambda t: _gathered(t)[:rows], logits)
        return loss_sum, logits, others, slopes

    def _trained_on(self, x, y):
        """Loss of each item, and the logits; some losses look at two passes."""
        if getattr(self.item_loss, "passes", 1) == 1:
            logits = self(x, training=True)
            return self.item_loss.call(y, logits), logits
        # Twice each row, side by side, so that both stay on the row's device.
        both = self(_each(lambda t: ops.repeat(t, 2, axis=0), x), training=True)
        first, second = both[::2], both[1::2]
        return self.item_loss.of_two(y, first, second), first

    def _followed(self, trained, others, slopes):
        """Values of the variables after what the adapter does after each step."""
        with self._scope(trained, others) as scope:
            self.follow_step(slopes)
        return (
            _now(scope, self.trainable_variables),
            _now(scope, self.non_trainable_variables),
        )

    def _measure(self, state, data, logits, loss_sum, total):
        trained, others, _, measured = state
        x, y, sample_weight = data
        # In one scope with the weights, for a metric may ask the head.
        scope = self._scope(trained, others)
        for variable, value in zip(self.metrics_variables, measured, strict=True):
            scope.add_update((variable, value))
        with scope:
            if isinstance(total, dict):
                self._loss_tracker.update_state(loss_sum, total)
            else:
                mean = _mean(loss_sum, total)
                self._loss_tracker.update_state(mean, sample_weight=total)
            logs = self.compute_metrics(x, y, logits, sample_weight=sample_weight)
        return logs, _now(scope, self.metrics_variables)

    def _loss_sum(self, values, weights):
        """Sum of loss times weight."""

        def weighed(values, weights):
            return ops.sum(ops.cast(values, "float32") * weights)

        return _each(weighed, values, weights)


def _each(function, *structures):
    """A function of tensors, of each in a structure."""
    return tree.map_structure(function, *structures)


def _now(scope, variables):
    """Values of variables at the end of a scope."""
    return [scope.get_current_value(variable) for variable in variables]


def _mean(sums, weights):
    """The sum of sums divided by their weights."""
    pairs = zip(tree.flatten(sums), tree.flatten(weights), strict=True)
    return sum(ops.divide_no_nan(*pair) for pair in pairs)


def _dealt(array, parts):
    """(rows, ...) as (parts, rows / parts, ...), the last row repeated to fit."""
    short = -array.shape[0] % parts
    if short:
        last = ops.repeat(array[-1:], short, axis=0)
        array = ops.concatenate([array, last], axis=0)
    array = ops.reshape(array, (-1, parts, *array.shape[1:]))
    return ops.swapaxes(array, 0, 1)


def _gathered(array):
    """What `_dealt` was made from, with what filled it up."""
    array = ops.swapaxes(array, 0, 1)
    return ops.reshape(array, (-1, *array.shape[2:]))


def _like(real, weights):
    """(parts, rows) in the rank of weights (parts, rows, ...)."""
    return ops.reshape(real, (*real.shape, *[1] * (len(weights.shape) - 2)))


def as_data(batches):
    """Batches as what `fit` takes: a `tf.data.Dataset` where TensorFlow is there."""
    if importlib.util.find_spec("tensorflow") is None:
        return NumpyBatches(batches)
    return batches.dataset()


def prepared(data, vocab_size):
    """A user's data as it should be run: ids checked batch by batch."""
    return even_batches.checked(data, vocab_size)


def refuse_foreign_clipping(optimizer, replicas):
    """Nothing to refuse: gradients are of the whole batch before they are clipped."""


__all__ = ["TrainStep", "as_data", "batches_of", "prepared", "refuse_foreign_clipping"]
