"""Positions told by turning queries and keys.

A pair of features is turned by an angle that grows with the position, so the product of
a query and a key depends on their distance alone.

Source: Su et al. 2021, "RoFormer" (arXiv:2104.09864), section 3.2; feature i is paired
with feature i + size / 2, as in GPT-NeoX and `transformers`.
"""

import numpy as np
from keras import ops


def usual_speeds(size, theta):
    """Radians a position by which each pair of features is turned.

    Args:
        size: features of a head.
        theta: the slowest pair turns once in about 2π·theta positions.

    Returns:
        float32 (size / 2,).
    """
    powers = np.arange(0, size, 2, dtype="float32") / np.float32(size)
    return (1.0 / np.power(np.float32(theta), powers)).astype("float32")


def rotation(position_ids, speeds, factor=1.0):
    """Cosines and sines by which features are turned.

    Args:
        position_ids: (batch or 1, length).
        speeds: (size / 2,) radians a position, of each pair of features.
        factor: both are multiplied by it.

    Returns:
        Two float32 (batch or 1, 1, length, size).
    """
    angles = ops.cast(position_ids, "float32")[..., None] * speeds
    angles = ops.concatenate([angles, angles], axis=-1)[:, None]
    return ops.cos(angles) * factor, ops.sin(angles) * factor


def turned(features, cosines, sines):
    """Turn (batch, heads, length, size); computed in float32."""
    wide = ops.cast(features, "float32")
    half = wide.shape[-1] // 2
    swapped = ops.concatenate([-wide[..., half:], wide[..., :half]], axis=-1)
    return ops.cast(wide * cosines + swapped * sines, features.dtype)
