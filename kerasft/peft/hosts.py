"""What a method asks of the linear layer that it changes."""

from keras import ops

from kerasft._errors import SettingsError


def sizes_of(host):
    """Width of a linear layer's input, and of its output."""
    return host.input_spec.axes[-1], host.units


def kernel_of(host):
    """The kernel as a float32 array.

    Raises:
        SettingsError: it is there in integers alone.
    """
    if host.quantization_mode is not None:
        raise SettingsError(
            f"{host.name} is quantised ({host.quantization_mode}), and this start "
            "needs its numbers. Add the adapter first, or take another init."
        )
    return ops.convert_to_numpy(host.kernel)


def policy_of(host):
    """Policy for the weights beside a layer: float32, computed as the layer does."""
    compute = host.compute_dtype
    return "float32" if compute == "float32" else f"mixed_{compute}"
