"""The next token of a text: how decoders are pretrained, and how they write.

Rows are plain texts of any length, or conversations. In a batch the label of a place is
the token that follows, -100 where none is scored.

Source: Radford et al. 2018, "Improving Language Understanding by Generative
Pre-Training", section 3.1.
"""

import warnings
from functools import cached_property
from numbers import Real

import numpy as np
from keras import ops

from kerasft._errors import CheckpointError, SettingsError
from kerasft.checkpoints.folders import member
from kerasft.checkpoints.json_files import read_json, write_json
from kerasft.data.chat_tokens import ChatTokenizer
from kerasft.data.conversation_rows import Conversations
from kerasft.data.conversing import conversation_examples
from kerasft.data.corpus import from_lists
from kerasft.data.documents import documents_of
from kerasft.data.packing import (
    IGNORED,
    NextTokens,
    full_windows,
    one_per_row,
    pack_examples,
    stretches_of,
)
from kerasft.data.prompts import ChatTemplate
from kerasft.data.windows import frame_of
from kerasft.objectives import losses
from kerasft.sampling.generate import compiled
from kerasft.tasks.choice_scores import ScoringChoices
from kerasft.tasks.even_rows import as_arrays
from kerasft.tasks.feeding import Fed
from kerasft.tasks.generating import Generating
from kerasft.tasks.plain_text_task import PlainTextTask
from kerasft.tasks.source import Source
from kerasft.tasks.step import as_data
from kerasft.tasks.text_exports import export_causal_lm

GENERATION_CONFIG = "generation_config.json"


class CausalLM(Generating, ScoringChoices, PlainTextTask):
    """Logits (batch, length, vocabulary) of the token after each.

    Args:
        backbone: hidden states of token ids, of tokens before alone.
        head: logits of hidden states.
        tokenizer: the checkpoint's.
        pack: whether texts follow one another in rows that are all full; else each is
            a row of its own, or several.
        separate: whether packed texts do not see one another.
        loss_on: of conversations, what is learnt: "assistant", "completion" (its last
            turn) or "all".
        too_long: what becomes of conversations that do not fit: "shorten" leaves out
            their first turns, "leave_out" all of them; or "error".
    """

    head_name = "causal_lm"
    kept_attributes = ("generation_config",)

    def __init__(
        self,
        backbone,
        head,
        tokenizer,
        *,
        pack: bool = True,
        separate: bool = True,
        loss_on: str = "assistant",
        too_long: str = "shorten",
        **kwargs,
    ):
        super().__init__(backbone, head, tokenizer, **kwargs)
        self.pack = pack
        self.separate = separate
        self.loss_on = loss_on
        self.too_long = too_long
        self.generation_config = {}
        self._score = None

    @classmethod
    def from_pretrained(cls, checkpoint, *, revision: str | None = None, **options):
        """Load a checkpoint, with its `generation_config.json` if it has one.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            revision: branch, tag or commit on the hub.
            **options: `max_length` and `precision`, as other tasks take them, and those
                of the task.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit the task.
            SettingsError: an unknown precision, or options that cannot be.
        """
        task = super().from_pretrained(checkpoint, revision=revision, **options)
        folder = Source.find(checkpoint, revision).folder
        path = member(folder, GENERATION_CONFIG)
        if path.exists():
            task.generation_config = _numbers(read_json(path), path)
        return task

    def call(self, inputs, training=None):
        """Compute the logits."""
        hidden = self.backbone(inputs, training=training)
        return self.head(hidden, self.backbone.token_table)

    def default_loss(self):
        """Cross-entropy of each token, given those before."""
        return losses.CrossEntropy()

    def default_metrics(self):
        """None: perplexity is e to the loss, and told beside it."""
        return []

    def get_metrics_result(self):
        """As Keras does; with the perplexity of a loss that is a cross-entropy."""
        told = super().get_metrics_result()
        if isinstance(self.item_loss, losses.CrossEntropy) and "loss" in told:
            told["perplexity"] = ops.exp(told["loss"])
        return told

    def _adapters_changed(self):
        super()._adapters_changed()
        self._score = None
        vars(self).pop("chat", None)  # It knows how long texts may be.

    @property
    def end_ids(self):
        """Ids of the tokens that end a text."""
        told = self.generation_config.get("eos_token_id")
        if told is None:
            return self.backbone.config.end_ids
        return tuple(told) if isinstance(told, list) else (told,)

    @cached_property
    def chat(self):
        """The tokenizer of conversations, with the checkpoint's chat template."""
        template = ChatTemplate.from_files(self.tokenizer.files)
        return ChatTokenizer(self.tokenizer, template)

    def write(self, folder):
        """Write config, weights and tokenizer into an existing, empty folder."""
        super().write(folder)
        if self.generation_config:
            write_json(member(folder, GENERATION_CONFIG), self.generation_config)

    # --- rows

    def fed(self, rows):
        """Texts, each with the end of text behind it, in full rows or in their own.

        Conversations are not cut: whole ones share a row.
        """
        length, pad_id = self.tokenizer.max_length, self.tokenizer.pad_id
        if not self.pack:
            packed = one_per_row(self._stretches(rows), length, pad_id)
        elif isinstance(rows, Conversations):
            packed = pack_examples(self._stretches(rows), length, pad_id)
        else:
            documents = self._documents(rows)
            packed = full_windows(documents, length, pad_id, self.separate)
        return Fed(packed, None, rows=packed.rows, make=NextTokens(packed))

    def _stretches(self, rows):
        """Each text, or conversation, an example; of a long text several."""
        if not isinstance(rows, Conversations):
            return stretches_of(self._documents(rows), self.tokenizer.max_length)
        found = conversation_examples(rows, self.chat, self.loss_on, self.too_long)
        if found.told:
            warnings.warn(found.told, stacklevel=4)
        return found.examples

    def _documents(self, rows):
        frame = frame_of(self.tokenizer)
        separator = frame.ids[-1] if len(frame.ids[-1]) else self.end_ids[:1]
        return documents_of(rows, self.tokenizer, frame.ids[0], separator)

    def predict_rows(self, rows, batch_size=32):
        """Log-likelihood of each token that is scored, given those before.

        Of a text these are all but the first, the end of text included; of a
        conversation those of `loss_on`.

        Returns:
            Of each row float32 (tokens,).
        """
        packed = one_per_row(self._stretches(rows), self.tokenizer.max_length)
        found = [[] for _ in range(len(rows))]
        for chosen, logs, scored in self._log_likelihoods(packed, batch_size):
            for i, row, mask in zip(chosen, logs, scored, strict=True):
                found[packed.rows[i]].append((i, row[mask]))
        return [
            np.concatenate([row for _, row in sorted(parts, key=lambda part: part[0])])
            if parts
            else np.zeros(0, "float32")
            for parts in found
        ]

    def _log_likelihoods(self, packed, batch_size):
        """Yield numbers, log-likelihoods (rows, length) and which of them count."""
        from kerasft.data.pipeline import Batches

        if self._score is None:
            self._score = compiled(self._of_labels, self)
        plan = self._plan(packed, batch_size)
        order = plan.order(0)
        batches = Batches(packed, plan, make=NextTokens(packed))
        for step, (inputs, labels) in enumerate(as_data(batches)):
            chosen, _ = plan.batch(order, step)
            logs = np.asarray(self._score(*as_arrays((inputs, labels))))
            yield chosen, logs, np.asarray(labels) != IGNORED

    def _of_labels(self, inputs, labels):
        logits = self(inputs, training=False)
        return -losses.CrossEntropy().call(labels, logits)

    def predict_text(self, texts, batch_size=32):
        """How likely texts are.

        Args:
            texts: list of str.
            batch_size: texts worked on at once.

        Returns:
            Of each text a dict: `log_likelihood`, the sum over its `tokens`, of which
            the first is not scored and the end of text is, and `perplexity`.
        """
        if isinstance(texts, str):
            raise SettingsError("predict_text takes a list of texts: [text].")
        if not len(texts):
            return []
        return self.described(self.predict_rows(from_lists(list(texts)), batch_size))

    def log_likelihoods(self, texts):
        """Log-likelihood of each text, of all its tokens but the first."""
        return [one["log_likelihood"] for one in self.predict_text(texts)]

    def export(self, folder, rows=None, *, max_new_tokens=None, signature="text"):
        """Write a SavedModel that takes prompts and loads without kerasft.

        `generate(text, max_new_tokens, temperature, top_k, top_p, seed)` gives the same
        `text` as `generate` of this task, `serving_default(text)` the likeliest one;
        `score(text)` gives `log_likelihood` and `tokens`; `tokens` takes token ids and
        gives `logits`. It is verified as `TextClassifier.export` says, and on prompts.

        Args:
            folder: where to; an earlier export there is replaced.
            rows: your own rows, to verify on (the first thousand).
            max_new_tokens: of `serving_default`; None: 64, or half of the positions.
            signature: "text", or "tokens" for token ids alone.

        Raises:
            SettingsError: `max_new_tokens` leaves no room for a prompt.
            VerificationError: it does not give what the model gives.
            UnsupportedTokenizerError: this kind of tokenizer has no exact graph.
        """
        export_causal_lm(self, folder, rows, max_new_tokens, signature)

    def described(self, logs):
        """One dict a row, as of `predict_text`, of what `predict_rows` gives."""
        return [
            {
                "log_likelihood": float(row.sum(dtype="float64")),
                "tokens": len(row),
                "perplexity": float(np.exp(-row.mean(dtype="float64")))
                if len(row)
                else 1.0,
            }
            for row in logs
        ]


def _numbers(content, path):
    """What a generation config holds, if it can select nothing but numbers.

    Raises:
        CheckpointError: it is no object.
    """
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: not a JSON object.")

    def plain(value):
        items = value if isinstance(value, list) else [value]
        return all(item is None or isinstance(item, Real) for item in items)

    return {k: v for k, v in content.items() if plain(v) and not k.startswith("_")}
