"""Layer normalisation with its gradient written out.

Keras' own layer computes the same numbers; its gradient, put together operation by
operation, goes over the activations about twice as often.

Source: Ba, Kiros & Hinton 2016, "Layer Normalization" (arXiv:1607.06450), section 3.
"""

import keras
from keras import ops

from kerasft.layers.gradient import with_gradient
from kerasft.layers.remade import can_be_remade, not_before


class LayerNorm(keras.layers.LayerNormalization):
    """Shift and scale each token's features to mean 0 and variance 1, then learn both.

    With `center=False` the mean stays 0.

    Input and output: (..., width). Computed in float32 under half precision.
    """

    def call(self, inputs):
        """Normalise the last axis."""
        beta = ops.zeros(self.gamma.shape) if self.beta is None else self.beta
        gamma, beta = (ops.cast(w, "float32") for w in (self.gamma, beta))
        units = []
        outputs = _normalised(self.epsilon, units)(
            ops.cast(inputs, "float32"), gamma, beta
        )

        def again(after):
            outputs = not_before(units[0], after) * gamma + beta
            return ops.cast(outputs, self.compute_dtype)

        return can_be_remade(ops.cast(outputs, self.compute_dtype), again)


def _normalised(epsilon, units):
    """The formula as a function of inputs, gamma and beta.

    It puts what it keeps for its gradient, the inputs of mean 0 and variance 1, into
    the list `units`.
    """

    @with_gradient
    def normalise(x, gamma, beta):
        centred = x - ops.mean(x, -1, keepdims=True)
        variance = ops.mean(ops.square(centred), -1, keepdims=True)
        scale = ops.rsqrt(variance + epsilon)
        unit = centred * scale
        units.append(unit)

        def gradient(*args, upstream=None):
            upstream = args[0] if upstream is None else upstream
            of_unit = upstream * gamma
            mean = ops.mean(of_unit, -1, keepdims=True)
            slope = ops.mean(of_unit * unit, -1, keepdims=True)
            rows = tuple(range(len(x.shape) - 1))
            return (
                (of_unit - mean - unit * slope) * scale,
                ops.sum(upstream * unit, rows),
                ops.sum(upstream, rows),
            )

        return unit * gamma + beta, gradient

    return normalise


def norm_maker(epsilon, center=True):
    """A function name -> new `LayerNorm`, for the parts that make several."""
    return lambda name: LayerNorm(epsilon=epsilon, center=center, name=name)


class RmsNorm(keras.layers.Layer):
    """Scale each token's features to a mean square of 1, then by learned factors.

    Input and output: (..., width). Computed in float32 under half precision.

    Args:
        epsilon: added to the mean square.

    Source: Zhang & Sennrich 2019 (arXiv:1910.07467), section 4.
    """

    def __init__(self, epsilon, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, shape):
        """Make the factors, all 1."""
        self.gamma = self.add_weight((shape[-1],), "ones", name="gamma")
        self.built = True

    def call(self, inputs):
        """Normalise the last axis."""
        wide = ops.cast(inputs, "float32")
        square = ops.mean(ops.square(wide), -1, keepdims=True)
        unit = wide * ops.rsqrt(square + self.epsilon)
        return ops.cast(unit, self.compute_dtype) * self.gamma
