"""The model card of a run: a README.md that people and the Hugging Face hub read.

Source: https://huggingface.co/docs/hub/model-cards (YAML front matter).
"""

import importlib.metadata
import json
from pathlib import Path

import kerasft

PACKAGES = ("keras", "tensorflow", "tokenizers", "numpy")
MAIN_METRICS = (
    "accuracy",
    "guessing",
    "perplexity",
    "bleu",
    "chrf",
    "rouge_l",
    "masked_accuracy",
    "masked_perplexity",
    "pair_accuracy",
    "replaced_f1",
    "f1_macro",
    "f1_micro",
    "exact",
    "f1",
    "precision_micro",
    "recall_micro",
    "exact_match",
    "mae",
    "rmse",
    "pearson",
    "spearman",
    "retrieval_accuracy",
    "mrr",
    "triplet_accuracy",
    "neighbour_accuracy",
)


def model_card(settings, rows, task, reports: dict) -> str:
    """The text of the card.

    Args:
        settings: `RunSettings` of the run.
        rows: its `TrainingRows`.
        task: the trained task.
        reports: part of the data -> Report.
    """
    metrics = {
        part: {n: v for n, v in report.metrics.items() if n in MAIN_METRICS}
        for part, report in reports.items()
    }
    name = Path(settings.out).name
    sections = [
        _front_matter(settings, name, metrics),
        f"# {name}",
        f"{_made(settings)} with kerasft {kerasft.__version__} ({rows.about}).",
        "## Evaluation",
        _metric_table(metrics),
        "The whole of it is in `report.txt` and `figures/`.",
        *_labels(getattr(task, "labels", ())),
        *_adapter(task),
        "## Data",
        "\n".join(
            f"- {part}: {len(one):,} rows, SHA-256 `{one.fingerprint}`"
            for part, one in rows.parts.items()
        ),
        "## Use",
        _use(task, settings),
        "## Training",
        "All settings are in `recipe.yaml`. Versions: " + ", ".join(_versions()) + ".",
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(settings, name, metrics):
    """YAML; JSON strings are valid YAML, so any name may be quoted so."""
    lines = [
        f"library_name: {_library(settings)}",
        f"pipeline_tag: {settings.job.pipeline_tag}",
        "tags: [kerasft, keras]",
    ]
    start = settings.checkpoint
    if start is not None and not Path(start).expanduser().is_dir():
        lines.append(f"base_model: {json.dumps(start)}")
    if any(metrics.values()):
        lines += ["model-index:", f"- name: {json.dumps(name)}", "  results:"]
    for part, numbers in metrics.items():
        if numbers:
            lines += [
                f"  - task: {{type: {settings.job.pipeline_tag}}}",
                f"    dataset: {{name: {json.dumps(part)}, type: {json.dumps(part)}}}",
                "    metrics:",
            ]
        lines += [
            f"    - {{type: {metric}, value: {value:.6f}}}"
            for metric, value in numbers.items()
        ]
    return "\n".join(["---", *lines, "---"])


def _library(settings):
    """What loads the folder; the files of an adapter are peft's."""
    return "peft" if getattr(settings, "peft", None) else settings.job.library


def _made(settings):
    """A hub name as it is; of a local folder the last part alone."""
    start = settings.checkpoint
    if start is None:
        return "Pretrained from random weights"
    local = Path(start).expanduser()
    return f"`{local.resolve().name if local.is_dir() else start}` {settings.job.verb}"


def _metric_table(metrics):
    lines = ["| rows | metric | value |", "| --- | --- | --- |"]
    lines += [
        f"| {part} | {name} | {value:.4f} |"
        for part, numbers in metrics.items()
        for name, value in numbers.items()
    ]
    return "\n".join(lines) if len(lines) > 2 else "There were no rows to evaluate on."


def _labels(names):
    listed = "\n".join(f"{i}. {label}" for i, label in enumerate(names))
    return ["## Labels", listed] if names else []


def _adapter(task):
    if task.active_adapter is None:
        return []
    shares = str(task.adapter_shares)
    return ["## Adapter", f"{task.adapter_summary}: {shares}."]


def _use(task, settings):
    return (
        "```python\nimport kerasft as kft\n\n"
        f'task = kft.{type(task).__name__}.from_pretrained("this folder")\n'
        f"task.{settings.job.example}\n```"
    )


def _versions():
    return [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
