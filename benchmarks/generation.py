"""Speed of writing: kerasft, torch and KerasHub go on from the same prompts.

    python benchmarks/generation.py --runs 5 --update-readme
    python benchmarks/generation.py --runs 1 --tokens 8 --peers kerasft torch

In: a GPT-2 of the small size (124 million weights) with random weights, 8 prompts of 64
random tokens, float32. Out: `results/generation.json` and a table: seconds for 64 new
tokens a prompt, the likeliest one each time, and what reading all weights once a step
would take at the speed at which this machine reads memory. Trap: a first pass traces
and warms up; it is reported, but is no part of the medians.
"""

import json
from pathlib import Path
from statistics import median

import environments
import report
from rows import cache_folder, minilm_folder
from workers import Peer, alternate, arguments, pin_cores, started

PEERS = {
    "kerasft": Peer("kerasft", "kerasft_generate.py", "kerasft `generate_ids`"),
    "torch": Peer("torch", "torch_generate.py", "torch `generate`"),
    "keras_hub": Peer("keras_hub", "keras_hub_generate.py", "KerasHub `generate`"),
}
MAKER = {"maker": Peer("torch", "torch_gpt2.py", "makes the checkpoint")}


def checkpoint(folder: Path, python_of) -> str:
    """Return a folder with a random GPT-2, and the tokenizer of another model."""
    place = folder / "gpt2-small-random"
    if not (place / "tokenizer.json").exists():
        job = {"folder": str(place), "threads": 2}
        with started(MAKER, job, python_of, folder) as workers:
            workers["maker"].run()
        content = (minilm_folder() / "tokenizer.json").read_bytes()
        (place / "tokenizer.json").write_bytes(content)
    return str(place)


def measured(peers, job: dict, runs: int, python_of, folder: Path) -> dict:
    """Run all peers in turn; return what they reported."""
    settings = {name: job[name] for name in ("prompts", "length", "tokens")}
    results = {
        "machine": report.machine(),
        "settings": {**settings, "runs": runs},
        "peers": {},
    }
    with started(peers, job, python_of, folder) as workers:
        for name, worker in workers.items():
            results["peers"][name] = {"versions": worker.versions, "runs": []}
        for name, run in alternate(workers, runs + 1):
            results["peers"][name]["runs"].append(run)
            print(f"{name}: {run['seconds']:.2f} s", flush=True)
    return results


def markdown(results: dict) -> str:
    """Return the table of medians with its caption."""
    settings, lines = results["settings"], []
    made = settings["prompts"] * settings["tokens"]
    first = next(iter(results["peers"].values()))["runs"][0]["ids"]
    for name, peer in results["peers"].items():
        seconds = [run["seconds"] for run in peer["runs"][1:] or peer["runs"]]
        same = peer["runs"][0]["ids"] == first
        lines.append(
            [
                PEERS[name].what,
                report.seconds(seconds),
                f"{made / median(seconds):.0f}",
                f"{peer['runs'][0]['seconds']:.1f}",
                "yes" if same else "other weights" if name == "keras_hub" else "no",
            ]
        )
    header = ["peer", "pass, s", "tokens/s", "first pass, s", "the first line's tokens"]
    bounds = [
        run["weight_bytes"] / run["bytes_per_second"]
        for run in results["peers"].get("torch", {"runs": []})["runs"]
    ]
    told = ""
    if bounds:
        told = (
            f"\n\nReading all weights once takes {1000 * median(bounds):.0f} ms here, "
            f"{settings['tokens']} times {settings['tokens'] * median(bounds):.2f} s."
        )
    return f"{report.caption(results)}\n\n{report.table(header, lines)}{told}"


def without_ids(results: dict) -> dict:
    """Return the results without the tokens, for the file."""
    content = json.loads(json.dumps(results))
    for peer in content["peers"].values():
        for run in peer["runs"]:
            run.pop("ids")
    return content


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], PEERS, tuple(PEERS))
    parser.add_argument("--tokens", type=int, default=64, help="new ones a prompt")
    options = parser.parse_args()
    pin_cores(options.cores)
    folder = cache_folder() / "benchmarks" / "jobs" / "generation"
    python_of = environments.chooser(options.python)
    job = {"checkpoint": checkpoint(folder, python_of), "threads": options.cores}
    job |= {"prompts": options.rows or 8, "length": 64, "tokens": options.tokens}
    peers = {name: PEERS[name] for name in options.peers}
    results = measured(peers, job, options.runs, python_of, folder)
    report.save(without_ids(results), "generation")
    print(markdown(results))
    if options.update_readme:
        report.into_readme(markdown(results), "generation")


if __name__ == "__main__":
    main()
