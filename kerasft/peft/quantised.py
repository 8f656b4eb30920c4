"""Frozen matrices in 8 or 4 bits, under adapters that are trained.

Weights alone are rounded, each output by a scale of its own (8 bits), or each group of
128 inputs by one (4 bits); inputs stay what they are. The rounding is Keras' own.

Source: Dettmers et al. 2023, QLoRA (arXiv:2305.14314), section 3, for the idea.
"""

import gc

import keras

from kerasft._errors import SettingsError
from kerasft.layers.dense import Dense
from kerasft.peft.places import layers_below

MODES = ("int8", "int4")
GROUP = 128


def quantise(backbone, mode):
    """Round the kernels of all linear layers of a backbone; this is for good.

    Args:
        backbone: a `Backbone`.
        mode: one of `MODES`.

    Raises:
        SettingsError: an unknown mode, or the backbone is rounded already.
    """
    if mode not in MODES:
        raise SettingsError(f"quantize is {mode!r}; known: {', '.join(MODES)}.")
    layers = [layer for _, layer in layers_below(backbone) if type(layer) is Dense]
    found = quantisation_of(backbone)
    if found is not None:
        raise SettingsError(f"The backbone is quantised already ({found}).")
    # Keras collects garbage after each layer: half a second, of all that there is.
    gc.freeze()
    try:
        for layer in {id(layer): layer for layer in layers}.values():
            layer.quantize(mode, type_check=False, config=_config(mode, layer))
    finally:
        gc.unfreeze()


def quantisation_of(backbone):
    """The mode that a backbone is rounded by, or None."""
    for _, layer in layers_below(backbone):
        if type(layer) is Dense and layer.quantization_mode is not None:
            return layer.quantization_mode
    return None


def _config(mode, layer):
    quantizers = keras.quantizers
    if mode == "int8":
        return quantizers.Int8QuantizationConfig(activation_quantizer=None)
    width = layer.kernel.shape[0]
    group = GROUP if width % GROUP == 0 else -1
    return quantizers.Int4QuantizationConfig(
        activation_quantizer=None, block_size=group
    )
