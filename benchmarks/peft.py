"""Every method beside full fine-tuning: accuracy, trained share, seconds, memory.

    python benchmarks/peft.py --data bbc --seeds 0 1 2 --update-readme
    python benchmarks/peft.py --data films --rows 2000 --seeds 0 1 2 --update-readme
    python benchmarks/peft.py --data cost --runs 5 --update-readme

`bbc` and `films` train MiniLM on real text by each method's own learning rate; the
split is that of accuracy.py. `cost` times steps of a random BERT of base size, full and
LoRA of rank 8, here and in torch with peft, in turn. Each run is a process of its own,
so its peak of memory is its own; runs of `bbc` and `films` in the results are not
made again. `--backend jax` trains on the accelerator that JAX sees, without TensorFlow.
Out: `results/peft_{data}.json`, a table, and of the first two a picture.
"""

import argparse
import json
from pathlib import Path
from statistics import median

import environments
import report
from accuracy import DATA
from finetune import RECIPE, split_files
from rows import cache_folder, minilm_folder
from workers import Peer, pin_cores, started

METHODS = {
    "full": {},
    "lora": {"rank": 8},
    "dora": {"rank": 8},
    "adalora": {},
    "ia3": {},
    "bitfit": {},
    "houlsby": {},
    "pfeiffer": {},
    "parallel": {},
    "prefix": {"num_virtual_tokens": 20},
    "ptuning_v2": {"num_virtual_tokens": 20},
    "prompt": {"num_virtual_tokens": 20},
    "ptuning": {"num_virtual_tokens": 20},
}
COSTS = {
    "kerasft, full": ("kerasft", "kerasft_peft.py", "full"),
    "torch, full": ("torch", "torch_peft.py", "full"),
    "kerasft, LoRA": ("kerasft", "kerasft_peft.py", "lora"),
    "torch peft, LoRA": ("torch", "torch_peft.py", "lora"),
}
BASE = {"model_type": "bert", "hidden_size": 768, "num_hidden_layers": 12}
BASE |= {"num_attention_heads": 12, "intermediate_size": 3072}


def base_checkpoint() -> Path:
    """Return a random BERT of base size with MiniLM's tokenizer, made if missing."""
    import shutil

    from kerasft.models import family_of
    from kerasft.models.config import from_json

    folder = cache_folder() / "benchmarks" / "random-bert-base"
    if not (folder / "model.safetensors").exists():
        content = BASE | {"vocab_size": 30522, "max_position_embeddings": 512}
        family = family_of(content)
        config = from_json(family, content, "config")
        family.new_backbone(config).save_pretrained(folder)
        for file in minilm_folder().glob("*token*"):
            shutil.copy(file, folder)
    return folder


def one_run(name: str, peer: Peer, job: dict, python_of, folder: Path):
    """Return versions and report of one run in a process of its own."""
    with started({name: peer}, job, python_of, folder) as workers:
        return workers[name].versions, workers[name].run()


def kept(results: dict, name: str, versions: dict, run: dict, options) -> None:
    """Add a run to the results, and save them."""
    peer = results["peers"].setdefault(name, {"versions": versions, "runs": []})
    peer["runs"].append(run)
    told = f"{run['step_seconds']:.3f} s a step, {run['peak_memory_mib']:.0f} MiB"
    right = f"{run['accuracy']:.4f}, " if "accuracy" in run else ""
    print(f"{name}: {right}{told}", flush=True)
    report.save(results, f"peft_{options.data}")


def accuracies(options, python_of) -> dict:
    """Train by every method with every seed."""
    read, batch_size = DATA[options.data]
    folder = cache_folder() / "benchmarks" / "jobs" / f"peft-{options.data}"
    job = RECIPE | split_files(read(), folder, options.rows)
    job |= {"checkpoint": str(minilm_folder()), "epochs": options.epochs}
    job |= {"threads": 2, "batch_size": batch_size, "steps": 0}
    names = ("data", "rows", "epochs", "backend")
    settings = {n: vars(options)[n] for n in names if vars(options)[n] is not None}
    if options.backend:
        job["backend"] = options.backend
    results = {"machine": report.machine(), "settings": settings, "peers": {}}
    file = report.HERE / "results" / f"peft_{options.data}.json"
    if file.exists():
        earlier = json.loads(file.read_text())
        if all(earlier[key] == results[key] for key in ("machine", "settings")):
            results = earlier  # Go on with it.
    for seed in options.seeds:
        for name in options.methods:
            runs = results["peers"].get(name, {"runs": []})["runs"]
            if any(run["seed"] == seed for run in runs):
                continue
            chosen = {"method": name, "settings": METHODS[name], "seed": seed}
            peer = Peer("kerasft", "kerasft_peft.py", name)
            versions, run = one_run(name, peer, job | chosen, python_of, folder)
            kept(results, name, versions, run | {"seed": seed}, options)
    return results


def costs(options, python_of) -> dict:
    """Time and weigh full and LoRA steps of both peers, in turn."""
    folder = cache_folder() / "benchmarks" / "jobs" / "peft-cost"
    job = RECIPE | split_files(DATA["bbc"][0](), folder, options.rows or 400)
    job |= {"checkpoint": str(base_checkpoint()), "epochs": 1, "threads": 2}
    job |= {"batch_size": 8, "steps": options.steps, "settings": {"rank": 8}}
    settings = {"batch size": 8, "tokens": job["max_length"], "runs": options.runs}
    results = {"machine": report.machine(), "settings": settings, "peers": {}}
    for _ in range(options.runs):
        for name, (environment, script, method) in COSTS.items():
            peer = Peer(environment, script, name)
            told = one_run(
                name.replace(", ", "-").replace(" ", "-"),
                peer,
                job | {"method": method},
                python_of,
                folder,
            )
            kept(results, name, *told, options)
    return results


def markdown(results: dict) -> str:
    """Return the table with its caption."""
    rows, full = [], results["peers"].get("full")
    for name, peer in results["peers"].items():
        runs = peer["runs"]
        seconds = median(run["step_seconds"] for run in runs)
        memory = median(run["peak_memory_mib"] for run in runs)
        own = median(run["peak_memory_mib"] - run["libraries_mib"] for run in runs)
        line = [name, f"{runs[0]['trained']:,}"]
        if "accuracy" in runs[0]:
            found = [run["accuracy"] for run in runs]
            line += [f"{runs[0]['share']:.3%}", ", ".join(f"{a:.4f}" for a in found)]
            line += [f"{median(found):.4f}"]
        rows.append([*line, f"{seconds:.3f}", f"{memory:.0f}", f"{own:.0f}"])
    header = ["method" if full else "run", "trained weights"]
    if full:
        header += ["share", "test accuracy by seed", "median"]
    header += ["s a step", "peak MiB", "less that of the imports"]
    devices = {
        r.get("device") for peer in results["peers"].values() for r in peer["runs"]
    }
    told = ", ".join(sorted(devices - {None, "cpu"}))
    on = f" Trained on {told}." if told else ""
    return f"{report.caption(results)}{on}\n\n" + report.table(header, rows)


def picture(results: dict, data: str) -> Path:
    """Draw accuracy over the trained share; return the file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, peer in results["peers"].items():
        found = [run["accuracy"] for run in peer["runs"]]
        share = 100 * peer["runs"][0]["share"]
        axes.plot([share] * len(found), found, "o", color="tab:blue", alpha=0.4)
        axes.annotate(name, (share, median(found)), fontsize=8)
    axes.set(xscale="log", xlabel="trained weights, %", ylabel="test accuracy")
    axes.set_title(f"MiniLM on {data}, by method")
    file = report.HERE / "results" / f"peft_{data}.png"
    figure.savefig(file, dpi=110)
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=("bbc", "films", "cost"), required=True)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", type=int, help="take only so many (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="of `cost`")
    parser.add_argument("--steps", type=int, default=12, help="of a run of `cost`")
    parser.add_argument("--backend", choices=("jax",), help="of bbc and films")
    parser.add_argument("--python", nargs="+", default=[], metavar="ENV=PYTHON")
    parser.add_argument("--update-readme", action="store_true")
    options = parser.parse_args()
    if options.backend is None:
        pin_cores(2)
    elif options.data == "cost":
        parser.error("--backend is of bbc and films; cost compares on TensorFlow")
    python_of = environments.chooser(options.python)
    results = (costs if options.data == "cost" else accuracies)(options, python_of)
    print(markdown(results))
    if options.data != "cost":
        print(picture(results, options.data))
    if options.update_readme:
        report.into_readme(markdown(results), f"peft_{options.data}")


if __name__ == "__main__":
    main()
