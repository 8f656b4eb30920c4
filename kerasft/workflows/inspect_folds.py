"""What a folder of a cross-validation tells of its folds."""

from kerasft.workflows.inspect_adapter import kind_of_run


def folds_in(folder, names, tell) -> dict:
    """Which folds are finished, what they scored, and what each of them is.

    Args:
        folder: of the cross-validation.
        names: of the folds in it.
        tell: what tells of a folder of one.
    """
    from kerasft.checkpoints.json_files import read_json

    states = {name: kind_of_run(folder / name, "no run") for name in names}
    known = [name for name in names if (folder / name / "metrics.json").exists()]
    one = tell(folder / known[0]) if known else {}
    told = {
        "kind": kind_of_run(folder, "folds").replace("run", "cross-validation"),
        "folds": states,
    }
    path = folder / "metrics.json"
    if path.exists():
        metrics = read_json(path)
        told["validation"] = {
            name: f"{mean:.4f} (spread {metrics['spread'][name]:.4f})"
            for name, mean in metrics["validation"].items()
            if "/" not in name
        }
    return told | {f"fold {key}": one[key] for key in one if key != "kind"}
