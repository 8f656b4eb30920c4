"""What a search costs, and what it survives: 12 trials over film sentences.

Command   python benchmarks/search.py --part memory   (or kill, jobs, again, failures)
Minutes   2 to 4 a part on two cores
Expected  a line a claim, each with its number; the script fails where one is missed

memory    the process that searches grows by 5 % at most from its second trial on
kill      SIGKILL in the middle, then the same call: the trials of an undisturbed search
jobs      two jobs: the same values tried; the time against one job is told
again     the best recipe, trained alone, gives its score
failures  a rate that diverges and a batch that cannot be held are rows of the table
"""

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import kerasft as kft
from kerasft.workflows.search_screen import Screen

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "examples"))
SPACE = {
    "learning_rate": {"min": 1e-5, "max": 1e-2, "sampling": "log"},
    "batch_size": [8, 16, 32],
}
GIB = 2**30


def settings(folder, name, rows=160, **others):
    import real_inputs
    import search as example

    if not (folder / "data").exists():
        example.write_files(folder / "data", rows)
    given = {"text": "text", "label": "mood", "max_length": 32, "epochs": 1}
    return kft.FinetuneSettings(
        checkpoint=str(real_inputs.minilm_folder()),
        train=str(folder / "data/train.csv"),
        validation=str(folder / "data/valid.csv"),
        out=str(folder / name),
        tensorboard=str(folder / "logs" / name),
        **given | others,
    )


def tried(found):
    return [one["values"] for one in found.trials]


def memory(folder, trials):
    sizes = {}
    show = Screen.show

    def measured(screen, found):
        ended = sum(one["state"] != "running" for one in found.trials)
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        sizes[ended] = pages * resource.getpagesize() / GIB
        show(screen, found)

    Screen.show = measured
    kft.search(settings(folder, "memory"), SPACE, trials=trials)
    growth = sizes[trials] / sizes[2] - 1
    print(f"memory of the search: {sizes[2]:.3f} GiB after two trials, ", end="")
    print(f"{sizes[trials]:.3f} GiB after {trials}: {growth:+.1%}")
    assert growth <= 0.05


def kill(folder, trials):
    command = [sys.executable, __file__, "--part", "plain", "--trials", str(trials)]
    process = subprocess.Popen([*command, "--folder", str(folder)])
    done = folder / "plain" / "trials"
    while len(list(done.glob("*/result.json"))) < trials // 3:
        time.sleep(0.2)
        assert process.poll() is None, "it ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = len(list(done.glob("*/result.json")))
    found = plain(folder, trials)
    alone = kft.search(settings(folder, "alone"), SPACE, trials=trials)
    same = sum(a == b for a, b in zip(tried(found), tried(alone), strict=True))
    scores = max(
        abs(a["score"] - b["score"])
        for a, b in zip(found.trials, alone.trials, strict=True)
    )
    print(f"killed after {before} trials: {same} of {trials} are those of an ", end="")
    print(f"undisturbed search; scores differ by {scores:.1e} at most")
    assert same == trials


def plain(folder, trials):
    return kft.search(settings(folder, "plain"), SPACE, trials=trials)


def jobs(folder, trials):
    seconds, found = {}, {}
    for count in (1, 2):
        began = time.time()
        at = settings(folder, f"jobs-{count}")
        found[count] = kft.search(at, SPACE, trials=trials, jobs=count)
        seconds[count] = time.time() - began
    same = sorted(map(str, tried(found[1]))) == sorted(map(str, tried(found[2])))
    share = seconds[2] / seconds[1]
    print(f"two jobs: {seconds[1]:.0f} s and {seconds[2]:.0f} s, {share:.2f} of the ")
    print(f"time, on {os.cpu_count()} cores; the same values: {same}")
    assert same


def again(folder, trials):
    found = kft.search(settings(folder, "again"), SPACE, trials=trials)
    run = kft.finetune(found.settings(out=str(folder / "once-more")))
    score = min(run.history["val_loss"])
    print(f"best score {found.best['score']:.6f}, trained again {score:.6f}, ", end="")
    print(f"apart {abs(score - found.best['score']):.1e}")
    assert abs(score - found.best["score"]) < 1e-3


def failures(folder, trials):
    space = {"learning_rate": [1e-4, 1e30], "batch_size": [16, 4096]}
    at = settings(folder, "failures", rows=4_200, max_length=64)
    limit = 12 * GIB  # So that a batch of 4,096 rows asks for more.
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    found = kft.search(at, space, algorithm="grid")
    for one in found.trials:
        print(one["values"], one["state"], one["reason"] or one["score"])
    states = {tuple(one["values"].values()): one["state"] for one in found.trials}
    assert states[1e-4, 16] == "completed"
    assert states[1e30, 16] == states[1e-4, 4096] == "failed"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts = {f.__name__: f for f in (memory, kill, jobs, again, failures, plain)}
    parser.add_argument("--part", choices=list(parts), required=True)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        parts[options.part](options.folder or Path(place), options.trials)


if __name__ == "__main__":
    main()
