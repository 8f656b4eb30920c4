"""Reports of tasks whose quality is a few numbers, and of choices."""

from kerasft.training.quality import Mistake, lines


class MetricsReport:
    """Numbers alone; tells what a `Report` tells.

    Args:
        metrics: name -> value.
    """

    def __init__(self, metrics):
        self.metrics = {name: float(value) for name, value in metrics.items()}

    def text(self):
        """One line a number."""
        return "\n".join(lines(self.metrics))

    def figures(self):
        """None."""
        return {}

    def mistakes(self, most=20):
        """None."""
        return []

    def curve_data(self):
        """None."""
        return {}


class ChoiceReport(MetricsReport):
    """Quality of choices: `accuracy`, and `guessing`, that of a blind choice.

    Args:
        choices: of each row its texts.
        labels: number of the right one.
        answers: of each row a dict with `index` and `score`.
    """

    def __init__(self, choices, labels, answers):
        self.rows = list(zip(choices, labels, answers, strict=True))
        right = [label == answer["index"] for _, label, answer in self.rows]
        guessing = [1 / len(some) for some, _, _ in self.rows]
        super().__init__(
            {
                "accuracy": sum(right) / len(right),
                "guessing": sum(guessing) / len(guessing),
            }
        )

    def mistakes(self, most=20):
        """Wrong choices, the most confident first."""
        wrong = [
            Mistake(i, some[label], some[answer["index"]], answer["score"])
            for i, (some, label, answer) in enumerate(self.rows)
            if label != answer["index"]
        ]
        return sorted(wrong, key=lambda one: -one.score)[:most]
