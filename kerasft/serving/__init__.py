"""The graph that is exported: strings in, labels out, proved against its reference.

The TensorFlow tokenizer is derived from the Rust one by asking it, not written again
from a description; what is written to disk is compared with the model before it takes
its place.
"""
