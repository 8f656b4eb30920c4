"""Report on a language model: perplexity, and of conversations answers it writes.

The loss is in nats a token; perplexity is e to it. Answers are compared with those in
the rows. The trap: ROUGE knows no words but those of a to z and digits, so where a
reference has none all texts are compared by characters.
"""

from dataclasses import dataclass

import numpy as np

from kerasft.data.conversation_rows import Conversations
from kerasft.data.conversing import asked_and_answered, fitting
from kerasft.training.generation_report import ROUGE_WORD, GenerationReport
from kerasft.training.metrics_report import MetricsReport

SHOWN, LENGTH = 3, 300  # answers, characters


@dataclass(frozen=True)
class Answer:
    """An answer that was written.

    Args:
        prompt: the last thing said before it.
        reference: the answer in the rows.
        generated: by the model.
    """

    prompt: str
    reference: str
    generated: str


class CausalReport(MetricsReport):
    """Perplexity, and the quality of written answers.

    Args:
        metrics: `loss` and `perplexity`.
        answers: of held-out rows; () for none.
        left_out: rows whose last turn alone leaves no room for an answer.
    """

    def __init__(self, metrics, answers=(), left_out=0):
        self.answers, self.left_out, self.compared = list(answers), left_out, None
        if answers:
            references = [one.reference for one in answers]
            latin = all(map(ROUGE_WORD.search, references))
            self.compared = GenerationReport(
                [one.generated for one in answers],
                references,
                **({} if latin else {"tokenize": "char", "split": list}),
            )
            metrics = metrics | self.compared.metrics
        super().__init__(metrics)

    def text(self):
        """One line a number; then some of the answers."""
        told = [super().text()]
        if self.left_out:
            told.append(f"{self.left_out:,} rows are too long to be answered.")
        if self.compared:
            told.append(f"BLEU: {self.compared.signature}")
            told.append(f"Answers compared: {len(self.answers):,}. Some of them:")
        for one in self.answers[:SHOWN]:
            told.append(
                f"\nasked      {_short(one.prompt)}\nreference  "
                f"{_short(one.reference)}\nwritten    {_short(one.generated)}"
            )
        return "\n".join(told)


def report_causal(task, rows, batch_size=32, most=0, max_new_tokens=128):
    """The report of a `CausalLM`.

    Args:
        task: trained.
        rows: texts or conversations.
        batch_size: rows worked on at once.
        most: conversations whose last answer is written and compared, spread over the
            rows; 0: none. Of texts none is.
        max_new_tokens: of an answer.
    """
    if not task.compiled:
        task.compile()
    batches = task.dataset(rows, batch_size)
    metrics = task.evaluate(batches, return_dict=True, verbose=0)
    if not most or not isinstance(rows, Conversations):
        return CausalReport(metrics)
    return CausalReport(
        metrics, *_answers(task, rows, batch_size, most, max_new_tokens)
    )


def _answers(task, rows, batch_size, most, max_new_tokens):
    """Answers, and how many rows are too long for one."""
    positions = task.backbone.room
    count = min(max_new_tokens, max(1, positions // 2))
    chosen = np.unique(np.linspace(0, len(rows) - 1, most).round().astype(int))
    asked, references, left_out = [], [], 0
    for i in chosen.tolist():
        messages, answer = asked_and_answered(rows.messages(i))
        if answer is None:
            continue
        messages, _ = fitting(messages, task.chat, positions - count)
        if messages is None:
            left_out += 1
            continue
        asked.append(messages)
        references.append(answer)
    written = task.generate(asked, batch_size=batch_size, max_new_tokens=count)
    return [
        Answer(messages[-1]["content"], reference, text)
        for messages, reference, text in zip(asked, references, written, strict=True)
    ], left_out


def _short(text):
    text = " ".join(text.split())
    return text if len(text) <= LENGTH else text[: LENGTH - 1] + "…"
