"""Pieces of a transformer: plain Keras layers that take numbers, not configs.

A layer's attribute, its Keras name and its path part are the same word, so a weight
is found as `block_0/attention/q_proj/kernel`. `build` builds the children, so every
weight exists as soon as the model does.
"""
