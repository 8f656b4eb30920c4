"""A checkpoint folder as a whole: which files are its own, and how one is replaced.

`atomic_folder` gives an empty folder to write into and puts it in the target's place
at once, so the target is the old checkpoint or the new one, never a mixture. Files
of the target that belong to no checkpoint (a README, a `resume/` folder) stay.

The trap: deletion must never follow a link out of the folder; `shutil.rmtree` and
hard links do not.
"""

import ctypes
import fnmatch
import os
import re
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path

from kerasft._errors import CheckpointError
from kerasft.checkpoints.left_over import held, remove_left_over

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
)
CHECKPOINT_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    *TOKENIZER_FILES,
)
# Starts with no dot, so it is neither hidden nor ".."; ASCII, so no look-alikes of "/".
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,199}")


def member(folder, name):
    """The path of file `name` inside `folder`.

    Raises:
        CheckpointError: `name` is not a plain file name, or is a link that leaves the
            folder (and is no link of the Hugging Face cache into its own blobs).
    """
    folder = Path(folder)
    if not isinstance(name, str) or not PLAIN_NAME.fullmatch(name):
        raise CheckpointError(
            f"{folder}: names a file {name!r:.80}. A checkpoint's files lie in its "
            "own folder under plain names. Do not use this checkpoint."
        )
    path = folder / name
    if path.is_symlink():
        _raise_if_outside(folder, path)
    return path


def _raise_if_outside(folder, path):
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: a link that leads nowhere.") from error
    root = folder.resolve()
    allowed = [root]
    for snapshot in (root, root.parent):  # Or a sub-folder of one.
        if snapshot.parent.name == "snapshots":
            allowed.append(snapshot.parent.parent / "blobs")
    if not any(target.is_relative_to(place) for place in allowed):
        raise CheckpointError(
            f"{path}: a link to {target}, outside the checkpoint's folder. "
            "Copy the file into the folder if you trust it."
        )


@contextmanager
def atomic_folder(target, mark="config.json", own_files=CHECKPOINT_FILES):
    """Give a new folder that takes the place of `target` when the block succeeds.

    If the block fails, `target` is untouched and the new folder is removed (that of a
    killed process by the next save into `target`). On success everything is on disk
    (fsync) before the swap. Of an existing `target`, the files that match `own_files`
    go, all others are kept.

    Args:
        target: the folder to be; parents are made.
        mark: the file by which an earlier save of the same kind is known.
        own_files: name patterns of the files such a save consists of.

    Yields:
        Path of the folder to write into, beside `target`.

    Raises:
        CheckpointError: `target` is a file, holds the working directory, or has some
            of `own_files` but no `mark`: then they are somebody else's.
    """
    target = Path(os.path.realpath(target))
    strangers = _strangers(target, mark, own_files)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.parent / f".{target.name}.saving-{secrets.token_hex(4)}"
    remove_left_over(target)
    new.mkdir()
    with held(new):
        try:
            yield new
            for name in strangers:
                _keep(target / name, new / name)
            sync_tree(new)
            put_in_place(new, target)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise


def _strangers(target, mark, own_files):
    """Names in `target` that no save of ours wrote; refuse where that is unsure."""
    if not target.exists():
        return []
    if not target.is_dir():
        raise CheckpointError(f"{target}: is a file. Name a folder to save into.")
    if Path.cwd().is_relative_to(target):
        raise CheckpointError(
            f"{target}: holds the current working directory, which a save would swap "
            "away under your feet. Save into a folder below it."
        )
    names = sorted(os.listdir(target))
    own = [
        name
        for name in names
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in own_files)
    ]
    if own and mark not in own:
        raise CheckpointError(
            f"{target}: holds {', '.join(own[:5])} but no {mark}, so it is no earlier "
            "save that could be replaced. Save into another folder, or move them."
        )
    return [name for name in names if name not in own]


def _keep(old, new):
    """Let `new` be the same file or folder as `old`, without copying content."""
    if os.path.lexists(new):
        return
    if old.is_dir() and not old.is_symlink():
        shutil.copytree(old, new, symlinks=True, copy_function=_link)
    else:
        _link(old, new)


def _link(old, new):
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:  # A file system without hard links.
        shutil.copy2(old, new, follow_symlinks=False)


def sync_tree(folder):
    """Bring a folder and all in it to the disk."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            if os.path.isfile(path) and not os.path.islink(path):
                _sync(path)
        _sync(place)


def _sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(new, target):
    """Rename `new` to `target`, then delete the old target."""
    if not target.exists():
        os.rename(new, target)
        _sync(target.parent)
        return
    old = _exchange(new, target)
    try:
        _sync(target.parent)
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _exchange(new, target):
    """Swap two folders, in one step where the system can; give the old one's path."""
    at_here, exchange = -100, 2
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2  # Linux.
        swapped = 0 == renameat2(
            at_here, os.fsencode(new), at_here, os.fsencode(target), exchange
        )
    except (AttributeError, OSError, TypeError):
        swapped = False
    if swapped:
        return new
    old = new.with_name(new.name + "-old")
    os.rename(target, old)
    try:
        os.rename(new, target)
    except BaseException:
        os.rename(old, target)
        raise
    return old
