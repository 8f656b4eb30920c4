"""What a task can do with adapters: add, switch, combine, merge."""

from contextlib import contextmanager

from kerasft._errors import SettingsError
from kerasft.layers.tracking import open_tracker
from kerasft.peft.adapter import raise_if_lost
from kerasft.peft.method import Method
from kerasft.peft.places import Places
from kerasft.peft.quantised import quantisation_of, quantise
from kerasft.peft.shares import AdapterShares
from kerasft.peft.shortened import Shortened
from kerasft.peft.stack import AdapterStack
from kerasft.peft.stored import Stored


class Adapted(Stored, Shortened):
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
            SettingsError: it is no method; the name is taken; the method, or one of its
                `modules_to_save`, has no place in this model.
        """
        if not isinstance(method, Method):
            raise SettingsError(
                f"add_adapter takes a method with its settings, such as "
                f"kerasft.LoRA(rank=8), not {method!r}."
            )
        raise_if_lost(method.modules_to_save, self._stack.places)
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

    @property
    def adapter_keeps_outputs(self) -> bool:
        """Whether the working adapter's method changes nothing when it is new."""
        return self._stack.named(None).method.keeps_outputs

    @property
    def weights_in_place(self):
        """Paths of the model's own weights that the working adapter trains."""
        return frozenset(self._stack.named(None).in_place)

    @property
    def adapter_summary(self) -> str:
        """The working adapter in a line: its method and what it was told."""
        return str(self._stack.named(None).method)

    @property
    def usual_learning_rate(self) -> float:
        """What to begin with: 5e-5, or what suits the working adapter."""
        return self._stack.learning_rate(self.backbone.config.hidden_size)

    def summary(self, **options):
        """As Keras', and how much of it is trained."""
        super().summary(**options)
        if self.active_adapter is not None:
            tell = options.get("print_fn") or print
            tell(f"{self.adapter_summary}: {self.adapter_shares}")

    def quantize_base(self, mode: str):
        """Round the backbone's linear layers to integers, for good; adapters train on.

        Layers under an adapter go on in 8 or 4 bits, so a model needs a fourth or an
        eighth of the memory. It cannot be merged, nor saved as a checkpoint.

        Args:
            mode: "int8" or "int4".

        Raises:
            SettingsError: an unknown mode; it is quantised already; an adapter is
                merged, or needs the numbers (DoRA).
        """
        stack = self._stack
        stack.refuse_merged("quantise")
        needing = [n for n, a in stack.adapters.items() if a.method.needs_kernels]
        if needing:
            raise SettingsError(
                f"Adapter {', '.join(needing)} needs the frozen matrices as they are, "
                "so they cannot be quantised under it. Take LoRA."
            )
        quantise(self.backbone, mode)
        self._adapters_changed()

    def combine_adapters(
        self,
        names,
        weights,
        into: str = "combined",
        *,
        way: str = "svd",
        rank: int | None = None,
        density: float | None = None,
        seed: int = 0,
    ):
        """Make one LoRA of several; it works at once.

        Heads (and biases) that were trained with them move by the weighted sum of their
        moves.

        Args:
            names: of the LoRAs; they change the same layers.
            weights: how much of each counts.
            into: name of the new adapter.
            way: "cat" (exactly the weighted sum; ranks add up), "svd" (the nearest of a
                rank to it), "linear", "ties", "dare_linear", "dare_ties",
                "magnitude_prune" (of A and of B one by one), and the last four with
                "_svd" (of the whole changes), as peft has them.
            rank: of the result of "svd" and its like; None: the highest of theirs.
            density: share of the numbers that "ties", "dare" and "prune" keep.
            seed: of the draws of "dare".

        Raises:
            SettingsError: adapters that cannot be made into one.
        """
        how = {"way": way, "rank": rank, "density": density, "seed": seed}
        self._track(self._stack.combine(names, weights, into, how))
        self.set_adapter(into)

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

    # --- the inside

    @property
    def _stack(self):
        """The `AdapterStack`, made when it is first needed."""
        stack = vars(self).get("_adapter_stack")
        if stack is None:
            told = {"tokenizer": self.tokenizer, "checkpoint": self.checkpoint}
            places = Places(
                self.backbone, self.head_name, self.head, self.fresh_weights, **told
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
        with open_tracker(self):
            setattr(self, adapter.name, adapter)

    def _untrack(self, adapter):
        if adapter in self._layers:
            with open_tracker(self):
                delattr(self, adapter.name)
                self._layers.remove(adapter)

    def _adapters_changed(self):
        """What was traced is of no use any more, nor is the optimizer's state."""
        self.train_function = self.test_function = self.predict_function = None
        self.adapters_compiled = False
        self.fit_tokenizer()

    def raise_unless_trainable(self):
        """Refuse a fit that would not train what the user thinks.

        Raises:
            SettingsError: adapters have changed since `compile`; none of them works; or
                one is merged.
        """
        stack = self._stack
        if not stack.adapters:
            mode = quantisation_of(self.backbone)
            if mode is not None:
                raise SettingsError(
                    f"The backbone is quantised ({mode}), so it cannot be trained. Add "
                    "an adapter first: add_adapter(kerasft.LoRA())."
                )
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
