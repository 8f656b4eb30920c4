"""Tasks in Keras' own `.keras` files: what one was made of, as plain data.

The file holds sizes, label names and the tokenizer beside the weights, so it needs no
checkpoint to be loaded again; adapters stand where they stood. It is not compiled: call
`compile()` before you go on training.
"""

import base64
import tempfile
from pathlib import Path

import keras

from kerasft._errors import SettingsError
from kerasft.data.tokenizer import Tokenizer
from kerasft.models import family_of
from kerasft.models.config import from_json
from kerasft.peft.chosen import method_of
from kerasft.peft.method import settings_of
from kerasft.peft.quantised import quantisation_of
from kerasft.tasks.loading import precision_policy


class Archived:
    """Mixin of a `Task`: `save("task.keras")` and `keras.saving.load_model`.

    Attribute `made_with` holds the size of the head and the task's own arguments; a
    task without it has no such file. `kept_attributes` names more that is plain data.
    """

    made_with = None
    kept_attributes = ()

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        keras.saving.register_keras_serializable("kerasft")(cls)

    def form(self):
        """What `from_form` makes the task of, as plain data; None: of nothing."""
        return self.made_with

    @classmethod
    def from_form(cls, form, backbone, tokenizer):
        """A task with a new head.

        Args:
            form: as of `form`.
            backbone: made anew.
            tokenizer: the task's.
        """
        arguments = _tuples(form["arguments"])
        options = cls.head_options(arguments) if form["options"] else {}
        build = backbone.family.heads[cls.head_name].build
        head = build(backbone.config, form["size"], **options)
        task = cls(backbone, head, tokenizer, **arguments)
        task.made_with = form
        return task

    def get_config(self):
        """All that `from_config` needs, as plain data.

        Raises:
            SettingsError: the task is none that can be made anew from it.
        """
        form = self.form()
        if form is None:
            raise SettingsError(
                f"A {type(self).__name__} has no .keras file. Save its weights "
                "(save_weights), or the whole of it with save_pretrained."
            )
        tokenizer = self.whole_tokenizer
        stack = self._stack
        return {
            "form": form,
            "kept": {name: getattr(self, name) for name in self.kept_attributes},
            "config": self.adapter_notes()["config"],
            "precision": self.backbone.dtype_policy.name,
            "tokenizer": {
                name: base64.b64encode(content).decode("ascii")
                for name, content in tokenizer.files.items()
            },
            "max_length": tokenizer.max_length,
            "pad_id": tokenizer.pad_id,
            "fresh_weights": list(self.fresh_weights),
            "quantised": quantisation_of(self.backbone),
            "adapters": {
                name: {"method": one.method.kind, **settings_of(one.method)}
                for name, one in stack.adapters.items()
            },
            "active_adapter": stack.active,
        }

    @classmethod
    def from_config(cls, config):
        """A task of the same form, with weights still to be filled in."""
        content = config["config"]
        family = family_of(content)
        sizes = from_json(family, content, "task.keras")
        with precision_policy(config["precision"]):
            backbone = family.new_backbone(sizes, initializer="zeros")
            task = cls.from_form(config["form"], backbone, _tokenizer(config))
        for name, value in config["kept"].items():
            if name in cls.kept_attributes:
                setattr(task, name, value)
        task.fresh_weights = tuple(config["fresh_weights"])
        if config["quantised"]:
            task.quantize_base(config["quantised"])
        for name, chosen in config["adapters"].items():
            task.add_adapter(method_of(chosen), name)
        if config["adapters"]:
            task.set_adapter(config["active_adapter"])
        return task

    @classmethod
    def head_options(cls, arguments):
        """What `Head.build` is given beside config and size, where there is any."""
        return {}

    def get_compile_config(self):
        """Nothing: losses and optimizers are given anew."""


def _tokenizer(config):
    with tempfile.TemporaryDirectory() as place:
        for name, content in config["tokenizer"].items():
            (Path(place) / Path(name).name).write_bytes(base64.b64decode(content))
        longest, pad = config["max_length"], config["pad_id"]
        return Tokenizer.from_pretrained(place, longest, pad)


def _tuples(arguments):
    """Lists of a JSON file as the tuples that they were."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
