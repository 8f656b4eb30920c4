"""Where a task's weights come from: a checkpoint, or an adapter and its checkpoint.

An adapter's folder holds neither config nor base; its base is named in it, and what
the task was (labels, tag scheme, threshold) is in our own file.
"""

from dataclasses import dataclass
from pathlib import Path

from kerasft._errors import CheckpointError
from kerasft.checkpoints.locate import locate
from kerasft.models import pretrained
from kerasft.models.config import from_json
from kerasft.peft import files


@dataclass(frozen=True)
class Source:
    """A checkpoint on this machine.

    Args:
        name: as it was asked for.
        folder: of the checkpoint.
        adapter: folder of the adapter on it, or None.
    """

    name: str
    folder: Path
    adapter: Path | None = None

    @classmethod
    def find(cls, checkpoint, revision=None, more=()):
        """Find a checkpoint, or an adapter and its base.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            revision: branch, tag or commit on the hub.
            more: as of `locate`.

        Raises:
            CheckpointError: no such checkpoint, or the adapter's base is not found.
        """
        folder = locate(checkpoint, revision, (*more, *files.OWN_FILES))
        if not files.is_adapter(folder):
            return cls(str(checkpoint), folder)
        base = files.base_of(folder)
        try:
            return cls(base, locate(base, None, more), folder)
        except CheckpointError as error:
            raise CheckpointError(
                f"{folder}: an adapter of {base}, which is not found. Load the base "
                f"from where it is now, then call load_adapter. ({error})"
            ) from error

    def config(self):
        """Family and config; of an adapter the config is what the task had."""
        family, config = pretrained.read_config(self.folder)
        content = files.read_own(self.adapter).get("config") if self.adapter else None
        if content is None:
            return family, config
        path = self.adapter / files.OWN
        if not isinstance(content, dict) or content.get("model_type") != (
            family.model_type
        ):
            raise CheckpointError(
                f"{path}: its config is not that of a {family.model_type}, as its base "
                f"{self.folder} is."
            )
        return family, from_json(family, content, path)

    def keys(self, reader):
        """Names of all tensors, the adapter's among them as the model has them."""
        return {*reader.keys(), *self._saved()}

    def trained_layers(self, rows):
        """Layers of the head that come with the adapter."""
        layers = {key.rpartition(".")[0] for key in self._saved()}
        return [ours for ours, theirs in rows if theirs in layers]

    def _saved(self):
        if self.adapter is None:
            return ()
        return list(files.saved_keys(self.adapter))

    def complete(self, task):
        """Tell the task where it came from, and put the adapter on it."""
        task.checkpoint = self.name
        if self.adapter is not None:
            mode = files.read_own(self.adapter).get("quantised")
            if mode is not None:
                task.quantize_base(mode)
            task.load_adapter(self.adapter)
            came = task.weights_in_place
            task.fresh_weights = tuple(
                path for path in task.fresh_weights if f"head/{path}" not in came
            )
