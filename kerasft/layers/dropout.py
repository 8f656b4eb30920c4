"""Drop activations at random while training.

The one dropout of the package, so that one faster form serves every layer.

Source: Srivastava et al. 2014, "Dropout: a simple way to prevent overfitting".
"""

import keras


class Dropout(keras.layers.Dropout):
    """Zero a share of the inputs while training and scale up the rest."""
