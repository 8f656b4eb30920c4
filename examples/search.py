"""Which learning rate and batch size? A search by KerasTuner over film sentences.

Command   python examples/search.py
Minutes   about 25 on two busy cores, downloads left out
Expected  test accuracy about 0.83, by the best of 6 trials

Rows: film sentences with human scores, good above 0 and bad below. Each trial is a
process of its own; killed, the same command goes on where it was. A recipe of such a
search for the command line: `examples/recipes/search.yaml`.
"""

import argparse
import csv
from pathlib import Path

import real_inputs

import kerasft as kft

SPACE = {
    "learning_rate": {"min": 1e-5, "max": 1e-3, "sampling": "log"},
    "batch_size": [8, 16, 32],
}


def write_files(folder, count):
    """`train.csv`, `valid.csv` and `test.csv`, with the columns text and mood."""
    rows = [
        (text, "good" if score > 0 else "bad")
        for text, score in real_inputs.vader_rows("films")
        if abs(score) > 0.5  # The rest is neither.
    ]
    rows = kft.from_lists(*zip(*rows, strict=True))
    share = min(1, count / len(rows))
    if share < 1:
        rows, _ = kft.split(rows, (share, 1 - share), seed=0, stratify=True)
    parts = kft.split(rows, (0.6, 0.2, 0.2), seed=0, stratify=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in zip(("train", "valid", "test"), parts, strict=True):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(("text", "mood"))
            lines.writerows(tuple(part[i].values()) for i in range(len(part)))


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", help="folder or hub name; default: MiniLM-L6")
    parser.add_argument("--rows", type=int, default=2000, help="sentences to use")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--trials", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=1, help="trials at work at once")
    parser.add_argument("--out", default="saved_models/search")
    args = parser.parse_args(argv)

    files = Path(f"{args.out}-data")
    write_files(files, args.rows)
    settings = kft.FinetuneSettings(
        checkpoint=str(args.checkpoint or real_inputs.minilm_folder()),
        train=str(files / "train.csv"),
        validation=str(files / "valid.csv"),
        test=str(files / "test.csv"),
        text="text",
        label="mood",
        max_length=64,
        epochs=args.epochs,
        monitor="val_accuracy",
        out=f"{args.out}-trials",
    )
    found = kft.search(
        settings, SPACE, algorithm="bayesian", trials=args.trials, jobs=args.jobs
    )
    print(f"the best: {found.best['values']}, validation {found.best['score']:.3f}")
    # The best model is there already; here its recipe makes it again.
    best = found.settings(out=args.out)
    run = kft.finetune(best)
    print(f"made again: test accuracy {run.metrics['test']['accuracy']:.3f}")
    return run.task


if __name__ == "__main__":
    main()
