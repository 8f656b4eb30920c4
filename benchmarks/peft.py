"""Every method beside full fine-tuning: accuracy, trained share, seconds, memory.

    python benchmarks/peft.py --data bbc --seeds 0 1 2 --at-once 2
    python benchmarks/peft.py --data films --rows 2000 --seeds 0 1 2 --at-once 2
    python benchmarks/peft.py --data bbc --timed 1 --steps 20 --update-readme
    python benchmarks/peft.py --data cost --runs 5 --update-readme

`bbc` and `films` train MiniLM on real text by each method's own learning rate; the
split is that of accuracy.py. Runs in the results are not made again. With `--timed`
they time a few steps by every method in turn, so often; so accuracies may come from a
busy machine (`--at-once 2`: two runs side by side, a core each), times must not. `cost`
times steps of a random BERT of base size, full and LoRA of rank 8, here and in torch
with peft, in turn. Each run is a process of its own, so its peak of memory is its own.
`--backend jax` trains on the accelerator that JAX sees, without TensorFlow.
Out: `results/peft_{data}.json`, a table, and of the first two a picture.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor, as_completed
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


def kept(results: dict, name: str, told: tuple[dict, dict], data: str, kind="runs"):
    """Add a run to those of its kind, and save the results."""
    versions, run = told
    peer = results["peers"].setdefault(name, {"versions": versions, "runs": []})
    peer.setdefault(kind, []).append(run)
    right = f"{run['accuracy']:.4f}, " if "accuracy" in run else ""
    took = f"{run['step_seconds']:.3f} s a step, {run['peak_memory_mib']:.0f} MiB"
    print(f"{name}: {right}{took}", flush=True)
    report.save(results, f"peft_{data}")


def started_results(options, job: dict) -> dict:
    """Return the results to go on with, or new ones."""
    names = ("data", "rows", "epochs", "backend")
    settings = {n: vars(options)[n] for n in names if vars(options)[n] is not None}
    settings |= {"batch_size": job["batch_size"]}
    results = {"machine": report.machine(), "settings": settings, "peers": {}}
    file = report.HERE / "results" / f"peft_{options.data}.json"
    if file.exists():
        earlier = json.loads(file.read_text())
        if all(earlier[key] == results[key] for key in ("machine", "settings")):
            return earlier
    return results


def method_job(options, folder: Path) -> dict:
    """Return what all runs on the chosen text have in common."""
    read, batch_size = DATA[options.data]
    job = RECIPE | split_files(read(), folder, options.rows)
    job |= {"checkpoint": str(minilm_folder()), "epochs": options.epochs, "steps": 0}
    job |= {"batch_size": batch_size, "threads": max(1, 2 // options.at_once)}
    return job | ({"backend": options.backend} if options.backend else {})


def accuracies(options, python_of, folder: Path, job: dict, results: dict) -> None:
    """Train by every method with every seed, but those in the results."""

    def trained(name, seed):
        chosen = {"method": name, "settings": METHODS[name], "seed": seed}
        peer = Peer("kerasft", "kerasft_peft.py", name)
        told = one_run(f"{name}-{seed}", peer, job | chosen, python_of, folder)
        return name, (told[0], told[1] | {"seed": seed})

    done = {
        (name, run["seed"])
        for name, peer in results["peers"].items()
        for run in peer["runs"]
    }
    wanted = [(name, seed) for seed in options.seeds for name in options.methods]
    with ThreadPoolExecutor(options.at_once) as pool:
        jobs = [pool.submit(trained, *one) for one in wanted if one not in done]
        for one in as_completed(jobs):
            kept(results, *one.result(), options.data)


def times(options, python_of, folder: Path, job: dict, results: dict) -> None:
    """Time a few steps by every method in turn, that has accuracies."""
    missing = [name for name in options.methods if name not in results["peers"]]
    if missing:
        raise SystemExit(f"no accuracies yet of {missing}: run without --timed first")
    for name in options.methods:
        results["peers"][name]["timed"] = []
    for seed in range(options.timed):
        for name in options.methods:
            chosen = {"method": name, "settings": METHODS[name], "seed": seed}
            peer = Peer("kerasft", "kerasft_peft.py", name)
            steps = {"steps": options.steps, "threads": 2}
            told = one_run(name, peer, job | chosen | steps, python_of, folder)
            kept(results, name, told, options.data, "timed")


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
            peer, file = Peer(environment, script, name), name.replace(", ", "-")
            chosen = job | {"method": method}
            told = one_run(file.replace(" ", "-"), peer, chosen, python_of, folder)
            kept(results, name, told, "cost")
    return results


def markdown(results: dict) -> str:
    """Return the table with its caption."""
    rows, full = [], "full" in results["peers"]
    timed = all(peer.get("timed") for peer in results["peers"].values()) or not full
    order = [name for name in METHODS if name in results["peers"]]
    for name in order if full else results["peers"]:
        peer = results["peers"][name]
        line = [name, f"{peer['runs'][0]['trained']:,}"]
        if full:
            line += accuracy_cells(peer["runs"])
        if timed:
            line += cost_cells(peer["timed"] if full else peer["runs"])
        rows.append(line)
    header = ["method" if full else "run", "trained weights"]
    if full:
        header += ["share", "test accuracy by seed", "median"]
    if timed:
        header += ["s a step", "peak MiB", "less that of the imports"]
    devices = {
        r.get("device") for peer in results["peers"].values() for r in peer["runs"]
    }
    told = ", ".join(sorted(devices - {None, "cpu"}))
    on = f" Trained on {told}." if told else ""
    return f"{report.caption(results)}{on}\n\n" + report.table(header, rows)


def accuracy_cells(runs: list[dict]) -> list[str]:
    """Return trained share, accuracies by seed, and their median."""
    found = [run["accuracy"] for run in sorted(runs, key=lambda run: run["seed"])]
    each = ", ".join(f"{one:.4f}" for one in found)
    return [f"{runs[0]['share']:.3%}", each, f"{median(found):.4f}"]


def cost_cells(runs: list[dict]) -> list[str]:
    """Return medians: seconds of a step, peak of memory, the same but the imports'."""
    seconds = median(run["step_seconds"] for run in runs)
    memory = median(run["peak_memory_mib"] for run in runs)
    own = median(run["peak_memory_mib"] - run["libraries_mib"] for run in runs)
    return [f"{seconds:.3f}", f"{memory:.0f}", f"{own:.0f}"]


def picture(results: dict, data: str) -> Path:
    """Draw accuracy over the trained share; return the file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for number, (name, peer) in enumerate(results["peers"].items()):
        found = [run["accuracy"] for run in peer["runs"]]
        share = 100 * peer["runs"][0]["share"]
        axes.plot([share] * len(found), found, "o", color="tab:blue", alpha=0.4)
        aside = (4, 9 * (number % 3 - 1))  # Some methods lie at one place.
        place = {"xytext": aside, "textcoords": "offset points", "fontsize": 8}
        axes.annotate(name, (share, median(found)), **place)
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
    parser.add_argument("--at-once", type=int, default=1, help="runs side by side")
    parser.add_argument("--timed", type=int, default=0, help="time, so often")
    parser.add_argument("--runs", type=int, default=5, help="of `cost`")
    parser.add_argument("--steps", type=int, default=12, help="of a run that is timed")
    parser.add_argument("--backend", choices=("jax",), help="of bbc and films")
    parser.add_argument("--python", nargs="+", default=[], metavar="ENV=PYTHON")
    parser.add_argument("--update-readme", action="store_true")
    options = parser.parse_args()
    if options.backend is None:
        pin_cores(2)
    elif options.data == "cost":
        parser.error("--backend is of bbc and films; cost compares on TensorFlow")
    python_of = environments.chooser(options.python)
    results = measured(options, python_of)
    print(markdown(results))
    if options.data != "cost":
        print(picture(results, options.data))
    if options.update_readme:
        report.into_readme(markdown(results), f"peft_{options.data}")


def measured(options, python_of) -> dict:
    """Return the results that the flags ask for, with those there were."""
    if options.data == "cost":
        return costs(options, python_of)
    folder = cache_folder() / "benchmarks" / "jobs" / f"peft-{options.data}"
    job = method_job(options, folder)
    results = started_results(options, job)
    learn = times if options.timed else accuracies
    learn(options, python_of, folder, job, results)
    return results


if __name__ == "__main__":
    main()
