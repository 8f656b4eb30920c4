"""Is the ensemble of five folds better than its members? BBC news, held-out articles.

Command   python benchmarks/folds.py --folder /tmp/folds
Minutes   about 6 on two cores; the same command goes on where it was stopped
Expected  the ensemble's accuracy and log loss on the test articles better than the mean
          of the five; its SavedModel gives the probabilities in memory to 1e-5

Few articles to train on and a short fit, so that there is something left to win.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

import kerasft as kft

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))


def write_files(folder, count, tested):
    import real_inputs

    articles = dict(real_inputs.bbc_rows())  # Each text once.
    rows = kft.from_lists(list(articles), list(articles.values()))
    ratios = [share / len(rows) for share in (count, tested)]
    parts = kft.split(rows, (*ratios, 1 - sum(ratios)), seed=0, stratify=True)[:2]
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in zip(("train", "test"), parts, strict=True):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(("text", "topic"))
            lines.writerows(tuple(part[i].values()) for i in range(len(part)))


def serve(folder, texts):
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - registers the ops

    function = tf.saved_model.load(str(folder)).signatures["serving_default"]
    batches = [texts[i : i + 32] for i in range(0, len(texts), 32)]
    answers = [function(text=tf.constant(one))["probabilities"] for one in batches]
    return np.concatenate(answers)


def main():
    import real_inputs

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=150, help="articles to train on")
    parser.add_argument("--test-rows", type=int, default=600)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()

    data, out = options.folder / "data", options.folder / "folds"
    if not data.exists():
        write_files(data, options.rows, options.test_rows)
    if not (out / "metrics.json").exists():
        kft.finetune(
            kft.FinetuneSettings(
                checkpoint=str(real_inputs.minilm_folder()),
                train=str(data / "train.csv"),
                test=str(data / "test.csv"),
                text="text",
                label="topic",
                max_length=48,
                epochs=options.epochs,
                learning_rate=2e-4,
                folds=5,
                out=str(out),
                tensorboard=str(options.folder / "logs"),
            )
        )
    test = kft.read_csv(data / "test.csv", text="text", label="topic")
    ensemble = kft.Ensemble.from_pretrained(out, max_length=48)
    together = kft.report_on(ensemble, test).metrics
    alone = [kft.report_on(one, test).metrics for one in ensemble.members]
    for name in ("accuracy", "f1_macro", "log_loss"):
        told = [one[name] for one in alone]
        singles = ", ".join(f"{value:.4f}" for value in told)
        print(f"{name}: ensemble {together[name]:.4f}, mean of the five ", end="")
        print(f"{np.mean(told):.4f} ({singles})")
    ensemble.export(options.folder / "served", test)
    wanted = ensemble.probabilities(ensemble.predict_rows(test))
    apart = np.abs(serve(options.folder / "served", test.texts()) - wanted).max()
    print(f"SavedModel against memory on {len(test)} articles: {apart:.1e} at most")
    assert together["accuracy"] > np.mean([one["accuracy"] for one in alone])
    assert apart < 1e-5


if __name__ == "__main__":
    main()
