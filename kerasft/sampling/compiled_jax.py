"""Functions of arrays compiled by JAX, one program for each shape of inputs.

The only file of `sampling` that knows JAX. The trap: what a compiled function reads
from variables would be fixed as it was; so their values are given to it at each call.
"""

import jax
import keras


def graph(function, layer):
    """The function, compiled.

    Args:
        function: of arrays; it changes no variables.
        layer: the Keras layer whose variables it reads.
    """

    def with_values(values, *arguments):
        pairs = zip(layer.variables, values, strict=True)
        with keras.StatelessScope(state_mapping=pairs):
            return function(*arguments)

    compiled = jax.jit(with_values)

    def call(*arguments):
        return compiled([variable.value for variable in layer.variables], *arguments)

    return call
