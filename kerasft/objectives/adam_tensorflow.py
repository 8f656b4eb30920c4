"""AdamW on TensorFlow, in as few passes over the memory as there can be.

The only file of `objectives` that knows TensorFlow. On one device XLA makes one loop of
`optimizer.move`, for each large weight. Under a strategy, and for the many small ones,
which are not worth compiling for, TensorFlow's own kernels compute the same.
The trap: after `ResourceScatterMul` on a variable every read of it is a copy.
"""

import math

import keras
import tensorflow as tf

SMALL = 2**17  # weights


def mover(formula):
    """`formula` compiled for large weights on one device, else `move`.

    One compiled function for each optimizer, for it holds on to the weights it saw.

    Args:
        formula: `optimizer.move`.
    """
    compiled = tf.function(formula, jit_compile=True)

    def chosen(variable, mean, square, gradient, numbers):
        small = len(variable.shape) and math.prod(variable.shape) <= SMALL
        if small or tf.distribute.has_strategy():
            return move(variable, mean, square, gradient, numbers)
        weights = (_local(one) for one in (variable, mean, square))
        # Dense: XLA compiles for each shape, and the number of rows changes each step.
        return compiled(*weights, tf.convert_to_tensor(gradient), numbers)

    return chosen


def move(variable, mean, square, gradient, numbers):
    """As `optimizer.move`; `gradient` may be `tf.IndexedSlices` of different rows.

    The kernel corrects the means from beta^t, of which float32 keeps too few digits. It
    is told 0, and the corrections are in its rate and its epsilon.
    """
    n = numbers
    dtype = variable.dtype.base_dtype
    variable = _local(variable)
    gradient = tf.cast(tf.convert_to_tensor(gradient), dtype)
    zero = tf.cast(n["zero"], dtype)
    if n["kept"] is not None:
        # Row by row in place: variable.assign(variable * ...) would make a copy.
        tf.raw_ops.ResourceScatterMul(
            resource=variable.handle,
            indices=tf.range(variable.shape[0]),
            updates=tf.cast(n["kept"], dtype),
        )
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=_local(mean).handle,
        v=_local(square).handle,
        beta1_power=zero,
        beta2_power=zero,
        lr=tf.cast(n["kernel_rate"], dtype),
        beta1=tf.cast(n["beta_1"], dtype),
        beta2=tf.cast(n["beta_2"], dtype),
        epsilon=tf.cast(n["kernel_epsilon"], dtype),
        grad=tf.where(n["finite"], gradient * tf.cast(n["scale"], dtype), zero),
    )


def square_sum(gradient):
    """Sum of squares of one gradient, float32, without a second array as large."""
    return 2 * tf.nn.l2_loss(tf.cast(gradient, tf.float32))


def _local(variable):
    """The `tf.Variable` of this device."""
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
