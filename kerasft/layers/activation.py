"""The activation functions that `hidden_act` in a `config.json` can name.

Each is a function tensor -> tensor of the same shape. The trap: "gelu" is the exact
form with erf, "gelu_new" the tanh approximation; they differ by up to 5e-4, which
is far above the promise of equal logits.

Source: Hendrycks and Gimpel 2016 (arXiv:1606.08415); names as in `transformers`.
"""

import math

from keras import ops

from kerasft._registry import Registry
from kerasft.layers.gradient import with_gradient


@with_gradient
def gelu(x):
    """Exact GELU, x · Φ(x) through erf.

    The slope is written out, Φ(x) + x · φ(x), to reuse Φ: half the passes over x. It is
    made on the way forth, so that it is all that is kept for the way back.
    """
    share = 0.5 * (1.0 + ops.erf(x * math.sqrt(0.5)))
    density = ops.exp(-0.5 * x * x) * (1.0 / math.sqrt(2.0 * math.pi))
    slope = share + x * density

    def gradient(*args, upstream=None):
        upstream = args[0] if upstream is None else upstream
        return upstream * slope

    return x * share, gradient


def gelu_tanh(x):
    """GELU by the tanh approximation of BERT's first code and of GPT-2."""
    inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)
    return 0.5 * x * (1.0 + ops.tanh(inner))


def gelu_sigmoid(x):
    """GELU by the sigmoid approximation, x · σ(1.702 x)."""
    return x * ops.sigmoid(1.702 * x)


ACTIVATIONS = Registry(
    "activation (hidden_act)",
    gelu=gelu,
    gelu_python=gelu,
    gelu_new=gelu_tanh,
    gelu_fast=gelu_tanh,
    gelu_accurate=gelu_tanh,
    gelu_pytorch_tanh=gelu_tanh,
    gelu_python_tanh=gelu_tanh,
    quick_gelu=gelu_sigmoid,
    relu=ops.relu,
    silu=ops.silu,
    swish=ops.silu,
    tanh=ops.tanh,
)
