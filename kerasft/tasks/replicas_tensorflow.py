"""What Keras' trainer lacks on several devices or workers, on TensorFlow.

Keras 3.15 averages batches of several workers, reduces their scalars along an axis that
they do not have, compiles one XLA program over the weights of all devices, and loses
its place when it takes several steps at once; see keras-team/keras issues 20585, 20763
and 19246.

The trap: a metric's result is a sum over all workers, so all of them must ask for it.
"""

from contextlib import contextmanager

import keras
import tensorflow as tf

from kerasft._errors import SettingsError


class OnReplicas:
    """Mixin of a `TrainStep`: the parts that several replicas need."""

    xla_inside = False
    """Whether each replica compiles its own forward and backward pass."""

    @property
    def has_replicas(self) -> bool:
        """Whether there is more than one."""
        return self.distribute_strategy.num_replicas_in_sync > 1

    @property
    def needs_static_shapes(self) -> bool:
        """Whether the strategy takes batches of one shape alone."""
        return isinstance(self.distribute_strategy, tf.distribute.TPUStrategy)

    def told(self, logs):
        """Values of a step as Keras reduces them over workers: along an axis."""
        if not self.distribute_strategy.extended._in_multi_worker_mode():
            return logs
        return tf.nest.map_structure(lambda value: tf.reshape(value, (1,)), logs)

    def compile(self, **options):
        """As Keras'; with several replicas XLA compiles in each of them."""
        self.xla_inside = self.has_replicas and options.get("jit_compile") is True
        if self.xla_inside:
            options["jit_compile"] = False
        super().compile(**options)

    def predict_on_batch(self, x):
        """Outputs of a batch, once: Keras hands it to each replica."""
        if not self.has_replicas:
            return super().predict_on_batch(x)
        self.make_predict_function()  # A new one after the adapters have changed.
        made, once = vars(self).get("_once", (None, None))
        if made is not self.predict_function:
            once = tf.function(lambda x: self(x, training=False))
            object.__setattr__(self, "_once", (self.predict_function, once))
        return tf.nest.map_structure(keras.ops.convert_to_numpy, once(x))

    def sum_over_replicas(self, context, gradients):
        """Gradients summed over replicas, unless the optimizer does that itself."""
        gradients = [None if g is None else tf.convert_to_tensor(g) for g in gradients]
        inner = self.optimizer
        if isinstance(inner, keras.optimizers.LossScaleOptimizer):
            gradients = _agree_on_overflow(context, gradients)
            inner = inner.inner_optimizer
        if getattr(inner, "sums_gradients", True):
            return gradients  # A foreign optimizer: it sums them itself.
        known = [g for g in gradients if g is not None]
        summed = iter(context.all_reduce("SUM", known))
        return [None if g is None else next(summed) for g in gradients]

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """As Keras does, but from the first replica's part of a batch.

        Keras takes the mean over replicas, which fails where their parts are uneven.
        """
        strategy = self._distribute_strategy
        if strategy is not None and iterator is not None:
            _, _, batches = next(iter(iterator))
            data_batch = tf.nest.map_structure(
                lambda part: strategy.experimental_local_results(part)[0],
                next(batches),
            )
        if strategy is not None:
            self.make_metrics(data_batch)

    def make_metrics(self, data_batch):
        """Make the metrics' variables, which else the first step makes.

        Args:
            data_batch: tensors or arrays of the shapes of a batch.
        """
        with self.distribute_strategy.scope(), _as_built(self._compile_loss):
            self._symbolic_build(data_batch=data_batch)

    def _make_function(self, step_function):
        """As Keras'; one step in one function, several in a loop of our own."""
        steps = int(self.steps_per_execution)
        if steps == 1 and not (self.has_replicas or self.run_eagerly):
            return self._one_function(step_function)
        if not self.has_replicas or steps == 1:
            return super()._make_function(step_function)
        strategy = self.distribute_strategy

        def one_step(iterator):
            values = strategy.run(step_function, args=(next(iterator),))
            return tf.nest.map_structure(
                lambda value: strategy.reduce("MEAN", value, axis=None), values
            )

        def after(values, step):
            with tf.control_dependencies(tf.nest.flatten(values)):
                return step + 1

        @tf.function(autograph=False)
        def all_steps(iterator):
            values = one_step(iterator)
            tf.while_loop(
                lambda step: step < steps,
                lambda step: (after(one_step(iterator), step),),
                [tf.constant(1)],
            )
            return values

        return all_steps

    def _one_function(self, step_function):
        """A step as one function: Keras' is one within another, and in memory twice."""
        run = self._autoconvert_optionals(
            lambda data: self.distribute_strategy.run(step_function, args=(data,))
        )
        options = {"autograph": False, "reduce_retracing": True}
        jit = self.jit_compile
        on_data = tf.function(run, jit_compile=jit, **options)
        inner = on_data if jit else run  # XLA takes no iterator.
        on_iterator = tf.function(lambda batches: inner(next(batches)), **options)

        def step(batches):
            if isinstance(batches, tf.data.Iterator):
                return on_iterator(batches)
            return on_data(next(batches))

        return step


@contextmanager
def _as_built(loss):
    """Within the block Keras does not build what it makes of our loss: no step asks it.

    Args:
        loss: Keras' own, or None.
    """
    if loss is None or loss.built:
        yield
        return
    loss.built = True
    try:
        yield
    finally:
        loss.built = False


def _agree_on_overflow(context, gradients):
    """Let every replica see a non-finite gradient: Keras asks replica 0 alone."""
    known = [g for g in gradients if g is not None]
    bad = tf.add_n(
        [
            tf.cast(tf.logical_not(tf.reduce_all(tf.math.is_finite(g))), "float32")
            for g in known
        ]
    )
    bad = context.all_reduce("SUM", bad) > 0
    poison = tf.constant(float("inf"))

    def marked(g):
        return tf.where(bad, tf.cast(poison, g.dtype), g)

    first = next(i for i, g in enumerate(gradients) if g is not None)
    return [marked(g) if i == first else g for i, g in enumerate(gradients)]


def refuse_foreign_clipping(optimizer, replicas):
    """Several replicas and a Keras optimizer that clips: it would clip too early.

    Raises:
        SettingsError: that is the case.
    """
    clips = (optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue)
    if replicas > 1 and getattr(optimizer, "sums_gradients", True) and any(clips):
        raise SettingsError(
            f"{type(optimizer).__name__} clips each replica's gradients before they "
            f"are summed over {replicas} replicas, which changes the step. Use "
            "kerasft.adamw(clip_norm=...), which clips after."
        )
