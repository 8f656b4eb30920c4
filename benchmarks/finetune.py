"""Fine-tuning speed of kerasft and its peers: same rows, same recipe, same cores.

    python benchmarks/finetune.py --runs 5 --epochs 2 --update-readme
    python benchmarks/finetune.py --rows 64 --runs 1 --peers torch_loop keras_hub
    python benchmarks/finetune.py --rows 2400 --table finetune_long --update-readme \
        --peers kerasft torch_loop torch_trainer

In: a pinned checkpoint and pinned rows (see rows.py). Out: `results/finetune.json`
and a table. Peers run in turn, in processes that stay alive. Trap: the first epoch of
the TensorFlow peers holds their tracing, so whole fits and later epochs are told
apart.
"""

import json
import random
from pathlib import Path
from statistics import median

import environments
import report
from rows import cache_folder, minilm_folder, vader_rows
from workers import Peer, alternate, arguments, pin_cores, started

PEERS = {
    "kerasft": Peer("kerasft", "kerasft_fit.py", "kerasft `fit`"),
    "torch_loop": Peer("torch", "torch_loop.py", "torch, plain loop"),
    "torch_trainer": Peer("torch", "torch_trainer.py", "torch, `Trainer`"),
    "keras_hub": Peer("keras_hub", "keras_hub_fit.py", "KerasHub, length 128"),
    "tf4": Peer("tf4", "tf4_fit.py", "transformers 4 TF classes"),
    "torch_compiled": Peer(
        "torch", "torch_loop.py", "torch, `torch.compile`", {"compile": True}
    ),
    "keras_hub_xla": Peer(
        "keras_hub", "keras_hub_fit.py", "KerasHub, XLA", {"compile": True}
    ),
}
USUAL = ("kerasft", "torch_loop", "torch_trainer", "keras_hub", "tf4")
RECIPE = {
    "batch_size": 32,
    "max_length": 128,
    "learning_rate": 5e-5,
    "warmup": 0.1,
    "decay": 0.01,
    "seed": 0,
    "compile": False,
}


def film_rows() -> list[tuple[str, int]]:
    """Return film sentences and the sign of their score; those scored 0 left out."""
    return [(text, int(score > 0)) for text, score in vader_rows() if score != 0]


def split_files(rows: list[tuple], folder: Path, limit: int | None) -> dict[str, str]:
    """Write 80 % of the rows to a train file and the rest to a test file."""
    random.Random(RECIPE["seed"]).shuffle(rows)
    rows = rows[:limit]
    cut = len(rows) * 8 // 10
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, part in (("train", rows[:cut]), ("test", rows[cut:])):
        lines = [json.dumps({"text": text, "label": label}) for text, label in part]
        files[name] = str(folder / f"{name}.jsonl")
        Path(files[name]).write_text("\n".join(lines) + "\n")
    return files


def line_of(name: str, runs: list[dict], num_rows: int) -> list[str]:
    """Return one line of the table: medians over the runs."""
    fits = [run["fit_seconds"] for run in runs]
    later = [s for run in runs for s in run["epoch_seconds"][1:]]
    whole = [run["tokenise_seconds"] + run["fit_seconds"] for run in runs]
    return [
        PEERS[name].what,
        report.seconds(fits),
        f"{median(whole):.2f}",
        f"{num_rows / median(later):.0f}" if later else "-",
        f"{median(run['padding_share'] for run in runs):.1%}",
        f"{max(run['peak_memory_mib'] for run in runs):.0f}",
        f"{median(run['accuracy'] for run in runs):.3f}",
    ]


def markdown(results: dict) -> str:
    """Return the table of medians with its caption."""
    header = ["peer", "fit, s", "tokenise + fit, s", "examples/s after epoch 1"]
    header += ["padding", "peak MiB", "test accuracy"]
    num_rows = results["settings"]["train rows"]
    lines = [
        line_of(name, peer["runs"], num_rows)
        for name, peer in results["peers"].items()
        if peer["runs"]
    ]
    return f"{report.caption(results)}\n\n{report.table(header, lines)}"


def measured(peers, job: dict, options, python_of) -> dict:
    """Run all peers in turn; return what they reported, saved after every run."""
    folder = cache_folder() / "benchmarks" / "jobs" / "finetune"
    results = {
        "machine": report.machine(),
        "settings": {
            "train rows": len(Path(job["train"]).read_text().splitlines()),
            "batch size": job["batch_size"],
            "epochs": job["epochs"],
            "runs": options.runs,
        },
        "peers": {},
    }
    with started(peers, job, python_of, folder) as workers:
        for name, worker in workers.items():
            results["peers"][name] = {"versions": worker.versions, "runs": []}
        for name, run in alternate(workers, options.runs):
            results["peers"][name]["runs"].append(run)
            report.save(results, options.table)
            print(f"{name}: fit {run['fit_seconds']:.2f} s", flush=True)
    return results


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], PEERS, USUAL)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--table", default="finetune", help="of the README, to fill")
    options = parser.parse_args()
    pin_cores(options.cores)
    folder = cache_folder() / "benchmarks" / "jobs" / "finetune"
    job = {**RECIPE, **split_files(film_rows(), folder, options.rows)}
    job |= {"checkpoint": str(minilm_folder()), "epochs": options.epochs}
    job |= {"threads": options.cores}
    peers = {name: PEERS[name] for name in options.peers}
    python_of = environments.chooser(options.python)
    results = measured(peers, job, options, python_of)
    print(markdown(results))
    if options.update_readme:
        report.into_readme(markdown(results), options.table)


if __name__ == "__main__":
    main()
