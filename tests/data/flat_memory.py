"""Run one training epoch of batches over generated rows; print what it took, as JSON.

Run as a program of its own: `python flat_memory.py CHECKPOINT ROWS`. The peak is
VmHWM, for `ru_maxrss` of a started program begins at that of the program starting it.
"""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

import kerasft as kft

WORDS = "a good bad film movie very the is was not great awful plot boring".split()
LABELS = ("bad", "good")
BLOCK = 10_000


def generated(count):
    """Rows of 3 to 25 words, as a generator."""
    for block in range(0, count, BLOCK):
        random = np.random.default_rng(block)
        lengths = random.integers(3, 26, BLOCK)
        words = iter(random.choice(WORDS, lengths.sum()).tolist())
        for i, length in enumerate(lengths[: count - block]):
            text = " ".join(next(words) for _ in range(length))
            yield {"text": text, "label": LABELS[i % 2]}


def peak_bytes():
    """The most memory this process ever had resident."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def main(checkpoint, count):
    """Read, tokenise and pass over the rows."""
    task = kft.TextClassifier.from_pretrained(checkpoint, labels=LABELS)
    peaks = {"started": peak_bytes()}
    rows = kft.from_rows(generated(count), text="text", label="label")
    peaks["read"] = peak_bytes()
    data = task.dataset(rows, batch_size=256, training=True)
    peaks["tokenised"] = peak_bytes()
    seen = tokens = 0
    for inputs, labels in data:
        seen += len(labels)
        tokens += int(inputs["attention_mask"].numpy().sum())
    peaks["passed over"] = peak_bytes()
    expected = int(data.batches.examples.lengths.sum(dtype="int64"))
    told = {"rows": seen, "tokens": tokens, "expected": expected, "peaks": peaks}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
