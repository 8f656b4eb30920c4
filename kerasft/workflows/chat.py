"""Talk with a language model on the terminal, by the checkpoint's own chat template.

Lines in, answers out, piece by piece. The trap: a conversation grows beyond what the
model has room for; then its oldest turns are left out of what the model sees, and that
is said.
"""

import sys
from dataclasses import dataclass

from kerasft._errors import DataError
from kerasft.training.settings import setting
from kerasft.workflows.console import ERRORS
from kerasft.workflows.language_models import AskedModelSettings, language_model

HELP = "Empty lines are not sent. /reset begins anew, /quit (or Ctrl-D) ends."


@dataclass(frozen=True, kw_only=True)
class ChatSettings(AskedModelSettings):
    """Conversation."""

    system: str | None = setting(None, "what the conversation begins with")

    def conflicts(self):
        """Settings that do not go together, one sentence each."""
        problems = super().conflicts()
        if self.num_beams > 1 or self.num_return_sequences > 1:
            problems.append(
                "answers are written as they are made: leave out num_beams and "
                "num_return_sequences."
            )
        return problems


def chat(settings: ChatSettings) -> list[dict]:
    """Talk with a language model on the terminal.

    Returns:
        The conversation as it stands at its end: role and content of each message.

    Raises:
        KerasftError: a checkpoint that does not fit, or whose template takes no such
            conversation.
    """
    talk = Talk(language_model(settings), settings)
    ERRORS.print(HELP)
    try:
        while True:
            line = input("> " if sys.stdin.isatty() else "").strip()
            if line == "/quit":
                break
            if line == "/reset":
                talk.reset()
                ERRORS.print("(A new conversation.)")
            elif line:
                talk.answer(line)
    except (EOFError, KeyboardInterrupt):
        sys.stdout.write("\n")
    return talk.messages


class Talk:
    """A conversation that goes on.

    Args:
        task: a `CausalLM`.
        settings: of the command.

    Raises:
        DataError: the template does not take how the conversation begins.
        SettingsError: there is no room for an answer.
    """

    def __init__(self, task, settings):
        self.task, self.settings = task, settings
        self.room = task.backbone.config.max_position_embeddings
        self.room -= settings.max_new_tokens
        self.reset()
        self._seen([*self.messages, {"role": "user", "content": "Hello."}])

    def reset(self):
        """Begin anew, with the system's message alone."""
        system = self.settings.system
        self.messages = (
            [] if system is None else [{"role": "system", "content": system}]
        )

    def answer(self, line: str):
        """Print an answer as it is made; a line that cannot be answered is dropped."""
        messages = [*self.messages, {"role": "user", "content": line}]
        try:
            seen = self._seen(messages)
        except DataError as error:
            ERRORS.print(f"({error})")
            return
        told = []
        for piece in self.task.stream(seen, **self.settings.sampling):
            told.append(piece)
            sys.stdout.write(piece)
            sys.stdout.flush()
        sys.stdout.write("\n")
        self.messages = [*messages, {"role": "assistant", "content": "".join(told)}]

    def _seen(self, messages):
        """The messages that the model has room for, with a word on those left out."""
        from kerasft.data.conversing import fitting

        seen, turns = fitting(messages, self.task.chat, self.room)
        if seen is None:
            raise DataError(
                f"With max_new_tokens={self.settings.max_new_tokens} there is room for "
                f"{max(0, self.room)} tokens of a conversation, and this turn alone "
                "has more. Write less, or let answers be shorter."
            )
        if turns:
            ERRORS.print(f"(The oldest turns are left out: {turns}.)")
        return seen
