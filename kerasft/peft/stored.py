"""How a task saves its adapters, and loads them."""

from contextlib import contextmanager

from kerasft._errors import CheckpointError, SettingsError
from kerasft.models.config import to_json
from kerasft.peft import METHODS, files
from kerasft.peft.quantised import quantisation_of


class Stored:
    """Mixin of a `Task`: adapters to folders and back."""

    def save_adapter(self, folder, name: str | None = None):
        """Write an adapter as Hugging Face's peft does, without the base.

        The head that was trained with it is in the file, too.

        Args:
            folder: where to; an earlier adapter there is replaced.
            name: which; None: the one that works.

        Raises:
            SettingsError: there is no such adapter.
            CheckpointError: the folder holds something else.
        """
        stack = self._stack
        adapter = stack.named(name)
        if stack.adapters.get(stack.active) is adapter:
            adapter.remember()
        files.write_adapter(folder, adapter, self.checkpoint, self.adapter_notes())

    def adapter_notes(self):
        """What our own file of an adapter says of the task: what config.json would."""
        head = self.backbone.family.heads.get(self.head_name)
        end = "Model" if head is None else head.architecture
        content = to_json(self.backbone.family, self.saved_config(), end)
        mode = quantisation_of(self.backbone)
        return {"task": self.head_name, "config": content, "quantised": mode}

    def load_adapter(self, folder, name: str = "default", *, strict: bool = True):
        """Read an adapter of Hugging Face's peft, or of ours; it works at once.

        Args:
            folder: holds `adapter_config.json` and `adapter_model.safetensors`.
            name: of the adapter here.
            strict: whether missing, extra and misshapen keys, other labels, and another
                base than it was made for, are an error; if not, what fits is taken.

        Returns:
            What did not fit, a sentence each; empty if strict.

        Raises:
            CheckpointError: no such files, an unknown method, or (if strict) a misfit;
                every misfit is told, and nothing is changed.
            SettingsError: the name is taken.
        """
        stack, before = self._stack, self.active_adapter
        method = files.read_method(folder, METHODS)
        try:
            adapter = stack.add(method, name)
        except SettingsError as error:
            if name in stack.adapters:
                raise
            raise CheckpointError(
                f"{folder}: does not fit this model. {error}"
            ) from error
        try:
            others = self._other_labels(folder)
            misfits = files.fill_adapter(folder, adapter, strict, others)
        except Exception:
            stack.remove(name)
            stack.activate(before) if stack.adapters else None
            raise
        self._track(adapter)
        self.set_adapter(name)
        return misfits

    def _other_labels(self, folder):
        """A clause if the adapter's head has other labels than the task, or in vain."""
        there = files.read_own(folder).get("config", {}).get("id2label")
        here = self.adapter_notes()["config"].get("id2label")
        if there and here and list(there.values()) != list(here.values()):
            theirs, ours = (", ".join(map(str, one.values())) for one in (there, here))
            yield f"the adapter's labels are {theirs:.200}; the task's are {ours:.200}"

    def reload_adapter(self, folder):
        """Read the working adapter's weights anew, as `save_adapter` wrote them."""
        adapter = self._stack.named(None)
        files.fill_adapter(folder, adapter)
        adapter.recall()

    @contextmanager
    def plain_weights(self):
        """Within the block the model's own weights do what the adapter did.

        Raises:
            SettingsError: the adapter cannot be merged, or the backbone is quantised.
        """
        mode = quantisation_of(self.backbone)
        if mode is not None:
            raise SettingsError(
                f"The backbone is quantised ({mode}), so it is no checkpoint any more. "
                "Save the adapter (save_adapter), load the plain checkpoint, the "
                "adapter on it (load_adapter), and merge that."
            )
        stack = self._stack
        if stack.active is None or stack.merged is not None:
            yield
            return
        stack.merge()
        try:
            yield
        finally:
            stack.unmerge()
