"""AdamW on TensorFlow, in as few passes over the memory as there can be.

The only file of `objectives` that knows TensorFlow. On one device XLA makes one loop of
each formula of `optimizer`. Under a strategy TensorFlow's own kernels compute the same.
The trap: after `ResourceScatterMul` on a variable every read of it is a copy.
"""

import keras
import tensorflow as tf


def quickest(formula, kernel):
    """`formula` compiled where there is one device, `kernel` under a strategy.

    One compiled function for each optimizer, for it holds on to the weights it saw.

    Args:
        formula: `optimizer.shrink` or `optimizer.move`.
        kernel: `shrink` or `move` of this file.
    """
    compiled = tf.function(formula, jit_compile=True)

    def chosen(variable, *arguments):
        if tf.distribute.has_strategy():
            return kernel(variable, *arguments)
        return compiled(_local(variable), *(_compilable(a) for a in arguments))

    return chosen


def shrink(variable, factor):
    """Multiply a weight by `factor`, row by row in place; `assign` would copy it."""
    variable = _local(variable)
    tf.raw_ops.ResourceScatterMul(
        resource=variable.handle,
        indices=tf.range(variable.shape[0]),
        updates=tf.cast(factor, variable.dtype.base_dtype),
    )


def move(variable, mean, square, gradient, numbers):
    """One Adam step on one weight.

    The kernel adds its epsilon to the uncorrected root, so it is given
    epsilon x sqrt(1 - beta_2^t).

    Args:
        variable: `tf.Variable`.
        mean: `keras.Variable`, the gradients' mean.
        square: `keras.Variable`, the squared gradients' mean.
        gradient: a tensor, or `tf.IndexedSlices` without repeated rows.
        numbers: rate, beta_1, beta_2, correction_1, correction_2, epsilon.
    """
    n = numbers
    dtype = variable.dtype.base_dtype
    tf.raw_ops.ResourceApplyAdam(
        var=_local(variable).handle,
        m=_local(mean).handle,
        v=_local(square).handle,
        beta1_power=tf.cast(1 - n["correction_1"], dtype),
        beta2_power=tf.cast(1 - n["correction_2"], dtype),
        lr=tf.cast(n["rate"], dtype),
        beta1=tf.constant(n["beta_1"], dtype),
        beta2=tf.constant(n["beta_2"], dtype),
        epsilon=tf.cast(n["epsilon"] * tf.sqrt(n["correction_2"]), dtype),
        grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
    )


def square_sum(gradient):
    """Sum of squares of one gradient, float32, without a second array as large."""
    return 2 * tf.nn.l2_loss(tf.cast(gradient, tf.float32))


def _compilable(argument):
    """Weights as `tf.Variable`; gradients dense, for XLA compiles for each shape."""
    if isinstance(argument, tf.IndexedSlices):
        return tf.convert_to_tensor(argument)
    return _local(argument)


def _local(variable):
    """The `tf.Variable` of this device; what is no variable as it is."""
    if isinstance(variable, keras.Variable):
        variable = variable.value
    if isinstance(variable, tf.distribute.DistributedValues):
        context = tf.distribute.get_replica_context()
        if context is None:  # Inside strategy.extended.update.
            return variable._get()
        return context.strategy.experimental_local_results(variable)[
            int(context.replica_id_in_sync_group)
        ]
    return variable
