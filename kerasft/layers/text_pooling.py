"""From hidden states of tokens to one vector for each text, and to logits of it.

Source: Reimers & Gurevych 2019 (arXiv:1908.10084), section 3; `Pooling`, `Dense` and
`Normalize` of sentence-transformers.
"""

from dataclasses import dataclass

import keras
from keras import ops

from kerasft._registry import Registry
from kerasft.layers.activation import ACTIVATIONS
from kerasft.layers.dense import Dense
from kerasft.layers.pooling import EVERY, real_states


def first_token(hidden_states, real):
    """The state of the first token, [CLS]."""
    return hidden_states[:, 0]


def mean_of_tokens(hidden_states, real):
    """The mean over the tokens."""
    count = ops.maximum(ops.sum(real, axis=1), 1e-9)
    return ops.sum(hidden_states * real, axis=1) / count


def largest_of_tokens(hidden_states, real):
    """Of each feature the largest value among the tokens."""
    return ops.max(ops.where(real > 0, hidden_states, -float("inf")), axis=1)


def last_token(hidden_states, real):
    """The state of the last token, on whichever side the padding is."""
    places = ops.arange(ops.shape(real)[1], dtype="float32")[None, :, None]
    place = ops.max(places * real, axis=1, keepdims=True)
    return ops.sum(ops.where(places == place, hidden_states, 0.0), axis=1)


POOLINGS = Registry(
    "pooling",
    cls=first_token,
    mean=mean_of_tokens,
    max=largest_of_tokens,
    last=last_token,
)
"""Each: hidden states (batch, length, width), 1 or 0 a token (batch, length, 1)."""


def unit(vectors):
    """Vectors of length 1 along the last axis, in float32; 0 stays 0."""
    vectors = ops.cast(vectors, "float32")
    length = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(length, 1e-24))


@dataclass(frozen=True)
class Projection:
    """A dense layer after the pooling.

    Args:
        size: of its output.
        activation: a name of `ACTIVATIONS`; None: none.
        bias: whether it has one.
    """

    size: int
    activation: str | None = "tanh"
    bias: bool = True


class Pooling(keras.layers.Layer):
    """One vector for each text.

    Input: (batch, length, width). Output: float32 (batch, size).
    Attribute `readers`: how many tokens, from the first, it looks at; or `EVERY`.

    Args:
        pooling: a name of `POOLINGS`.
        normalise: whether vectors are brought to length 1.
        projection: a `Projection`, or None.
    """

    def __init__(self, pooling, normalise=False, projection=None, **kwargs):
        # Float32 even in mixed precision: sums over hundreds of tokens.
        super().__init__(dtype="float32", **kwargs)
        self.pooling = pooling
        self.pool = POOLINGS[pooling]
        self.normalise = normalise
        self.projection = projection
        self.readers = 1 if pooling == "cls" else EVERY
        self.dense = None
        if projection:
            self.dense = Dense(
                projection.size,
                use_bias=projection.bias,
                dtype="float32",
                name="dense",
            )

    def build(self, shape):
        """Build for hidden states of `shape`."""
        self.size = self.projection.size if self.projection else shape[-1]
        if self.dense:
            self.dense.build((shape[0], shape[-1]))

    def call(self, hidden_states, training=None, attention_mask=None):
        """Pool, project, normalise; without a mask every token is real."""
        if attention_mask is None:
            attention_mask = ops.ones(ops.shape(hidden_states)[:2], "int32")
        if self.readers == 1:  # There are no other states.
            attention_mask = attention_mask[:, :1]
        real = real_states(attention_mask, hidden_states)
        vectors = self.pool(hidden_states, real)
        if self.dense:
            vectors = self.dense(vectors)
            if self.projection.activation:
                vectors = ACTIVATIONS[self.projection.activation](vectors)
        return unit(vectors) if self.normalise else vectors


class VectorHead(keras.layers.Layer):
    """Logits of a text from its vector.

    Input: (batch, length, width). Output: (batch, num_labels).

    Args:
        pooling: a `Pooling`.
        num_labels: logits per text.
        initializer: of the kernel.
    """

    def __init__(self, pooling, num_labels, initializer="zeros", **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.pooling = pooling
        self.readers = pooling.readers
        self.logits = Dense(
            num_labels, kernel_initializer=initializer, dtype="float32", name="logits"
        )

    def build(self, shape):
        """Build for hidden states of `shape`."""
        if not self.pooling.built:
            self.pooling.build(shape)
        self.logits.build((shape[0], self.pooling.size))

    def call(self, hidden_states, training=None, attention_mask=None):
        """Pool and score."""
        return self.logits(self.pooling(hidden_states, attention_mask=attention_mask))
