"""The commands of causal_lm: pretraining on texts, fine-tuning on conversations too.

The trap: a config.json that is begun with names the end of text of another tokenizer;
the one that is given says which it is.
"""

import kerasft as kft
from kerasft._errors import DataError, SettingsError
from kerasft.training.task_settings import AnswerReportSettings
from kerasft.workflows.console import RESULTS
from kerasft.workflows.job import Job
from kerasft.workflows.masked_job import MaskedJob
from kerasft.workflows.tag_job import shared_ending

SAMPLES, BEGINNING = 3, 60  # texts, characters
ROWS, WRITTEN = ("one_text_per_row", "see_across"), ("sample_prompts", "sample_tokens")
ANSWERS, COMPARED = ("loss_on", "too_long"), ("report_rows", "report_tokens")
CONVERSATIONS = ("conversations", "prompt", "completion")


class Writing(Job):
    """What all jobs of next tokens share."""

    task = "causal_lm"
    pipeline_tag = "text-generation"
    example = 'generate(["Some text"])'

    def metrics(self, task, settings, rows):
        """Perplexity, which the task tells beside its loss."""
        from kerasft.objectives.metrics import Perplexity

        return [Perplexity()]

    def rows_of_tokens(self, settings) -> dict:
        """How rows are filled, as the task takes it."""
        return {
            "pack": not settings.one_text_per_row,
            "separate": not settings.see_across,
        }

    def loading(self, recipe):
        """The same as in training, so that other rows are measured alike."""
        return self.arguments(recipe, None) if recipe else {}

    def answers(self, task, rows, batch_size, **sampling):
        """What follows each text or conversation, in one new column."""
        prompts = self.prompts(rows)
        made = task.generate(prompts, batch_size=batch_size, **sampling)
        return [{"generated": text} for text in made]

    def prompts(self, rows) -> list:
        """What is to be gone on with."""
        return rows.texts()

    def callbacks(self, task, settings, rows, logs):
        """Texts that are written after each epoch.

        Raises:
            SettingsError: prompts that leave no room behind them.
        """
        from kerasft.training.text_samples import TextSamples

        prompts = settings.sample_prompts
        if prompts is None:
            prompts = self.beginnings(rows.parts.get("validation"), task)
        if not prompts:
            return []
        if not all(prompt.strip() for prompt in settings.sample_prompts or ()):
            raise SettingsError("sample_prompts: one is blank; write something.")
        samples = TextSamples(
            prompts, logs, tell=RESULTS.print, max_new_tokens=settings.sample_tokens
        )
        samples.raise_unless_room(task)
        return [samples]

    def beginnings(self, rows, task) -> list:
        """How some of the held-out rows begin, as far as there is room behind."""
        texts = [] if rows is None else rows.texts(0, 50)
        cut = [text.strip()[:BEGINNING] for text in texts]
        encode, most = task.tokenizer.backend.encode, task.tokenizer.max_length
        found = (text.rpartition(" ")[0] or text for text in cut if text)
        found = [text for text in found if len(encode(text).ids) < most]
        return found[:SAMPLES]

    def fit(self, task, dataset, settings, rows, callbacks):
        """Train; tell how fast it went."""
        from kerasft.training.tensorboard import TensorBoard

        history = super().fit(task, dataset, settings, rows, callbacks)
        for board in callbacks:
            if isinstance(board, TensorBoard) and board.speed:
                RESULTS.print(board.speed.told())
        return history


class NextTokenJob(Writing, MaskedJob):
    """The next token of texts without labels."""

    own_settings = (*ROWS, *WRITTEN)
    unused_settings = ("mask_share", "mask_random_keep", "whole_words")

    def arguments(self, settings, rows):
        """How rows are filled."""
        return self.rows_of_tokens(settings)

    def sizes(self, settings):
        """The config, with the special tokens of the tokenizer that is given."""
        from kerasft.checkpoints.locate import locate
        from kerasft.data.prompts import special_tokens
        from kerasft.data.tokenizer import Tokenizer
        from kerasft.data.windows import frame_of

        tokenizer = Tokenizer.from_pretrained(locate(settings.tokenizer), 512)
        named = special_tokens(tokenizer.files)
        ids = {
            f"{name}_token_id": tokenizer.backend.token_to_id(named[f"{name}_token"])
            for name in ("bos", "eos")
            if f"{name}_token" in named
        }
        last = frame_of(tokenizer).ids[-1]
        if len(last):  # What texts are ended with when they are learnt.
            ids["eos_token_id"] = int(last[0])
        return {**super().sizes(settings), "bos_token_id": None, **ids}


class CausalJob(Writing, MaskedJob):
    """The next token of texts, or of what is said in conversations."""

    verb = "fine-tuned"
    own_settings = (*ROWS, *WRITTEN, *ANSWERS, *COMPARED, *CONVERSATIONS, "documents")

    def read(self, files, columns, on_bad_rows="error", answers=True):
        """Texts of any kind of file, or conversations.

        Raises:
            DataError: bad rows, unknown endings.
        """
        if not _of_conversations(columns):
            return super().read(files, columns, on_bad_rows)
        endings = (".jsonl", ".json", ".parquet")
        if shared_ending(files) not in endings:
            raise DataError(
                f"{files}: expected conversations in {', '.join(endings)}. For texts, "
                "leave out conversations, prompt and completion."
            )
        return kft.read_conversations(
            files,
            prompt=columns.prompt,
            completion=columns.completion,
            answers=answers,
            encoding=columns.encoding,
            on_bad_rows=on_bad_rows,
        )

    def read_questions(self, files, columns):
        """Texts to go on with, or conversations to answer."""
        return self.read(files, columns, answers=False)

    def load(self, settings, rows):
        """The task to train; its head is never a new one."""
        return Job.load(self, settings, rows)

    def arguments(self, settings, rows):
        """How rows are filled, and what is learnt of conversations."""
        if rows is not None:
            _raise_if_of_conversations(settings, rows.parts["train"])
        told = {name: vars(settings)[name] for name in ANSWERS}
        return self.rows_of_tokens(settings) | told

    def report(self, task, rows, batch_size, asked, recipe=None):
        """Perplexity, and answers that are compared with those in conversations."""
        from kerasft.training.causal_report import report_causal

        _raise_if_of_conversations(asked, rows)
        told = [one for one in (asked, recipe, AnswerReportSettings()) if one]
        found = [
            next(value for one in told if (value := vars(one).get(name)) is not None)
            for name in COMPARED
        ]
        return report_causal(task, rows, batch_size, *found)

    def prompts(self, rows):
        """Texts, or conversations up to the last thing that is asked."""
        from kerasft.data.conversation_rows import Conversations
        from kerasft.data.conversing import asked_and_answered

        if not isinstance(rows, Conversations):
            return rows.texts()
        found = (rows.messages(i) for i in range(len(rows)))
        return [asked_and_answered(messages)[0] for messages in found]

    def beginnings(self, rows, task):
        """How some held-out texts begin, or what is asked in held-out conversations."""
        from kerasft.data.conversation_rows import Conversations
        from kerasft.data.conversing import fitting

        if not isinstance(rows, Conversations):
            return super().beginnings(rows, task)
        asked = self.prompts(rows.select(range(min(SAMPLES, len(rows)))))
        most = task.tokenizer.max_length - 1
        found = (fitting(messages, task.chat, most)[0] for messages in asked)
        return [messages for messages in found if messages]

    def about(self, rows):
        """What the rows are."""
        from kerasft.data.conversation_rows import Conversations

        talk = isinstance(rows.parts["train"], Conversations)
        return "next tokens of " + ("conversations" if talk else "texts")


def _of_conversations(columns):
    return bool(columns.conversations or columns.prompt or columns.completion)


def _raise_if_of_conversations(settings, rows):
    """Refuse settings that texts have no use for.

    Raises:
        SettingsError: names them.
    """
    from kerasft.data.conversation_rows import Conversations

    if isinstance(rows, Conversations):
        return
    changed = settings.changed()
    told = [name for name in (*ANSWERS, *COMPARED) if name in changed]
    if told:
        raise SettingsError(
            f"{', '.join(told)}: for conversations, but the rows are texts. Leave out "
            "what is named, or say by conversations, prompt and completion what is "
            "said by whom."
        )
