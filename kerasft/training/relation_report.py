"""Reports on relations of two mentions, and on triples."""

from dataclasses import dataclass

import numpy as np

from kerasft.training.label_report import ClassReport
from kerasft.training.quality import Mistake
from kerasft.training.set_report import SetReport

SIDES = ("subject", "object")


@dataclass(frozen=True, eq=False)
class RelationReport(ClassReport):
    """One relation of several, of which one may say that there is none.

    Args, beside those of `Report`:
        nothing: the number of that one, or None.
    """

    nothing: int | None = None

    @property
    def overall(self):
        """What a `ClassReport` has; precision, recall and F1 of actual relations."""
        numbers = super().overall
        if self.nothing is None:
            return numbers
        predicted = self.predicted
        there, told = self.y_true != self.nothing, predicted != self.nothing
        hits = (there & (predicted == self.y_true)).sum()
        return numbers | {
            "relation_precision": float(hits / max(1, told.sum())),
            "relation_recall": float(hits / max(1, there.sum())),
            "relation_f1": float(2 * hits / max(1, told.sum() + there.sum())),
        }


class TripleReport(SetReport):
    """Quality of triples; one is right if relation, subject and object are.

    Args:
        labels: the relations.
        found: of each row (actual, predicted): sets of (relation, subject, object),
            the latter as texts.
        scores: of each row a dict, predicted triple -> score.
    """

    kind = "relation"

    def __init__(self, labels, found, scores):
        super().__init__(labels, found)
        self.scores = scores

    def mistakes(self, most=20):
        """Rows with triples missed or made up, the most confidently wrong first."""
        rows = []
        for i, (actual, predicted) in enumerate(self.found):
            missed, extra = sorted(actual - predicted), sorted(predicted - actual)
            if missed or extra:
                sure = max((self.scores[i][triple] for triple in extra), default=0.0)
                rows.append(Mistake(i, _told(missed), _told(extra), float(sure)))
        return sorted(rows, key=lambda one: -one.score)[:most]


def _told(triples):
    return "; ".join(f"{s} {r} {o}" for r, s, o in triples) or "(none)"


def report_relations(task, rows, batch_size):
    """The report of a `RelationExtractor` on rows."""
    truth = task.label_array(rows)
    chances = task.probabilities(task.predict_rows(rows, batch_size))
    nothing = task.no_relation
    number = None if nothing is None else task.labels.index(nothing)
    return RelationReport(
        task.labels, np.asarray(truth), chances.astype("float64"), number
    )


def report_triples(task, rows, batch_size):
    """The report of a `TripleExtractor` on rows."""
    found, scores, texts = [], [], rows.texts()
    told = task.predict_text(texts, batch_size)
    for text, triples, answers in zip(texts, rows.column("triples"), told, strict=True):
        actual = {
            (t["relation"], *(text[t[n]["start"] : t[n]["end"]] for n in SIDES))
            for t in triples
        }
        guesses = {}
        for answer in answers:
            key = (answer["relation"], *(answer[name]["text"] for name in SIDES))
            guesses[key] = max(answer["score"], guesses.get(key, 0.0))
        found.append((actual, set(guesses)))
        scores.append(guesses)
    return TripleReport(task.labels, found, scores)
