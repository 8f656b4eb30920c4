"""Names of labels: what is asked for, against what a checkpoint has."""

from kerasft._errors import CheckpointError, SettingsError


def label_names(asked, own, new_head, least=2):
    """Which labels, in which order; the checkpoint's order where they are the same.

    Args:
        asked: names, or None.
        own: the checkpoint's; () where it tells none.
        new_head: whether the checkpoint's head will not be used.
        least: how many there must be.

    Raises:
        CheckpointError: the checkpoint's head is for others.
        SettingsError: none known, too few, or one twice.
    """
    if asked is None:
        if not own:
            raise SettingsError(
                "The checkpoint names no labels. Give them: labels=rows.labels."
            )
        return own
    names = tuple(str(name) for name in asked)
    if len(set(names)) < max(len(names), least):
        wanted = "two or more different names" if least > 1 else "different names"
        told = ", ".join(map(repr, names)) or "none"
        raise SettingsError(f"The labels given are: {told}. Give {wanted}.")
    if new_head or not own:
        return names
    if set(names) == set(own):
        return own
    default = all(name == f"LABEL_{i}" for i, name in enumerate(own))
    if default and len(own) == len(names):
        return names
    raise CheckpointError(
        f"The checkpoint's head is for the labels {', '.join(own)}, but asked for are "
        f"{', '.join(names)}. Give new_head=True for a new head, or leave out labels."
    )


def ordered_weights(class_weight, labels):
    """Weights in label order, or None.

    Raises:
        SettingsError: labels without a weight, or weights without a label.
    """
    if not class_weight:
        return None
    odd = sorted(set(class_weight) ^ set(labels))
    if odd:
        raise SettingsError(
            f"class_weight and labels differ in: {', '.join(map(str, odd))}. Give one "
            f"weight for each of: {', '.join(labels)}."
        )
    return [float(class_weight[name]) for name in labels]
