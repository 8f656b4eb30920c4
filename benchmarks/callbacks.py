"""What Resume and TensorBoard cost: the same fit with and without them, in turn.

Command   python benchmarks/callbacks.py --update-readme
Minutes   about 8 on two quiet cores
Expected  seconds of a step without callbacks, with Resume, with TensorBoard, with both;
          and the seconds that one snapshot takes

MiniLM on film sentences, 32 rows a batch. Resume takes its snapshots by time, at most
1/60 of it and 30 seconds apart at least; a fit here is shorter, so a snapshot is timed
by itself, and the share of a long run is worked out from both.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import keras
import report

import kerasft as kft
from kerasft.training import resume

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
WAYS = ("without", "Resume", "TensorBoard", "both")


class Clock(keras.callbacks.Callback):
    """Seconds from the end of the first step to that of the last."""

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if batch == 0:
            self.first = now
        self.seconds = (now - self.first) / max(1, batch)


def callbacks(way, folder):
    made = []
    if way in ("TensorBoard", "both"):
        made.append(kft.TensorBoard(folder / "logs"))
    if way in ("Resume", "both"):
        made.append(kft.Resume(folder / "resume"))
    return made


def main():
    import real_inputs

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--update-readme", action="store_true")
    options = parser.parse_args()
    found = real_inputs.vader_rows("films")[: 32 * options.steps]
    texts, scores = zip(*found, strict=True)
    rows = kft.from_lists(list(texts), [str(score > 0) for score in scores])
    task = kft.TextClassifier.from_pretrained(
        real_inputs.minilm_folder(), labels=rows.labels, max_length=128
    )
    task.compile(kft.adamw(1e-5, total_steps=10**6))
    batches = task.dataset(rows, 32, training=True, seed=0)
    seconds = {way: [] for way in WAYS}
    for run in range(-1, options.runs):  # The first one compiles.
        for way in WAYS:
            with tempfile.TemporaryDirectory() as place:
                clock = Clock()
                others = callbacks(way, Path(place))
                task.fit(batches, verbose=0, callbacks=[*others, clock])
            if run >= 0:
                seconds[way].append(clock.seconds)
            print(f"{way} {clock.seconds * 1e3:.1f} ms a step", flush=True)
    tell(options, seconds, saving(task, batches, options.runs))


def saving(task, batches, runs):
    """Seconds that snapshots take."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        timed = kft.Resume(Path(place), save_steps=1)
        save = timed._save

        def measured(*arguments, **more):
            start = time.perf_counter()
            save(*arguments, **more)
            found.append(time.perf_counter() - start)

        timed._save = measured
        task.fit(batches.take(runs + 1), verbose=0, callbacks=[timed])
    return found


def tell(options, seconds, snapshots):
    """The table, printed and, where asked for, written."""
    plain, snapshot = median(seconds["without"]), median(snapshots)
    interval = max(resume.LEAST_SECONDS, resume.SHARE * snapshot)
    lines = []
    for way in WAYS:
        own = median(seconds[way]) / plain - 1
        saves = snapshot / interval if way in ("Resume", "both") else 0.0
        spread = f"{min(seconds[way]) * 1e3:.1f} to {max(seconds[way]) * 1e3:.1f}"
        lines.append(
            [
                way,
                f"{median(seconds[way]) * 1e3:.1f} ({spread})",
                f"{own:+.2%}",
                f"{own + saves:+.2%}",
            ]
        )
    header = ["callbacks", "step, ms", "against none", "with snapshots in a long run"]
    machine = report.machine()
    text = (
        f"{machine['processor']}, {machine['cores']} cores; fits of {options.steps} "
        f"steps. A snapshot takes {snapshot:.2f} s, and one is taken every "
        f"{interval:.0f} s.\n\n{report.table(header, lines)}"
    )
    print(text)
    if options.update_readme:
        about = {"machine": machine, "settings": vars(options), "snapshots": snapshots}
        report.save(about | {"seconds": seconds}, "callbacks")
        report.into_readme(text, "callbacks")


if __name__ == "__main__":
    main()
