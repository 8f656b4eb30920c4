"""Report on answers: exact match and F1, as SQuAD defines them."""

from kerasft.training.metrics_report import MetricsReport
from kerasft.training.quality import Mistake


class AnswerReport(MetricsReport):
    """Quality of answers; tells what a `Report` tells.

    Args:
        metrics: name -> value, 0 to 1.
        table: of each row a dict, as `QuestionAnswerer.score_rows` gives it.
    """

    def __init__(self, metrics, table):
        super().__init__(metrics)
        self.table = table

    def mistakes(self, most=20):
        """Wrong answers, the most confident first."""
        wrong = [
            Mistake(
                i,
                " | ".join(row["accepted"]) or "(none)",
                row["answer"] or "(none)",
                float(row["score"]),
            )
            for i, row in enumerate(self.table)
            if not row["exact"]
        ]
        return sorted(wrong, key=lambda one: -one.score)[:most]
