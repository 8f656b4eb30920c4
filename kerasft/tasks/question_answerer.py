"""Answers to questions, cut out of a text that holds them, or the answer that it has
none.

Long texts are cut into windows that overlap; the best answer of all windows counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from keras import ops

from kerasft._errors import DataError, SettingsError
from kerasft.data.answering import question_examples
from kerasft.data.question_readers import questions_of
from kerasft.data.question_rows import QuestionRows
from kerasft.objectives.answers import best_threshold, score_answers
from kerasft.objectives.positions import PositionAccuracy, PositionLoss
from kerasft.tasks.answer_decoding import best_answers, told_answers
from kerasft.tasks.exporting import export_question_answerer
from kerasft.tasks.feeding import Fed
from kerasft.tasks.loading import HeadPlan
from kerasft.tasks.task import Task

UNLIKELY = -1e30  # What padding has in metrics.


class QuestionAnswerer(Task):
    """Logits (batch, length, 2): where the answer begins, and where it ends.

    Args:
        backbone: hidden states of token ids.
        head: logits of hidden states.
        tokenizer: the checkpoint's.
        overlap: tokens of the text that neighbouring windows share; None: a quarter of
            what a window holds of it.
        max_answer_length: the most tokens of an answer.
        no_answer_threshold: "there is no answer" is given where its score is higher by
            more than this than that of the best answer; None: an answer is always
            given. `tune_threshold` finds it, and `save_pretrained` keeps it.
    """

    head_name = "question_answerer"

    def __init__(
        self,
        backbone,
        head,
        tokenizer,
        overlap=None,
        max_answer_length=30,
        no_answer_threshold=None,
        **kwargs,
    ):
        super().__init__(backbone, head, tokenizer, **kwargs)
        self.overlap = overlap
        self.max_answer_length = max_answer_length
        self.no_answer_threshold = no_answer_threshold
        self.label_smoothing = self.focal_gamma = 0.0

    @classmethod
    def from_pretrained(
        cls,
        checkpoint,
        *,
        overlap: int | None = None,
        max_answer_length: int = 30,
        max_length: int | None = None,
        precision: str = "float32",
        new_head: bool = False,
        revision: str | None = None,
    ):
        """Load a checkpoint, and its head where it has one for questions.

        Args:
            checkpoint: a local folder or a name on the Hugging Face hub.
            overlap: tokens of a long text that neighbouring windows share; None: a
                quarter of what a window holds of it.
            max_answer_length: the most tokens of an answer.
            max_length: tokens of a window, the question included; None: as many as the
                model takes. 384 is usual.
            precision: "float32", "mixed_bfloat16" or "mixed_float16".
            new_head: start with a new last layer even if the checkpoint has one.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: no such checkpoint, or it does not fit.
            SettingsError: an unknown precision, or no room for an answer.
        """
        if max_answer_length < 1:
            raise SettingsError(
                f"max_answer_length is {max_answer_length}; at least 1 token."
            )

        def plan_head(config, tensors):
            arguments = {
                "overlap": overlap,
                "max_answer_length": max_answer_length,
                "no_answer_threshold": None if new_head else config.no_answer_threshold,
            }
            # torch makes as many logits as there are label names.
            config = replace(config, labels=(), no_answer_threshold=None)
            return HeadPlan(config, 2, arguments, ("logits",) if new_head else ())

        return cls._load(checkpoint, revision, max_length, precision, plan_head)

    def compile(
        self,
        optimizer=None,
        loss=None,
        metrics=None,
        *,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        **options,
    ):
        """Make ready for `fit`; what is not given is the task's own.

        Args:
            optimizer: None: the recipe `kerasft.adamw()`.
            loss: a Keras loss; None: cross-entropy of the answer's first and last
                token, as in torch's models.
            metrics: a list of Keras metrics; None: the shares of windows whose first
                token, whose last token, and whose both are right.
            label_smoothing: share of the target given to all positions alike.
            focal_gamma: places that are right already count less, the more the higher
                this is (2 is usual); 0: all count alike.
            **options: of `Task.compile` and `keras.Model.compile`.

        Raises:
            SettingsError: one of these two beside a loss of your own.
        """
        if (label_smoothing or focal_gamma) and loss is not None:
            raise SettingsError(
                "label_smoothing and focal_gamma belong to the task's own loss: leave "
                "out `loss`."
            )
        self.label_smoothing, self.focal_gamma = label_smoothing, focal_gamma
        super().compile(optimizer, loss, metrics, **options)

    def default_loss(self):
        """Cross-entropy of first and last token."""
        return PositionLoss(self.label_smoothing, self.focal_gamma)

    def default_metrics(self):
        """Accuracy of windows: first token, last token, both."""
        return [PositionAccuracy(which) for which in ("start", "end", "both")]

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """As Keras does; padding is never the likeliest position."""
        mask = x.get("attention_mask")
        if mask is not None:
            real = ops.expand_dims(ops.cast(mask, "bool"), -1)
            y_pred = ops.where(real, ops.cast(y_pred, "float32"), UNLIKELY)
        return super().compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    # --- rows

    def fed(self, rows):
        """Windows of contexts, each after its question, labelled (windows, 2)."""
        found = self._examples(rows)
        return Fed(found.examples, found.labels, rows=found.rows)

    def label_array(self, rows):
        """First and last token of the answer in each window, (windows, 2); or None."""
        return self._examples(rows).labels

    def _examples(self, rows):
        if not isinstance(rows, QuestionRows):
            raise DataError(
                f"{rows!r}: this task takes questions. Read them with read_squad or "
                "read_questions_jsonl, or make them by from_questions."
            )
        return question_examples(rows, self.tokenizer, self.overlap)

    def predict_rows(self, rows, batch_size=32):
        """`Candidates` for each row: its best answers and their scores."""
        found = self._examples(rows)
        return best_answers(self, found, batch_size, self.max_answer_length)

    def answer_rows(self, rows, batch_size=32, n_best: int | None = None):
        """Answers to rows, as `predict_text` gives them."""
        if n_best is not None and n_best < 1:
            raise SettingsError(f"n_best is {n_best}; at least 1.")
        told = [
            told_answers(context, candidates, self.no_answer_threshold)
            for context, candidates in zip(
                rows.column("context"), self.predict_rows(rows, batch_size), strict=True
            )
        ]
        return [row[0] if n_best is None else row[:n_best] for row in told]

    def predict_text(
        self,
        texts: Sequence[Mapping[str, str]],
        batch_size=32,
        n_best: int | None = None,
    ):
        """Answers to questions about texts.

        Args:
            texts: list of {"question": str, "context": str}.
            batch_size: windows worked on at once.
            n_best: None: one answer each; a number: a list of up to so many, the best
                first (there are 20 at most).

        Returns:
            For each question a dict: `answer`, cut out of the context; `start` and
            `end`, its characters there; `score`, its probability among the 20 best and
            "no answer". Where there is none, `answer` is "" from 0 to 0.

        Raises:
            DataError: a question or context is missing, or is no text.
        """
        if isinstance(texts, str | Mapping):
            raise SettingsError(
                'predict_text takes a list: [{"question": ..., "context": ...}].'
            )
        if not len(texts):
            return []
        return self.answer_rows(questions_of(texts), batch_size, n_best)

    def described(self, logits):
        """The likeliest first and last token of each window, as a dict."""
        return [
            {"start_token": int(start), "end_token": int(end)}
            for start, end in logits.argmax(1)
        ]

    # --- scores

    def score_rows(self, rows, batch_size=32):
        """Exact match and F1 of the answers, by the definition of SQuAD.

        Returns:
            `exact` and `f1`, 0 to 1, and where some questions have no answer also
            `answerable_exact`, `empty_exact` and so on; and a list with a dict for each
            row: `question`, `answer`, `accepted`, `score`, `exact`, `f1`, `where`.

        Raises:
            DataError: rows without answers.
        """
        self._raise_unless_answered(rows)
        answers, accepted = self.answer_rows(rows, batch_size), rows.accepted
        scores = score_answers([one["answer"] for one in answers], accepted)
        questions = rows.column("question")
        table = [
            {
                "question": questions[i],
                "answer": answers[i]["answer"],
                "accepted": accepted[i],
                "score": answers[i]["score"],
                "exact": float(scores.exact[i]),
                "f1": float(scores.f1[i]),
                "where": rows.where(i),
            }
            for i in range(len(rows))
        ]
        return scores.means(), table

    def tune_threshold(self, rows, batch_size=32) -> dict[str, float]:
        """Set `no_answer_threshold` to what gives the best F1 on these rows.

        Returns:
            `threshold`, and `exact` and `f1` with it.

        Raises:
            DataError: rows without answers, or not of both kinds of questions.
        """
        self._raise_unless_answered(rows)
        found, contexts = self.predict_rows(rows, batch_size), rows.column("context")
        answers = [
            told_answers(*both, threshold=None)[0]["answer"]
            for both in zip(contexts, found, strict=True)
        ]
        scores = score_answers(answers, rows.accepted)
        if scores.answerable.all() or not scores.answerable.any():
            raise DataError(
                f"{rows!r}: to tune the threshold, some questions must have an answer "
                "and some must have none."
            )
        doubts = [one.doubts[0] if len(one.scores) else 0.0 for one in found]
        best = best_threshold(scores, doubts, [not answer for answer in answers])
        self.no_answer_threshold = best["threshold"]
        return best

    def _raise_unless_answered(self, rows):
        if getattr(rows, "label_type", None) != "answers":
            raise DataError(f"{rows!r}: to score answers, rows need the right ones.")

    def export(self, folder, rows=None, *, signature="text"):
        """Write a SavedModel that takes strings, as `TokenClassifier.export` does.

        `serving_default(question, context)` gives `answer`, `start`, `end` and `score`.
        """
        export_question_answerer(self, folder, rows, signature)

    def saved_config(self):
        """The backbone's config, with the threshold."""
        threshold = {"no_answer_threshold": self.no_answer_threshold}
        return replace(self.backbone.config, **threshold)
