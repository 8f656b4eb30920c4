"""What Resume and TensorBoard cost: the time that a fit spends in them.

Command   python benchmarks/callbacks.py --update-readme
Minutes   2 on two quiet cores
Expected  milliseconds of a step, those of them within each callback, and the share;
          for Resume with the snapshots of a long run

MiniLM on film sentences, 32 rows a batch. Whole fits with and without callbacks differ
by less than fits of the same kind do, so the callbacks' own methods are timed. Resume
takes snapshots by time, at most 1/60 of it and 30 seconds apart at least; a fit here is
shorter, so a snapshot is timed by itself and its share worked out.
"""

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
METHODS = ("on_train_batch_begin", "on_train_batch_end")


class Clock(keras.callbacks.Callback):
    """Seconds from the end of the first step to that of the last."""

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        if batch == 0:
            self.first = now
        self.seconds = (now - self.first) / max(1, batch)


def timed(callback, methods, spent):
    """The callback; seconds of each call of these methods go to the list `spent`."""

    def around(method):
        def call(*arguments, **more):
            start = time.perf_counter()
            try:
                return method(*arguments, **more)
            finally:
                spent.append(time.perf_counter() - start)

        return call

    for name in methods:
        setattr(callback, name, around(getattr(callback, name)))
    return callback


def one_fit(task, batches, steps):
    """Seconds of a step, and of those the ones within each callback."""
    spent = {"Resume": [], "TensorBoard": []}
    clock = Clock()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        callbacks = [
            timed(kft.TensorBoard(folder / "logs"), METHODS, spent["TensorBoard"]),
            timed(kft.Resume(folder / "resume"), METHODS, spent["Resume"]),
            clock,
        ]
        task.fit(batches, verbose=0, callbacks=callbacks)
    return clock.seconds, {name: sum(found) / steps for name, found in spent.items()}


def snapshots(task, batches, runs):
    """Seconds that snapshots take."""
    spent = []
    with tempfile.TemporaryDirectory() as place:
        saving = timed(kft.Resume(Path(place), save_steps=1), ["_save"], spent)
        task.fit(batches.take(runs), verbose=0, callbacks=[saving])
    return spent


def main():
    import real_inputs

    parser = report.own_arguments(__doc__)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    found = real_inputs.vader_rows("films")[: 32 * options.steps]
    texts, scores = zip(*found, strict=True)
    rows = kft.from_lists(list(texts), [str(score > 0) for score in scores])
    task = kft.TextClassifier.from_pretrained(
        real_inputs.minilm_folder(), labels=rows.labels, max_length=128
    )
    task.compile(kft.adamw(1e-5, total_steps=10**6))
    batches = task.dataset(rows, 32, training=True, seed=0)
    one_fit(task, batches, options.steps)  # It compiles.
    fits = []
    for _ in range(options.runs):
        fits.append(one_fit(task, batches, options.steps))
        print(fits[-1], flush=True)
    tell(options, fits, snapshots(task, batches, options.runs))


def tell(options, fits, saves):
    """The table, printed and, where asked for, written."""
    step, snapshot = median(seconds for seconds, _ in fits), median(saves)
    interval = max(resume.LEAST_SECONDS, resume.SHARE * snapshot)
    lines, total = [], 0.0
    for name in ("Resume", "TensorBoard"):
        own = median(spent[name] for _, spent in fits)
        share = own / step + (snapshot / interval if name == "Resume" else 0.0)
        total += share
        lines.append([name, f"{1e3 * own:.2f}", f"{own / step:.2%}", f"{share:.2%}"])
    lines.append(["both", "", "", f"{total:.2%}"])
    header = ["callback", "ms of a step", "share", "share with snapshots"]
    about = (
        f"; medians of {options.runs} fits of {options.steps} steps, {1e3 * step:.0f} "
        f"ms each. A snapshot takes {snapshot:.2f} s, and one is taken every "
        f"{interval:.0f} s."
    )
    found = {"snapshots": saves, "fits": fits}
    report.tell(about, report.table(header, lines), found, "callbacks", options)


if __name__ == "__main__":
    main()
