"""Test accuracy of kerasft and torch by the same recipe, median over seeds.

    python benchmarks/accuracy.py --data bbc --epochs 2 --seeds 0 1 2 --update-readme
    python benchmarks/accuracy.py --data films --epochs 2 --seeds 0 1 2 --update-readme
    python benchmarks/accuracy.py --data tags --rows 4000 --epochs 3 --update-readme

In: the checkpoint, rows and recipe of finetune.py (batches of 16 for the long BBC
articles). `tags` are parts of speech of the words of a treebank, and accuracy is that
of words. Both train on the same split; a seed decides head, dropout and order. Out:
`results/accuracy_{data}.json` and a table.
"""

import argparse
from statistics import median

import environments
import report
from finetune import PEERS, RECIPE, film_rows, split_files
from rows import bbc_rows, cache_folder, minilm_folder, treebank_file
from workers import Peer, started


def topic_rows() -> list[tuple[str, int]]:
    """Return BBC articles with the number of their topic."""
    rows = bbc_rows()
    topics = sorted({topic for _, topic in rows})
    return [(text, topics.index(topic)) for text, topic in rows]


def tagged_rows() -> list[tuple[list[str], list[str]]]:
    """Return words and parts of speech of the sentences of a treebank."""
    rows = []
    for sentence in treebank_file().read_text("utf-8").strip().split("\n\n"):
        lines = [line.split("\t") for line in sentence.split("\n") if line[0] != "#"]
        words = [line for line in lines if line[0].isdigit()]
        rows.append(([line[1] for line in words], [line[3] for line in words]))
    return rows


DATA = {"bbc": (topic_rows, 16), "films": (film_rows, 32), "tags": (tagged_rows, 16)}
TAGGERS = {
    "kerasft": Peer("kerasft", "kerasft_tags.py", "kerasft `TokenClassifier`"),
    "torch_loop": Peer("torch", "torch_tags.py", "torch, plain loop"),
}


def peers_of(data: str) -> dict[str, Peer]:
    """Return the programs that learn such rows."""
    return TAGGERS if data == "tags" else PEERS


def measured(options) -> dict:
    """Train every peer with every seed; return the accuracies, saved after each."""
    read, batch_size = DATA[options.data]
    folder = cache_folder() / "benchmarks" / "jobs" / f"accuracy-{options.data}"
    job = RECIPE | split_files(read(), folder, options.rows)
    job |= {"checkpoint": str(minilm_folder()), "epochs": options.epochs}
    job |= {"threads": 2, "batch_size": batch_size}
    names = ("data", "rows", "epochs", "seeds")
    settings = {n: vars(options)[n] for n in names if vars(options)[n] is not None}
    results = {"machine": report.machine(), "settings": settings, "peers": {}}
    python_of = environments.chooser(options.python)
    for seed in options.seeds:
        for name in options.peers:
            peers = {name: peers_of(options.data)[name]}
            with started(peers, job | {"seed": seed}, python_of, folder) as workers:
                run = workers[name].run()
                peer = results["peers"].setdefault(
                    name, {"versions": workers[name].versions, "accuracy": []}
                )
            peer["accuracy"].append(run["accuracy"])
            print(f"{name}, seed {seed}: {run['accuracy']:.4f}", flush=True)
            report.save(results, f"accuracy_{options.data}")
    return results


def markdown(results: dict) -> str:
    """Return the table of accuracies with its caption."""
    lines = [
        [
            peers_of(results["settings"]["data"])[name].what,
            ", ".join(f"{one:.4f}" for one in peer["accuracy"]),
            f"{median(peer['accuracy']):.4f}",
        ]
        for name, peer in results["peers"].items()
    ]
    return f"{report.caption(results)}\n\n" + report.table(
        ["peer", "test accuracy by seed", "median"], lines
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=DATA, required=True)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", type=int, help="take only so many (default: all)")
    parser.add_argument("--peers", nargs="+", default=["kerasft", "torch_loop"])
    parser.add_argument("--python", nargs="+", default=[], metavar="ENV=PYTHON")
    parser.add_argument("--update-readme", action="store_true")
    options = parser.parse_args()
    results = measured(options)
    print(markdown(results))
    if options.update_readme:
        report.into_readme(markdown(results), f"accuracy_{options.data}")


if __name__ == "__main__":
    main()
