"""Vectors of virtual tokens: the small layers of prefix and prompt methods.

They are weights themselves, or what an encoder makes of other weights; files hold the
vectors alone, so what is read from one is added to what the encoder makes.
"""

import math

import keras
from keras import ops

from kerasft.layers.dense import Dense
from kerasft.layers.dropout import Dropout
from kerasft.layers.kv_cache import Prefix


def standard_normal(shape, dtype=None):
    """Numbers of mean 0 and variance 1, other ones each time; as `torch.nn.Embedding`.

    No initializer of its own, which would draw its seed when the module is imported.
    """
    return keras.initializers.RandomNormal(0.0, 1.0)(shape, dtype)


class VirtualTokens(keras.layers.Layer):
    """A vector of each virtual token: (count, width).

    Args:
        count: of them.
        width: of the vectors.
        first: initializer of the weights, (count, width or what the encoder takes).
        encoder: a built layer, (1, count, features) to (1, count, width); or None.
        features: of what the encoder takes.
    """

    def __init__(
        self, count, width, first=standard_normal, encoder=None, features=None, **kwargs
    ):
        super().__init__(**kwargs)
        self.count, self.width = count, width
        self.encoder = encoder
        size = width if encoder is None else features
        self.embedding = self.add_weight((count, size), first, name="embedding")
        self.offset = None
        if encoder is not None:
            self.offset = self.add_weight(
                (count, width), "zeros", trainable=False, name="offset"
            )
        self.built = True

    def call(self, training=None):
        """The vectors, (count, width)."""
        vectors = ops.convert_to_tensor(self.embedding)
        if self.encoder is None:
            return vectors
        return self.encoder(vectors[None], training=training)[0] + self.offset

    def vectors(self):
        """The same as an array, float32."""
        return ops.convert_to_numpy(ops.cast(VirtualTokens.call(self), "float32"))

    def set_vectors(self, vectors):
        """Let the layer give these; what is trained goes on from there."""
        if self.encoder is None:
            self.embedding.assign(vectors)
        else:
            rest = vectors - (self.vectors() - ops.convert_to_numpy(self.offset))
            self.offset.assign(rest)


class KeyValueTokens(VirtualTokens):
    """Virtual tokens that are keys and values of each block.

    Args:
        count: of them.
        layers: how many there are.
        heads: of keys and values.
        size: features of a head.
        **kwargs: of `VirtualTokens`.
    """

    def __init__(self, count, layers, heads, size, **kwargs):
        super().__init__(count, 2 * layers * heads * size, **kwargs)
        self.split = (2 * layers, heads, size)

    def call(self, training=None):
        """The `Prefix` of each block."""
        vectors = super().call(training=training)
        parts = ops.reshape(vectors, (1, self.count, *self.split))
        parts = ops.unstack(ops.transpose(parts, (2, 0, 3, 1, 4)), axis=0)
        return list(map(Prefix, parts[::2], parts[1::2]))


class PromptTokens(VirtualTokens):
    """Virtual tokens that stand beside embedded ones.

    Args:
        count: of them.
        width: of the embedding's tables.
        read_first: whether a head that reads the first token reads the first of them.
        **kwargs: of `VirtualTokens`.
    """

    def __init__(self, count, width, read_first, **kwargs):
        super().__init__(count, width, **kwargs)
        self.read_first = read_first

    def call(self, training=None):
        """The vectors, (1, count, width)."""
        return super().call(training=training)[None]


class Perceptron(keras.layers.Layer):
    """Linear layers with an activation between any two.

    Args:
        sizes: features of the input, and of each layer's output.
        activation: "tanh" or "relu".
        last: initializer of the last layer; None: as the others.
    """

    def __init__(self, sizes, activation, last=None, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.depth = len(sizes) - 1
        for i, (features, units) in enumerate(zip(sizes, sizes[1:], strict=False)):
            first = uniform(features) if last is None or i < self.depth - 1 else last
            name = f"dense_{i}"
            layer = Dense(
                units,
                kernel_initializer=first,
                bias_initializer=first,
                name=name,
                dtype=self.dtype_policy,
            )
            layer.build((None, None, features))
            setattr(self, name, layer)
        self.built = True

    def call(self, vectors, training=None):
        """(1, count, features) to (1, count, units)."""
        for i in range(self.depth):
            vectors = getattr(self, f"dense_{i}")(vectors)
            if i < self.depth - 1:
                vectors = self.activation(vectors)
        return vectors


class Recurrent(keras.layers.Layer):
    """LSTMs that read the virtual tokens in both directions, then two linear layers.

    Args:
        features: of the input, and of the output.
        hidden: units of each direction.
        depth: LSTMs behind one another.
        dropout: share dropped between them.
    """

    def __init__(self, features, hidden, depth, dropout, **kwargs):
        super().__init__(**kwargs)
        self.depth = depth
        width = features
        for i in range(depth):
            for backwards in (False, True):
                layer = _lstm(hidden, backwards, f"lstm_{i}", self.dtype_policy)
                layer.build((None, None, width))
                setattr(self, layer.name, layer)
            width = 2 * hidden
        self.dropout = Dropout(dropout, name="dropout")
        sizes = (width, width, features)
        self.last = Perceptron(sizes, "relu", name="last", dtype=self.dtype_policy)
        self.built = True

    def call(self, vectors, training=None):
        """(1, count, features) to the same."""
        for i in range(self.depth):
            if i:
                vectors = self.dropout(vectors, training=training)
            onward = getattr(self, f"lstm_{i}")(vectors)
            back = getattr(self, f"lstm_{i}_back")(vectors)
            vectors = ops.concatenate([onward, ops.flip(back, axis=1)], axis=-1)
        return self.last(vectors)


def _lstm(units, backwards, name, policy):
    """One direction, which begins as torch's does: with two biases that are added."""
    first = uniform(units)
    return keras.layers.LSTM(
        units,
        kernel_initializer=first,
        recurrent_initializer=first,
        bias_initializer=lambda *a, **k: first(*a, **k) + first(*a, **k),
        unit_forget_bias=False,
        return_sequences=True,
        go_backwards=backwards,
        use_cudnn=False,  # XLA has no cuDNN.
        name=f"{name}_back" if backwards else name,
        dtype=policy,
    )


def uniform(features):
    """As torch's layers of so many inputs begin: within ±1/√features."""
    reach = 1 / math.sqrt(features)
    return lambda shape, dtype=None: keras.random.uniform(
        shape, -reach, reach, dtype=dtype
    )
