"""A training step on whatever accelerator there is: how much of it is used.

    python benchmarks/accelerator_step.py
    KERAS_BACKEND=jax python benchmarks/accelerator_step.py --precision bfloat16
    KERAS_BACKEND=jax python benchmarks/accelerator_step.py --size tiny --steps 3

Runs on every TPU, GPU or CPU that Keras' backend sees, by `kerasft.strategy("auto")`:
BERT with a classifier and GPT-2 as a language model, in base size with random weights,
full and LoRA; AdamW, clipping and dropout as in any run, random ids without padding.
A warm-up fit compiles; then a fit of so many steps is timed, the median of five. A
batch that does not fit the memory is told and passed over. `peers/torch_step.py` does
the same with transformers on torch, and prints the same lines. On JAX `--profile`
tells, too, which kernels the time of a step goes to.

The share is of the floating-point operations that the model needs (6 a weight and
token, 4 where the weight is frozen, 12 x blocks x width x length for attention) over
the device's peak: of its data sheet where the table below knows it, of a matrix product
measured here where not, or what --peak-tflops says.
"""

import argparse
import collections
import gc
import gzip
import itertools
import json
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from tokenizers import Tokenizer, models

import kerasft as kft
from kerasft.models import family_of
from kerasft.models.config import from_json

SIZES = {
    "base": {"width": 768, "blocks": 12, "heads": 12, "vocabulary": (30522, 50257)},
    "tiny": {"width": 64, "blocks": 2, "heads": 2, "vocabulary": (512, 512)},
}
# Of a device as JAX counts them, in TFLOP/s: without sparsity, in 16 bits; and float32
# as the backends run it, which is TF32 where the card has it.
PEAKS = {
    "TPU v2": (22.5, 22.5),  # half a chip
    "TPU v3": (61.5, 61.5),  # half a chip
    "TPU v4": (275, 275),
    "TPU v5 lite": (197, 197),
    "TPU v5p": (459, 459),
    "TPU v5": (459, 459),
    "TPU v6 lite": (918, 918),
    "Tesla T4": (65, 8.1),
    "Tesla V100": (125, 15.7),
    "A10G": (70, 35),
    "L40S": (362, 183),
    "L4": (121, 60),
    "A100": (312, 156),
    "H100 PCIe": (756, 378),
    "H100": (989, 494),
    "H200": (989, 494),
}
CLASSES = 2
REPEATS = 5
PROFILED = 5  # steps


class Same(keras.utils.PyDataset):
    """One batch, so many times."""

    def __init__(self, batch, steps):
        super().__init__()
        self.batch = batch
        self.steps = steps

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        return self.batch


def device_name():
    """What the first device calls itself, and how many there are."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].device_kind, len(jax.devices())
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if not found:
        return "cpu", 1
    details = tf.config.experimental.get_device_details(found[0])
    return details.get("device_name", "GPU"), len(found)


def measured_peak(precision):
    """FLOP/s of a matrix product on one device, where no data sheet is known."""
    if keras.backend.backend() == "tensorflow":
        from kerasft.training.flops import measured_peak as measured

        return measured(precision)
    import jax
    import jax.numpy as jnp

    side = 512 if jax.default_backend() == "cpu" else 4096
    matrix = jax.random.normal(jax.random.key(0), (side, side), precision) / side**0.5
    product = jax.jit(lambda a, b: jnp.matmul(a, b))
    product(matrix, matrix).block_until_ready()
    best = np.inf
    for _ in range(REPEATS):
        start, result = time.perf_counter(), matrix
        for _ in range(8):
            result = product(result, matrix)
        result.block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 16.0 * side**3 / best


def peak_of(options, name):
    """FLOP/s of one device, and where the number is from."""
    if options.peak_tflops:
        return options.peak_tflops * 1e12, "as told"
    for known, peaks in PEAKS.items():
        if known in name:
            return peaks[options.precision == "float32"] * 1e12, "by data sheet"
    return measured_peak(options.precision), "of a matrix product measured here"


def save_checkpoint(folder, model_type, size, length):
    """A random model, and a tokenizer that nobody asks anything."""
    sizes = SIZES[size]
    vocabulary = sizes["vocabulary"][model_type == "gpt2"]
    names = (
        ("n_embd", "n_layer", "n_head", "n_positions")
        if model_type == "gpt2"
        else (
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "max_position_embeddings",
        )
    )
    numbers = sizes["width"], sizes["blocks"], sizes["heads"], max(512, length)
    content = dict(zip(names, numbers, strict=True))
    content |= {"model_type": model_type, "vocab_size": vocabulary}
    if model_type == "bert":
        content["intermediate_size"] = 4 * sizes["width"]
    family = family_of(content)
    family.new_backbone(from_json(family, content, "config")).save_pretrained(folder)
    words = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4}
    Tokenizer(models.WordPiece(words, unk_token="[UNK]")).save(
        str(folder / "tokenizer.json")
    )
    about = {"tokenizer_class": "BertTokenizer", "pad_token": "[PAD]"}
    about |= {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))


def opened(folder, model_type, precision):
    """The task in this precision."""
    policy = "float32" if precision == "float32" else f"mixed_{precision}"
    if model_type == "gpt2":
        return kft.CausalLM.from_pretrained(folder, precision=policy)
    labels = [str(i) for i in range(CLASSES)]
    return kft.TextClassifier.from_pretrained(folder, labels, precision=policy)


def batch_of(task, rows, length):
    """Random ids of full rows, and labels."""
    random = np.random.default_rng(0)
    vocabulary = task.backbone.config.vocab_size
    ids = random.integers(5, vocabulary, (rows, length)).astype("int32")
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    if isinstance(task, kft.CausalLM):
        return inputs, np.roll(ids, -1, axis=1)
    return inputs, random.integers(0, CLASSES, rows).astype("int32")


def operations_per_token(task, length):
    """Floating-point operations that the model needs for training on one token."""
    config = task.backbone.config

    def count(weights):
        return sum(int(np.prod(w.shape)) for w in weights if "block_" in w.path)

    trained = count(task.trainable_weights)
    frozen = count(task.weights) - trained
    if isinstance(task, kft.CausalLM):  # The table that makes the logits.
        table = config.vocab_size * config.hidden_size
        full = task.active_adapter is None
        trained, frozen = trained + table * full, frozen + table * (not full)
    attention = 12 * config.num_layers * config.hidden_size * length
    return 6 * trained + 4 * frozen + attention


def timed(task, batch, steps):
    """Seconds of one step."""
    task.compile(kft.adamw(1e-4, total_steps=10**6))
    task.fit(Same(batch, 3), verbose=0)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        task.fit(Same(batch, steps), verbose=0)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) / steps


def peak_bytes():
    """The most memory that the first device held so far, or None where none tells."""
    if keras.backend.backend() != "jax":
        return None
    import jax

    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def measure(options, folder, model_type, method, rows):
    """One line of the table."""
    task = opened(folder, model_type, options.precision)
    if method == "lora":
        task.add_adapter(kft.LoRA(rank=8))
    batch = batch_of(task, rows, options.length)
    seconds = timed(task, batch, options.steps)
    if options.profile:
        place = options.profile / f"{model_type}_{method}_{rows}"
        print(kernels(lambda: task.fit(Same(batch, PROFILED), verbose=0), place))
    tokens = rows * options.length / seconds
    needed = tokens * operations_per_token(task, options.length)
    return {
        "model": model_type,
        "method": method,
        "rows": rows,
        "length": options.length,
        "step_seconds": seconds,
        "peak_bytes": peak_bytes(),
        "examples_per_second": rows / seconds,
        "tokens_per_second": tokens,
        "tflops": needed / 1e12,
        "share": needed / options.peak,
    }


def kernels(work, folder, most=25):
    """Which kernels of the device the time of a step of `work` on JAX goes to.

    `folder` then holds the trace, for TensorBoard and for Perfetto.
    """
    import jax

    with jax.profiler.trace(folder, create_perfetto_trace=True):
        work()
    (path,) = folder.rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    places = {
        event["pid"]
        for event in events
        if event.get("name") == "process_name" and "/device:" in event["args"]["name"]
    }
    spent, times = collections.Counter(), collections.Counter()
    for event in events:
        if event.get("pid") in places and "dur" in event:
            spent[event["name"]] += event["dur"] / PROFILED / 1e3
            times[event["name"]] += 1 / PROFILED
    lines = [
        f"{spent[name]:8.3f} ms {times[name]:7.1f} x  {name[:90]}"
        for name, _ in spent.most_common(most)
    ]
    return "\n".join([*lines, f"{sum(spent.values()):8.3f} ms of all"])


def told(run):
    """One line for people."""
    peak = run["peak_bytes"]
    memory = "" if peak is None else f", {peak / 2**30:.2f} GiB so far"
    return (
        f"{run['model']:<5} {run['method']:<5} {run['rows']:>4} x {run['length']:<5}"
        f"{run['step_seconds'] * 1e3:>9.1f} ms{run['examples_per_second']:>10.1f} "
        f"examples/s{run['tokens_per_second']:>12,.0f} tokens/s"
        f"{run['tflops']:>9.2f} TFLOP/s{run['share']:>8.1%} of the peak"
        f"{memory}"
    )


def memory_is_short(error):
    """Whether an error is that a batch did not fit."""
    names = "RESOURCE_EXHAUSTED", "ResourceExhausted", "out of memory"
    return any(name in f"{type(error).__name__} {error}" for name in names)


def parsed(arguments):
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--models", nargs="+", default=["bert", "gpt2"])
    parser.add_argument("--methods", nargs="+", default=["full", "lora"])
    parser.add_argument("--rows", nargs="+", type=int, default=None)
    parser.add_argument("--length", type=int, default=None)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument(
        "--precision", choices=("bfloat16", "float16", "float32"), default="float32"
    )
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--peak-tflops", type=float, help="of one device")
    parser.add_argument("--profile", type=Path, help="a folder for traces; on JAX")
    parser.add_argument("--out", type=Path, help="a JSON file")
    options = parser.parse_args(arguments)
    tiny = options.size == "tiny"
    options.rows = options.rows or ([4] if tiny else [8, 32, 128])
    options.length = options.length or (16 if tiny else 128)
    return options


def all_runs(options, strategy):
    """Yield the measurements that fit the memory."""
    for model_type in options.models:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            save_checkpoint(folder, model_type, options.size, options.length)
            for method, rows in itertools.product(options.methods, options.rows):
                try:
                    with strategy.scope():
                        yield measure(options, folder, model_type, method, rows)
                except Exception as error:
                    if not memory_is_short(error):
                        raise
                    print(f"{model_type} {method} {rows}: memory is short")
                gc.collect()


def main(arguments=None):
    """Measure all, print a line each, and write them where --out says."""
    options = parsed(arguments)
    strategy = kft.strategy(options.strategy)
    name, devices = device_name()
    peak, source = peak_of(options, name)
    options.peak = peak * devices
    backend = keras.backend.backend()
    print(
        f"{backend}, {devices} x {name}, {options.precision}; peak {source}: ", end=""
    )
    print(f"{options.peak / 1e12:,.2f} TFLOP/s of all; {strategy!r}", flush=True)
    runs = []
    for run in all_runs(options, strategy):
        runs.append(run)
        print(told(run), flush=True)
    if options.out:
        about = {"backend": backend, "device": name, "devices": devices, "peak": peak}
        about |= {"peak_source": source, "precision": options.precision, "runs": runs}
        options.out.write_text(json.dumps(about, indent=1))
    return runs


if __name__ == "__main__":
    main()
