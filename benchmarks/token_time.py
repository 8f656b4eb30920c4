"""Does a token take longer the more there are before it? GPT-2 small, token 1 to 512.

Command   python benchmarks/token_time.py --update-readme
Minutes   4 on two quiet cores
Expected  milliseconds of a token in each stretch of 64, beside the bytes that it reads;
          they grow no faster than the bytes do

Random weights, 8 prompts of 64 random tokens, the likeliest token each time, float32.
A token reads all weights once and the keys and values of all tokens before it.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import matplotlib.pyplot as plt
import numpy as np
import report
from accelerator_step import save_checkpoint

import kerasft as kft
from kerasft.sampling.settings import Sampling

PROMPTS, LENGTH, BLOCK = 8, 64, 64


def passes(task, prompts, tokens, runs):
    """Milliseconds of a token in each stretch, of each run; the first one compiles."""
    sampling = Sampling.of(max_new_tokens=tokens)
    found = []
    for run in range(-1, runs):
        blocks = task._generation(sampling).blocks(prompts, range(PROMPTS), sampling)
        next(blocks)
        marks, made = [time.perf_counter()], [1]
        for texts in blocks:
            marks.append(time.perf_counter())
            made.append(len(texts[0]))
        if run >= 0:
            found.append((1e3 * np.diff(marks) / np.diff(made)).tolist())
        print("  ".join(f"{ms:.1f}" for ms in 1e3 * np.diff(marks) / np.diff(made)))
    return found


def bytes_read(config, places):
    """Of a token with so many before it: weights, keys and values."""
    width, blocks = config.hidden_size, config.num_layers
    weights = 12 * width**2 * blocks + config.vocab_size * width
    return 4 * (weights + PROMPTS * blocks * 2 * width * places)


def main():
    parser = report.own_arguments(__doc__)
    parser.add_argument("--tokens", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        save_checkpoint(Path(place), "gpt2", "base", LENGTH + options.tokens)
        task = kft.CausalLM.from_pretrained(place)
    task.generation_config = {"eos_token_id": []}  # No text ends early.
    draw = np.random.default_rng(0)
    prompts = draw.integers(1000, 50000, (PROMPTS, LENGTH)).tolist()
    found = passes(task, prompts, options.tokens, options.runs)
    tell(options, task.backbone.config, found)


def tell(options, config, found):
    """The table, printed and, where asked for, written."""
    times = [median(column) for column in zip(*found, strict=True)]
    middles = [LENGTH + BLOCK * i + BLOCK // 2 for i in range(len(times))]
    sizes = [bytes_read(config, middle) for middle in middles]
    lines = [
        [
            f"{BLOCK * i + 1} to {BLOCK * (i + 1)}",
            f"{ms:.1f}",
            f"{ms / times[0]:.2f}",
            f"{size / 1e6:.0f}",
            f"{size / sizes[0]:.2f}",
        ]
        for i, (ms, size) in enumerate(zip(times, sizes, strict=True))
    ]
    header = ["tokens", "ms a token", "against the first", "MB read", "against"]
    about = f", medians of {options.runs}."
    found = {"milliseconds": found, "bytes": sizes}
    report.tell(about, report.table(header, lines), found, "token_time", options)
    if options.update_readme:
        picture(middles, times, sizes)


def picture(middles, times, sizes):
    """`results/token_time.png`: both, as multiples of the first stretch."""
    figure, axes = plt.subplots(figsize=(7, 3.5))
    axes.plot(middles, np.array(times) / times[0], "o-", label="time of a token")
    axes.plot(middles, np.array(sizes) / sizes[0], "--", label="bytes it reads")
    axes.set(xlabel="tokens before it", ylabel="multiple of the first stretch")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.tight_layout()
    figure.savefig(report.HERE / "results" / "token_time.png", dpi=120)


if __name__ == "__main__":
    main()
