"""What a task can do with adapters: add, switch, merge, save, load."""

from contextlib import contextmanager

from kerasft._errors import SettingsError
from kerasft.peft import METHODS, files
from kerasft.peft.places import Places
from kerasft.peft.shares import AdapterShares
from kerasft.peft.stack import AdapterStack


class Adapted:
    """Mixin of a `Task`: adapters on its backbone, one of them at work at a time.

    The task has `backbone`, `head`, `head_name` and `fresh_weights`, and `checkpoint`,
    the name or folder it came from.
    """

    checkpoint = None

    @property
    def adapters(self):
        """Names of the adapters, in the order they came."""
        return tuple(self._stack.adapters)

    @property
    def active_adapter(self):
        """Name of the one that works, or None."""
        return self._stack.active

    def add_adapter(self, method, name: str = "default"):
        """Freeze the model, and train small parts beside it from now on.

        The head's weights that no checkpoint gave are trained with them, and saved with
        the adapter. `compile` comes after.

        Args:
            method: such as `kerasft.LoRA(rank=8)`.
            name: of the adapter; it works at once, in place of another.

        Raises:
            SettingsError: the name is taken; the method has no place in this model.
        """
        adapter = self._stack.add(method, name)
        self._track(adapter)
        self.set_adapter(name)

    def set_adapter(self, name: str | None):
        """Let another adapter work, or none (None): then the model is as it was.

        Raises:
            SettingsError: there is no such adapter, or one is merged.
        """
        self._stack.activate(name)
        self._adapters_changed()

    @contextmanager
    def without_adapter(self):
        """Within the block the model is as it was before any adapter."""
        before = self.active_adapter
        self.set_adapter(None)
        try:
            yield self
        finally:
            self.set_adapter(before)

    def delete_adapter(self, name: str = "default"):
        """Take an adapter away; after the last one the whole model is trained again.

        Raises:
            SettingsError: there is no such adapter.
        """
        self._untrack(self._stack.remove(name))
        self._adapters_changed()

    def merge_adapter(self, *, forget: bool = False):
        """Let the model's own weights take over what the working adapter does.

        Args:
            forget: for good: the adapters are gone, and the whole model is trained. If
                not, `unmerge_adapter` gives the model its weights back, exactly, at the
                price of a copy of those that changed.

        Raises:
            SettingsError: no adapter works; the method cannot be merged; the result is
                not finite. Nothing is changed then.
        """
        stack = self._stack
        if stack.merged is None or not forget:
            stack.merge()
        if forget:
            for adapter in list(stack.adapters.values()):
                self._untrack(adapter)
            stack.forget_merged()
        self._adapters_changed()

    def unmerge_adapter(self):
        """Undo `merge_adapter`, to the last bit.

        Raises:
            SettingsError: nothing is merged.
        """
        self._stack.unmerge()
        self._adapters_changed()

    # --- files

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
        """What our own file of an adapter says beside the method: labels and task."""
        config = self.saved_config()
        return {
            "task": self.head_name,
            "labels": list(getattr(config, "labels", ()) or ()),
            "problem_type": getattr(config, "problem_type", None),
        }

    def load_adapter(self, folder, name: str = "default", *, strict: bool = True):
        """Read an adapter of Hugging Face's peft, or of ours; it works at once.

        Args:
            folder: holds `adapter_config.json` and `adapter_model.safetensors`.
            name: of the adapter here.
            strict: whether missing, extra and misshapen keys, and another base than it
                was made for, are an error; if not, what fits is taken.

        Returns:
            What did not fit, a sentence each; empty if strict.

        Raises:
            CheckpointError: no such files, an unknown method, or (if strict) a misfit;
                every misfit is told, and nothing is changed.
            SettingsError: the name is taken.
        """
        stack, before = self._stack, self.active_adapter
        adapter = stack.add(files.read_method(folder, METHODS), name)
        try:
            misfits = files.fill_adapter(folder, adapter, strict)
        except Exception:
            stack.remove(name)
            stack.activate(before) if stack.adapters else None
            raise
        self._track(adapter)
        self.set_adapter(name)
        return misfits

    # --- the inside

    @property
    def _stack(self):
        """The `AdapterStack`, made when it is first needed."""
        stack = vars(self).get("_adapter_stack")
        if stack is None:
            places = Places(
                self.backbone,
                self.head_name,
                self.head,
                self.fresh_weights,
                tokenizer=self.tokenizer,
                checkpoint=self.checkpoint,
            )
            stack = AdapterStack(places)
            object.__setattr__(self, "_adapter_stack", stack)  # Not for Keras to track.
        return stack

    @property
    def working_adapter(self):
        """The `Adapter` that works, or None."""
        return self._stack.adapters.get(self.active_adapter)

    @property
    def adapter_shares(self) -> AdapterShares:
        """How much of the model is trained, and what the adapter weighs."""
        return AdapterShares.of(self)

    def _track(self, adapter):
        """Let Keras know an adapter's weights."""
        self._with_open_tracker(lambda: setattr(self, adapter.name, adapter))

    def _untrack(self, adapter):
        def drop():
            delattr(self, adapter.name)
            self._layers.remove(adapter)

        if adapter in self._layers:
            self._with_open_tracker(drop)

    def _with_open_tracker(self, change):
        """Run a change of what Keras tracks; a built model is closed to it."""
        locked = self._tracker.locked
        self._tracker.unlock()
        try:
            change()
        finally:
            if locked:
                self._tracker.lock()

    def _adapters_changed(self):
        """What was traced is of no use any more, nor is the optimizer's state."""
        self.train_function = self.test_function = self.predict_function = None
        self.adapters_compiled = False
        self._fit_tokenizer()

    def _fit_tokenizer(self):
        """Cut texts where virtual tokens leave no more positions; undo it without."""
        whole, fitted = vars(self).get("_tokenizers", (None, None))
        if self.tokenizer is not fitted:  # The user's.
            whole = self.tokenizer
        fitted = whole.shortened(min(whole.max_length, self.backbone.room))
        self.tokenizer = fitted
        object.__setattr__(self, "_tokenizers", (whole, fitted))

    def raise_unless_room(self, batches):
        """Refuse batches whose rows leave no positions for virtual tokens.

        Raises:
            SettingsError: they were made before the adapter came.
        """
        if batches is None or not self.backbone.num_virtual:
            return
        longest, room = int(batches.plan.lengths.max()), self.backbone.room
        if longest > room:
            raise SettingsError(
                f"These batches have rows of up to {longest} tokens, but beside the "
                f"{self.backbone.num_virtual} virtual tokens of the adapter there are "
                f"positions for {room}. Call dataset() again."
            )

    def raise_unless_trainable(self):
        """Refuse a fit that would not train what the user thinks.

        Raises:
            SettingsError: adapters have changed since `compile`; none of them works; or
                one is merged.
        """
        stack = self._stack
        if not stack.adapters:
            if not getattr(self, "adapters_compiled", True):
                raise SettingsError(_COMPILE)
            return
        stack.refuse_merged("train")
        if stack.active is None:
            raise SettingsError(
                "No adapter is active, so nothing would be trained. Call set_adapter "
                f"with one of: {', '.join(stack.adapters)}."
            )
        if not self.adapters_compiled:
            raise SettingsError(_COMPILE)

    def begin_fit(self, total):
        """Let the working adapter know how many steps a fit has, or None."""
        adapter = self.working_adapter
        if adapter is not None:
            adapter.method.begin_fit(adapter, total)

    def adapter_penalty(self):
        """What the working adapter adds to the loss of a step, or None."""
        adapter = self.working_adapter
        return None if adapter is None else adapter.method.penalty(adapter)

    def follow_step(self, gradients):
        """What the working adapter does after each step of the optimizer.

        Args:
            gradients: of the trainable variables, in their order.
        """
        adapter = self.working_adapter
        if adapter is not None:
            pairs = zip(self.trainable_variables, gradients, strict=True)
            adapter.method.follow_step(adapter, {id(w): g for w, g in pairs})


_COMPILE = (
    "The adapters have changed since compile(), so the optimizer would train other "
    "weights. Call compile() again."
)
