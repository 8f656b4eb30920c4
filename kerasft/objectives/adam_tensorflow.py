"""AdamW through TensorFlow's fused kernels.

The only file of `objectives` that knows TensorFlow. A pass or two over the weight and
its two means in place of a dozen. It computes what `optimizer.move` and
`optimizer.square_sum` compute: the kernel adds its epsilon to the uncorrected root, so
it is given epsilon x sqrt(1 - beta_2^t).
"""

import keras
import tensorflow as tf


def move(variable, mean, square, gradient, numbers):
    """One AdamW step on one weight.

    Args:
        variable: `tf.Variable`.
        mean: `keras.Variable`, the gradients' mean.
        square: `keras.Variable`, the squared gradients' mean.
        gradient: a tensor, or `tf.IndexedSlices` without repeated rows.
        numbers: rate, decay, beta_1, beta_2, power_1, power_2, epsilon.
    """
    n = numbers
    dtype = variable.dtype.base_dtype
    variable = _local(variable)
    if n["decay"]:
        # Row by row in place: variable.assign(variable * ...) would make a copy.
        tf.raw_ops.ResourceScatterMul(
            resource=variable.handle,
            indices=tf.range(variable.shape[0]),
            updates=tf.cast(1 - n["rate"] * n["decay"], dtype),
        )
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
        m=_local(mean).handle,
        v=_local(square).handle,
        beta1_power=tf.cast(n["power_1"], dtype),
        beta2_power=tf.cast(n["power_2"], dtype),
        lr=tf.cast(n["rate"], dtype),
        beta1=tf.constant(n["beta_1"], dtype),
        beta2=tf.constant(n["beta_2"], dtype),
        epsilon=tf.cast(n["epsilon"] * tf.sqrt(1 - n["power_2"]), dtype),
        grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
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
