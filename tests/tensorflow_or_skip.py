"""TensorFlow, or what skips a test that asks for it where it is not installed."""

import pytest

try:
    import tensorflow as tf
except ModuleNotFoundError:

    class Missing:
        """Every name of it ends the test."""

        def __getattr__(self, name):
            pytest.skip("TensorFlow is not installed")

    tf = Missing()
