"""The training step of `accelerator_step.py` with transformers 5 on torch.

    python benchmarks/peers/torch_step.py --precision bfloat16

Best settings used: weights in float32 under autocast, `sdpa` attention, fused AdamW,
clipping of all gradients at once, no value read back during a run. `--compile` adds
`torch.compile`. LoRA is that of peft, on the same layers.
"""

import argparse
import contextlib
import itertools
import json
import time

import numpy as np
import torch
import transformers

SIZES = {"base": (768, 12, 12, 3072), "tiny": (64, 2, 2, 256)}
VOCABULARY = {"bert": 30522, "gpt2": 50257}
REPEATS = 5
WARM_UP = 5


def model_of(name, size, length):
    """A random model as a user gets it."""
    width, blocks, heads, inner = SIZES[size]
    places = max(512, length)
    if name == "gpt2":
        config = transformers.GPT2Config(
            n_embd=width, n_layer=blocks, n_head=heads, n_positions=places
        )
        return transformers.GPT2LMHeadModel(config)
    config = transformers.BertConfig(
        hidden_size=width,
        num_hidden_layers=blocks,
        num_attention_heads=heads,
        intermediate_size=inner,
        max_position_embeddings=places,
    )
    return transformers.BertForSequenceClassification(config)


def with_lora(model, name):
    """Rank 8 on the layers of `kerasft`'s preset "attention"."""
    import peft

    gpt2 = name == "gpt2"
    config = peft.LoraConfig(
        r=8,
        target_modules=["c_attn"] if gpt2 else ["query", "value"],
        task_type="CAUSAL_LM" if gpt2 else "SEQ_CLS",
        fan_in_fan_out=gpt2,
    )
    return peft.get_peft_model(model, config)


def stepper(model, batch, precision, device):
    """A function that takes one step."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=device != "cpu")
    kind = getattr(torch, precision)

    def step():
        cast = contextlib.nullcontext()
        if precision != "float32":
            cast = torch.autocast(device, dtype=kind)
        with cast:
            loss = model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def timed(step, steps, device):
    """Seconds of one step."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    for _ in range(WARM_UP):
        step()
    seconds = []
    for _ in range(REPEATS):
        wait()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wait()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)) / steps


def measure(options, name, method, rows):
    """One line of the table."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model_of(name, options.size, options.length)
    if method == "lora":
        model = with_lora(model, name)
    model = model.to(device).train()
    ids = torch.randint(5, VOCABULARY[name], (rows, options.length), device=device)
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    batch["labels"] = ids if name == "gpt2" else ids[:, 0] % 2
    if options.compile:
        model = torch.compile(model)
    step = stepper(model, batch, options.precision, device)
    seconds = timed(step, options.steps, device)
    return {
        "model": name,
        "method": method,
        "rows": rows,
        "length": options.length,
        "step_seconds": seconds,
        "examples_per_second": rows / seconds,
        "tokens_per_second": rows * options.length / seconds,
    }


def main():
    """Measure all, and print a line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--models", nargs="+", default=["bert", "gpt2"])
    parser.add_argument("--methods", nargs="+", default=["full", "lora"])
    parser.add_argument("--rows", nargs="+", type=int, default=[8, 32, 128])
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--out", type=argparse.FileType("w"))
    options = parser.parse_args()
    torch.set_float32_matmul_precision("high")  # TF32, as the other backends
    runs = []
    print(f"torch {torch.__version__}, transformers {transformers.__version__}")
    for case in itertools.product(options.models, options.methods, options.rows):
        run = measure(options, *case)
        runs.append(run)
        print(
            f"{run['model']:<5} {run['method']:<5} {run['rows']:>4} x "
            f"{run['length']:<5}{run['step_seconds'] * 1e3:>9.1f} ms"
            f"{run['examples_per_second']:>10.1f} examples/s"
            f"{run['tokens_per_second']:>12,.0f} tokens/s",
            flush=True,
        )
    if options.out:
        json.dump(runs, options.out, indent=1)


if __name__ == "__main__":
    main()
