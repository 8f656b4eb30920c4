"""Let a language model go on with prompts.

One prompt is answered on the screen, piece by piece; several, or those of a file, give
one JSON object each: the prompt, and what follows it.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from kerasft._errors import DataError
from kerasft.training.column_settings import ColumnSettings, TextSettings
from kerasft.training.settings import at_least, setting
from kerasft.workflows.console import ERRORS
from kerasft.workflows.language_models import AskedModelSettings, language_model
from kerasft.workflows.run_folder import raise_unless_writable


@dataclass(frozen=True, kw_only=True)
class GenerateSettings(AskedModelSettings, TextSettings):
    """Prompts."""

    prompt: list[str] | None = setting(
        None, "a text to go on from; may be given several times", repeated=True
    )
    prompts: str | None = setting(
        None, "file of prompts: .txt, one a line; or a column of other files"
    )
    chat: bool = setting(False, "prompts are a user's words, to be answered")
    system: str | None = setting(None, "what a conversation begins with, with --chat")
    out: str = setting("-", "a .jsonl or .csv file; -: standard output")
    batch_size: int = setting(8, "prompts worked on at once", at_least(1))

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        if not self.prompt and self.prompts is None:
            problems.append("give prompt, or prompts: a file of them.")
        if any(not prompt.strip() for prompt in self.prompt or ()):
            problems.append("prompt: one is blank; write something to go on from.")
        if self.system is not None and not self.chat:
            problems.append("system goes with chat; give both, or none.")
        if self.out != "-" and Path(self.out).suffix.lower() not in (".jsonl", ".csv"):
            problems.append(f"out is {self.out!r}; it ends in .jsonl or .csv, or is -.")
        return problems


def generate(settings: GenerateSettings) -> list:
    """Go on with prompts, by a language model.

    Returns:
        What follows each prompt, as of `CausalLM.generate`.

    Raises:
        KerasftError: prompts or a checkpoint that do not fit; nothing is written then.
    """
    from kerasft.workflows.user_rows import row_writer

    if settings.out != "-":
        raise_unless_writable(Path(settings.out).expanduser())
    texts = _texts(settings)
    task = language_model(settings)
    prompts = [_conversation(settings, text) for text in texts]
    if len(texts) == 1 and settings.out == "-" and _streams(settings):
        return [_streamed(task, prompts[0], settings)]
    options = {"batch_size": settings.batch_size, **settings.sampling}
    made = task.generate(prompts, **options)
    with row_writer(settings.out) as write:
        for text, generated in zip(texts, made, strict=True):
            write({"prompt": text, "generated": generated})
    if settings.out != "-":
        ERRORS.print(f"{len(made):,} texts written to {settings.out}.")
    return made


def _texts(settings):
    """The prompts of flags, then those of the file.

    Raises:
        DataError: there is none in the file.
    """
    texts = list(settings.prompt or ())
    if settings.prompts is None:
        return texts
    from kerasft.workflows.masked_job import MaskedJob

    columns = ColumnSettings(
        text=settings.text,
        encoding=settings.encoding,
        delimiter=settings.delimiter,
        documents="lines",
    )
    found = MaskedJob().read(settings.prompts, columns).texts()
    found = [text for text in found if text.strip()]
    if not found:
        raise DataError(f"{settings.prompts}: holds no prompt.")
    return texts + found


def _conversation(settings, text):
    """The prompt as the task takes it."""
    if not settings.chat:
        return text
    system = [{"role": "system", "content": settings.system}]
    first = system if settings.system is not None else []
    return [*first, {"role": "user", "content": text}]


def _streams(settings):
    return settings.num_beams == 1 and settings.num_return_sequences == 1


def _streamed(task, prompt, settings):
    """Print an answer as it is made, and give it."""
    told = []
    for piece in task.stream(prompt, **settings.sampling):
        told.append(piece)
        sys.stdout.write(piece)
        sys.stdout.flush()
    sys.stdout.write("\n")
    return "".join(told)
