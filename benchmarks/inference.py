"""Speed of strings in, labels out: kerasft's SavedModel and torch.

    python benchmarks/inference.py --runs 5 --update-readme
    python benchmarks/inference.py --rows 64 --runs 1 --checkpoint F --saved-model S

In: all film sentences, and BBC articles cut to 128 tokens, as Python strings. Out:
`results/inference.json` and a table. Without `--checkpoint` and `--saved-model` a
classifier is fine-tuned briefly and exported first. Trap: a first pass traces and warms
up; it is reported, but is no part of the medians.
"""

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median

import environments
import report
from finetune import RECIPE, film_rows, split_files
from rows import bbc_rows, cache_folder, minilm_folder, vader_rows
from workers import Peer, alternate, arguments, pin_cores, started

SORTED = {"sort": True}
PLAIN = {"plain": True}
ONEDNN = {"onednn": True}
PIPELINE = "torch_pipeline.py"
PEERS = {
    "saved_model": Peer("kerasft", "saved_model.py", "kerasft SavedModel"),
    "saved_model_onednn": Peer(
        "kerasft", "saved_model.py", "kerasft SavedModel, oneDNN on", ONEDNN
    ),
    "torch_pipeline": Peer("torch", PIPELINE, "torch `pipeline`"),
    "torch_plain": Peer("torch", PIPELINE, "torch by hand", PLAIN),
    "saved_model_sorted": Peer(
        "kerasft", "saved_model.py", "kerasft SavedModel, sorted", SORTED
    ),
    "torch_pipeline_sorted": Peer(
        "torch", PIPELINE, "torch `pipeline`, sorted", SORTED
    ),
    "torch_plain_sorted": Peer(
        "torch", PIPELINE, "torch by hand, sorted", PLAIN | SORTED
    ),
}
TRAINED_ON = 2_000  # rows; how well it is trained does not matter here
EXPORT = {"export": Peer("kerasft", "kerasft_export.py", "makes the classifier")}


def exported(folder: Path, python_of: Callable[[str], Path]) -> tuple[str, str]:
    """Fine-tune on some film rows; return checkpoint folder and SavedModel folder."""
    job = {**RECIPE, **split_files(film_rows(), folder, TRAINED_ON)}
    job |= {"checkpoint": str(minilm_folder())}
    job |= {"folder": str(folder / "checkpoint"), "threads": 2}
    job |= {"saved_model": str(folder / "saved_model")}
    with started(EXPORT, job, python_of, folder) as workers:
        workers["export"].run()
    return job["folder"], job["saved_model"]


def texts_files(folder: Path, limit: int | None) -> dict[str, str]:
    """Write the texts of both data sets as JSON lists; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, rows in (("film", vader_rows()), ("bbc", bbc_rows())):
        files[name] = str(folder / f"{name}.texts")
        Path(files[name]).write_text(json.dumps([text for text, _ in rows[:limit]]))
    return files


def line_of(name: str, runs: list[dict], reference: list[str]) -> list[str]:
    """Return one line of the table: medians over the runs after the first."""
    later = [run["seconds"] for run in runs[1:]] or [runs[0]["seconds"]]
    labels = runs[0]["labels"]
    same = [label == other for label, other in zip(labels, reference, strict=True)]
    return [
        PEERS[name].what,
        report.seconds(later),
        f"{len(labels) / median(later):.0f}",
        f"{runs[0]['load_seconds'] + runs[0]['seconds']:.2f}",
        f"{max(run['peak_memory_mib'] for run in runs):.0f}",
        f"{sum(same) / len(same):.2%}",
    ]


def markdown(results: dict) -> str:
    """Return one table of medians per data set with a caption."""
    parts = [report.caption(results)]
    header = ["peer", "pass, s", "texts/s", "load + first pass, s", "peak MiB"]
    header += ["labels as the first line's"]
    for data, runs in results["data"].items():
        reference = next(iter(runs.values()))[0]["labels"]
        lines = [line_of(name, each, reference) for name, each in runs.items()]
        parts += [f"{data}, {len(reference)} texts:", report.table(header, lines)]
    return "\n\n".join(parts)


def without_labels(results: dict) -> dict:
    """Return the results without the labels of every text, for the file."""
    data = {
        name: {
            peer: [{k: v for k, v in run.items() if k != "labels"} for run in runs]
            for peer, runs in by_peer.items()
        }
        for name, by_peer in results["data"].items()
    }
    return {**results, "data": data}


def measured(peers, job: dict, files: dict[str, str], runs: int, python_of) -> dict:
    """Run all peers on every data set in turn; return what they reported."""
    folder = cache_folder() / "benchmarks" / "jobs" / "inference"
    results = {
        "machine": report.machine(),
        "settings": {"batch size": job["batch_size"], "runs": runs},
        "peers": {},
        "data": {data: {name: [] for name in peers} for data in files},
    }
    for data, file in files.items():
        with started(peers, {**job, "texts": file}, python_of, folder) as workers:
            for name, worker in workers.items():
                results["peers"][name] = {"versions": worker.versions}
            for name, run in alternate(workers, runs + 1):
                results["data"][data][name].append(run)
                print(f"{data}, {name}: {run['seconds']:.2f} s", flush=True)
    return results


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], PEERS, tuple(PEERS))
    parser.add_argument("--checkpoint", help="a fine-tuned Hugging Face folder")
    parser.add_argument("--saved-model", help="the same, exported")
    options = parser.parse_args()
    if bool(options.checkpoint) != bool(options.saved_model):
        parser.error("--checkpoint and --saved-model are given together or not at all")
    pin_cores(options.cores)
    folder = cache_folder() / "benchmarks" / "jobs" / "inference"
    python_of = environments.chooser(options.python)
    checkpoint, saved_model = options.checkpoint, options.saved_model
    if not checkpoint:
        checkpoint, saved_model = exported(folder, python_of)
    job = {"batch_size": RECIPE["batch_size"], "max_length": RECIPE["max_length"]}
    job |= {"checkpoint": checkpoint, "saved_model": saved_model, "sort": False}
    job |= {"plain": False, "threads": options.cores}
    peers = {name: PEERS[name] for name in options.peers}
    files = texts_files(folder, options.rows)
    results = measured(peers, job, files, options.runs, python_of)
    report.save(without_labels(results), "inference")
    print(markdown(results))
    if options.update_readme:
        report.into_readme(markdown(results), "inference")


if __name__ == "__main__":
    main()
