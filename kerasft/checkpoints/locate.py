"""Find a checkpoint: a local folder, or a name on the Hugging Face hub.

In: what the user typed. Out: a folder on this machine. A local folder never touches
the network; a hub name is fetched into the hub's own cache, or taken from there.
"""

import re
from pathlib import Path

from kerasft._errors import CheckpointError, SettingsError
from kerasft.checkpoints.folders import CHECKPOINT_FILES

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def locate(name_or_folder, revision=None, more=()):
    """Give the folder of a checkpoint.

    Args:
        name_or_folder: a local folder, or a hub name such as "bert-base-uncased".
        revision: branch, tag or commit on the hub; None is the newest.
        more: name patterns of files to fetch beside a checkpoint's own; with a "/" of
            those in sub-folders.

    Raises:
        CheckpointError: neither a folder nor a name the hub (or, offline, its cache)
            has.
        SettingsError: a revision of a local folder.
    """
    name = str(name_or_folder)
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if revision is not None:
            raise SettingsError(
                f"{folder} is a local folder, which has no revision {revision!r}. "
                "Leave the revision out."
            )
        return folder
    if folder.exists() or not HUB_NAME.fullmatch(name):
        raise CheckpointError(
            f"{name}: no such folder, and not a name on the Hugging Face hub. Give "
            "the folder that holds config.json and model.safetensors."
        )
    return _download(name, revision, more)


def _download(name, revision, more):
    # Imported here: it takes a while, and local folders do not need it.
    import huggingface_hub
    from huggingface_hub import errors

    asked = name if revision is None else f"{name} (revision {revision})"
    here = f"there is no local folder {name!r} either"
    try:
        folder = huggingface_hub.snapshot_download(
            name,
            revision=revision,
            allow_patterns=[*CHECKPOINT_FILES, *more],
            ignore_patterns=None if more else ["*/*"],
        )
    except errors.GatedRepoError as error:
        raise CheckpointError(
            f"{asked}: the hub wants you to accept its terms and to log in "
            "(`hf auth login`)."
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
        raise CheckpointError(
            f"{asked}: not on the Hugging Face hub, and {here}. Check the spelling."
        ) from error
    except (errors.HFValidationError, OSError) as error:
        raise CheckpointError(
            f"{asked}: the Hugging Face hub cannot be reached and its cache "
            f"({huggingface_hub.constants.HF_HUB_CACHE}) does not hold it; {here}. "
            f"Where there is a network run `hf download {name}`, or give the folder. "
            f"({type(error).__name__}: {error})"
        ) from error
    return Path(folder)
