"""Let a language model write while it is trained, so that one sees what it has learnt.

The texts go to a run of their own, `samples`, in the Text tab: TensorBoard reads one
file a run at a time, and `train` is being written to.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from kerasft._errors import SettingsError
from kerasft.training.devices import is_chief
from kerasft.training.summaries import Summaries, markdown_table

SAMPLING = {"temperature": 0.8, "top_k": 50}


class TextSamples(keras.callbacks.Callback):
    """After each epoch go on from a few prompts.

    Attribute `texts` holds the last ones, in the order of the prompts.

    Args:
        prompts: texts, or conversations that an answer is asked for.
        log_dir: folder of the run's TensorBoard logs; None: they are not written.
        tell: called with the first of the texts, such as `print`; None: nobody is told.
        max_new_tokens: of each text, as far as the model has room.
        **sampling: as of `CausalLM.generate`; not given: a temperature of 0.8 among the
            50 likeliest tokens, with the same draws in each epoch.

    Raises:
        SettingsError: there is no prompt.
    """

    def __init__(
        self,
        prompts: Sequence,
        log_dir: str | Path | None = None,
        *,
        tell: Callable[[str], None] | None = None,
        max_new_tokens: int = 48,
        **sampling,
    ):
        super().__init__()
        self.prompts = list(prompts)
        if not self.prompts or isinstance(prompts, str):
            raise SettingsError("TextSamples takes a list of prompts, one at least.")
        self.log_dir = None if log_dir is None else Path(log_dir)
        self.tell = tell
        self.max_new_tokens = max_new_tokens
        self.sampling = sampling or SAMPLING
        self.texts = []

    def raise_unless_room(self, task):
        """Refuse prompts that fill all positions of the task's model.

        Raises:
            SettingsError: names the first of them.
        """
        most = task.backbone.room
        for prompt in self.prompts:
            size = _size(task, prompt)
            if size >= most:
                raise SettingsError(
                    f"The prompt {_shown(prompt)[:40]!r} has {size} tokens, and the "
                    f"model {most} positions: nothing can follow. Give a shorter one."
                )

    def on_train_begin(self, logs=None):
        """Refuse prompts without room."""
        self.raise_unless_room(self.model)
        writes = self.log_dir is not None and is_chief(self.model.distribute_strategy)
        self._samples = Summaries((self.log_dir or Path()) / "samples", writes)

    def on_epoch_end(self, epoch, logs=None):
        """Write, and tell one."""
        task = self.model
        longest = max(_size(task, prompt) for prompt in self.prompts)
        room = task.backbone.room - longest
        count = min(self.max_new_tokens, room)
        self.texts = task.generate(self.prompts, max_new_tokens=count, **self.sampling)
        shown = [_shown(prompt) for prompt in self.prompts]
        rows = list(zip(shown, self.texts, strict=True))
        table = markdown_table(("prompt", "what follows"), rows)
        self._samples.text("samples", table, epoch + 1)
        self._samples.flush()
        if self.tell:
            self.tell(f"Epoch {epoch + 1} writes: {shown[0]} [...]{self.texts[0]}")


def _size(task, prompt):
    if isinstance(prompt, str):
        return len(task.tokenizer.backend.encode(prompt).ids)
    return len(task.chat(prompt, add_generation_prompt=True).ids)


def _shown(prompt):
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]
