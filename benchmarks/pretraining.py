"""Pretraining a GPT from nothing: kerasft and torch given the same tokens and steps.

    python benchmarks/pretraining.py --update-readme
    python benchmarks/pretraining.py --rows 60 --steps 4 --peers kerasft torch

In: BBC articles, a tenth of them unread; a byte-level tokenizer trained on the others;
random weights of torch's draw, which both begin with; the batches of every step,
written to a file. Rows of 256 tokens run through all texts, as GPT-2's authors trained.
Out: `results/pretraining.json`, `results/pretraining.png` with the curves, and a table:
seconds and perplexity of the unread articles, and that of a 3-gram model on the same
tokens. As many steps are taken as torch does in `--minutes`.
"""

import json
import subprocess
from pathlib import Path

import environments
import numpy as np
import report
from rows import bbc_rows, cache_folder
from workers import Peer, arguments, pin_cores, started

PEERS = {
    "kerasft": Peer("kerasft", "kerasft_gpt.py", "kerasft `fit`"),
    "torch": Peer("torch", "torch_gpt.py", "torch, plain loop"),
}
MAKERS = {
    "tokens": Peer("kerasft", "kerasft_tokens.py", "makes tokenizer and tokens"),
    "weights": Peer("torch", "torch_new_gpt.py", "makes the checkpoint"),
}
LENGTH, BATCH = 256, 16
SIZES = {"n_embd": 320, "n_layer": 6, "n_head": 5, "n_positions": LENGTH}
RECIPE = {"learning_rate": 1e-3, "warmup": 0.05, "decay": 0.01}


def prepared(folder: Path, options, python_of) -> dict:
    """Make tokenizer, tokens, checkpoint and batches; return the job."""
    texts = folder / "texts.json"
    texts.parent.mkdir(parents=True, exist_ok=True)
    texts.write_text(json.dumps([text for text, _ in bbc_rows()][: options.rows]))
    job = {"texts": str(texts), "folder": str(folder / "checkpoint"), **RECIPE}
    job |= {"vocab_size": 8000, "length": LENGTH, "sizes": SIZES, "batch_size": BATCH}
    job |= {"tokens": str(folder / "tokens.npz"), "threads": options.cores}
    for name, peer in MAKERS.items():
        with started({name: peer}, job, python_of, folder) as workers:
            workers[name].run()
    return job


def with_steps(job: dict, steps: int) -> dict:
    """Return the job with so many steps; their rows are written to a file."""
    rows = len(np.load(job["tokens"])["train"])
    random, order = np.random.default_rng(0), []
    while len(order) < steps * BATCH:
        order += random.permutation(rows).tolist()
    path = Path(job["tokens"]).with_name(f"order-{steps}.npy")
    np.save(path, np.array(order[: steps * BATCH]).reshape(steps, BATCH))
    return {**job, "steps": steps, "order": str(path)}


def steps_in(minutes: float, job: dict, options, python_of, folder: Path) -> int:
    """Return how many steps torch takes in so many minutes."""
    few = with_steps(job, 12)
    with started({"torch": PEERS["torch"]}, few, python_of, folder) as workers:
        seconds = workers["torch"].run()["step_seconds"]
    return max(1, int(60 * minutes / float(np.median(seconds[2:]))))


def trigram(job: dict, python_of) -> dict:
    """Return what the 3-gram model comes to on the same texts and tokens."""
    files = [
        str(Path(job["texts"]).with_name(f"{side}.txt")) for side in ("train", "test")
    ]
    script = Path(__file__).with_name("trigram.py")
    command = [python_of("kerasft"), script, "--train", files[0], "--test", files[1]]
    command += ["--tokenizer", job["folder"]]
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(script.parent.parent), "PATH": "/usr/bin:/bin"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def plotted(results: dict) -> Path:
    """Draw loss by step, of both, and return the picture."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for name, peer in results["peers"].items():
        losses = np.array(peer["losses"])
        width = max(1, len(losses) // 100)
        smooth = np.convolve(losses, np.ones(width) / width, "valid")
        axes.plot(smooth, label=PEERS[name].what, alpha=0.7)
    axes.set(xlabel="step", ylabel="loss of a training batch, nats a token")
    axes.legend()
    file = report.HERE / "results" / "pretraining.png"
    figure.savefig(file, dpi=120, bbox_inches="tight")
    return file


def markdown(results: dict) -> str:
    """Return the table with its caption."""
    lines = [
        [
            PEERS[name].what,
            f"{peer['seconds']:.0f}",
            f"{peer['tokens_per_second']:.0f}",
            f"{peer['perplexity']:.2f}",
        ]
        for name, peer in results["peers"].items()
    ]
    lines.append(["3-gram model", "", "", f"{results['trigram']['perplexity']:.1f}"])
    header = ["peer", "training, s", "tokens/s", "perplexity of unread articles"]
    picture = "![Loss by step](results/pretraining.png)"
    return f"{report.caption(results)}\n\n{report.table(header, lines)}\n\n{picture}"


def main() -> None:
    parser = arguments(__doc__.splitlines()[0], PEERS, tuple(PEERS))
    parser.add_argument("--minutes", type=float, default=20, help="of torch's training")
    parser.add_argument("--steps", type=int, help="instead of minutes")
    options = parser.parse_args()
    pin_cores(options.cores)
    folder = cache_folder() / "benchmarks" / "jobs" / "pretraining"
    python_of = environments.chooser(options.python)
    job = prepared(folder, options, python_of)
    steps = options.steps or steps_in(options.minutes, job, options, python_of, folder)
    job = with_steps(job, steps)
    results = {
        "machine": report.machine(),
        "settings": {"steps": steps, "batch": BATCH, "length": LENGTH, **RECIPE},
        "peers": {},
    }
    for name in options.peers:  # One after the other: each takes minutes.
        with started({name: PEERS[name]}, job, python_of, folder) as workers:
            run = workers[name].run()
            results["peers"][name] = {"versions": workers[name].versions, **run}
        print(f"{name}: {run['seconds']:.0f} s, {run['perplexity']:.2f}", flush=True)
        report.save(results, "pretraining")
    results["trigram"] = trigram(job, python_of)
    report.save(results, "pretraining")
    plotted(results)
    print(markdown(results))
    if options.update_readme:
        report.into_readme(markdown(results), "pretraining")


if __name__ == "__main__":
    main()
