"""Reports against scikit-learn and SciPy."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from kerasft._errors import DataError
from kerasft._registry import UnknownNameError
from kerasft.training.metrics_report import ChoiceReport
from kerasft.training.plots import figure_to_png
from kerasft.training.report import REPORTS, report

LABELS = ("bad", "good", "$5 to $9", "不明")
AVERAGES = ("macro", "micro", "weighted")


def class_data(rows=300, classes=4, seed=0):
    random = np.random.default_rng(seed)
    true = random.integers(0, classes, rows)
    chances = random.dirichlet(np.ones(classes), rows)
    chances[np.arange(rows), true] += 0.3
    return true, chances / chances.sum(axis=1, keepdims=True)


def many_data(rows=300, classes=4, seed=0):
    random = np.random.default_rng(seed)
    true = (random.random((rows, classes)) < 0.3).astype("float32")
    return true, np.clip(0.4 * true + random.random(true.shape) * 0.6, 0, 1)


def number_data(rows=300, count=1, seed=0):
    random = np.random.default_rng(seed)
    true = random.normal(3.0, 2.0, (rows, count)).astype("float32")
    return true, true + random.normal(0.0, 0.5, true.shape)


def make(problem):
    data = {
        "single_label": class_data,
        "multi_label": many_data,
        "regression": number_data,
    }
    return report(
        LABELS if problem != "regression" else ["stars"], problem, *data[problem]()
    )


def test_numbers_of_one_label_are_those_of_scikit_learn():
    true, chances = class_data()
    found = report(LABELS, "single_label", true, chances).metrics
    best = chances.argmax(1)
    assert found["accuracy"] == reference.accuracy_score(true, best)
    assert np.isclose(found["log_loss"], reference.log_loss(true, chances))
    for average in AVERAGES:
        for name, values in zip(
            ("precision", "recall", "f1"),
            reference.precision_recall_fscore_support(true, best, average=average),
            strict=False,
        ):
            assert np.isclose(found[f"{name}_{average}"], values), (name, average)
    table = reference.classification_report(
        true, best, target_names=LABELS, output_dict=True
    )
    for label in LABELS:
        told = {
            key: found[f"{key}/{label}"] for key in ("precision", "recall", "support")
        }
        expected = {key: table[label][key] for key in told}
        assert told == pytest.approx(expected)
        assert found[f"f1/{label}"] == pytest.approx(table[label]["f1-score"])


def test_a_label_that_never_occurs_does_not_lower_the_macro_mean():
    true, chances = class_data(classes=3)
    wider = np.pad(chances, ((0, 0), (0, 1)))
    found = report(LABELS, "single_label", true, wider).metrics
    assert found["f1_macro"] == pytest.approx(
        reference.f1_score(true, chances.argmax(1), average="macro")
    )
    assert found["support/不明"] == 0


def test_the_confusion_matrix_is_that_of_scikit_learn():
    true, chances = class_data()
    expected = reference.confusion_matrix(true, chances.argmax(1))
    np.testing.assert_array_equal(
        report(LABELS, "single_label", true, chances).matrix, expected
    )


def test_numbers_of_many_labels_are_those_of_scikit_learn():
    true, chances = many_data()
    found = report(LABELS, "multi_label", true, chances).metrics
    chosen = chances >= 0.5
    assert found["exact_match"] == pytest.approx(reference.accuracy_score(true, chosen))
    assert found["hamming_loss"] == pytest.approx(reference.hamming_loss(true, chosen))
    for average in AVERAGES:
        expected = reference.precision_recall_fscore_support(
            true, chosen, average=average
        )
        told = [found[f"{name}_{average}"] for name in ("precision", "recall", "f1")]
        assert told == pytest.approx(expected[:3])


@pytest.mark.parametrize("count", [1, 3])
def test_numbers_of_regression_are_those_of_scipy(count):
    true, predicted = number_data(count=count)
    labels = [f"n{i}" for i in range(count)]
    found = report(labels, "regression", true, predicted).metrics
    x, y = true.ravel(), predicted.ravel()
    assert found["mae"] == pytest.approx(reference.mean_absolute_error(x, y))
    assert found["rmse"] == pytest.approx(np.sqrt(reference.mean_squared_error(x, y)))
    assert found["pearson"] == pytest.approx(stats.pearsonr(x, y)[0])
    assert found["spearman"] == pytest.approx(stats.spearmanr(x, y)[0])
    assert found["r2"] == pytest.approx(reference.r2_score(x, y))
    if count > 1:
        expected = stats.spearmanr(true[:, 2], predicted[:, 2])[0]
        assert found["spearman/n2"] == pytest.approx(expected)


def test_predictions_without_spread_have_no_correlation():
    found = report(["stars"], "regression", np.arange(5.0), np.ones((5, 1))).metrics
    assert found["pearson"] == found["spearman"] == 0.0


@pytest.mark.parametrize("problem", REPORTS)
def test_metrics_are_plain_numbers_that_json_keeps(problem):
    found = make(problem).metrics
    assert all(type(value) is float for value in found.values())
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("problem", REPORTS)
def test_the_table_has_a_line_for_each_label(problem):
    made = make(problem)
    lines = made.text().splitlines()
    for label in made.labels:
        assert any(line.startswith(label) for line in lines)


@pytest.mark.parametrize("problem", REPORTS)
def test_every_figure_can_be_drawn(problem):
    figures = make(problem).figures()
    assert len(figures) == (3 if problem == "single_label" else 2)
    for figure in figures.values():
        assert figure_to_png(figure).startswith(b"\x89PNG")


def test_the_most_confident_mistake_comes_first():
    chances = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    made = report(["no", "yes"], "single_label", [1, 1, 1, 0], chances)
    told = [(m.row, m.label, m.predicted, m.score) for m in made.mistakes()]
    assert told == [(0, "yes", "no", 0.9), (3, "no", "yes", 0.7), (1, "yes", "no", 0.6)]
    assert len(made.mistakes(1)) == 1


def test_a_mistake_of_many_labels_names_them_all():
    chances = np.array([[0.9, 0.1], [0.6, 0.8], [0.2, 0.1]])
    made = report(
        ["a", "b"], "multi_label", np.array([[1, 0], [0, 1], [1, 1]]), chances
    )
    told = [(m.row, m.label, m.predicted, m.score) for m in made.mistakes()]
    assert told == [(2, "a, b", "(none)", 0.9), (1, "b", "a, b", 0.6)]


def test_the_furthest_number_is_the_worst_mistake():
    made = report(["stars"], "regression", [1.0, 2.0, 3.0], [[1.5], [2.0], [1.0]])
    worst = made.mistakes(1)[0]
    assert (worst.row, worst.label, worst.predicted, worst.score) == (2, "3", "1", 2.0)


@pytest.mark.parametrize(
    "problem, data", [("single_label", class_data), ("multi_label", many_data)]
)
def test_logits_are_refused(problem, data):
    true, chances = data()
    with pytest.raises(DataError, match="task.probabilities"):
        report(LABELS, problem, true, np.log(chances + 1e-6))


@pytest.mark.parametrize(
    "problem, true, outputs",
    [
        ("single_label", np.zeros((5, 4)), np.full((5, 4), 0.25)),
        ("single_label", np.zeros(5), np.full((5, 3), 1 / 3)),
        ("single_label", np.zeros(0), np.zeros((0, 4))),
        ("multi_label", np.zeros(5), np.full((5, 4), 0.25)),
        ("regression", np.zeros((5, 2)), np.zeros((5, 4))),
    ],
)
def test_shapes_that_do_not_fit_are_refused(problem, true, outputs):
    with pytest.raises(DataError, match="takes outputs"):
        report(LABELS, problem, true, outputs)


def test_a_class_number_without_a_label_is_refused():
    with pytest.raises(DataError, match="from 0 to 4"):
        report(LABELS, "single_label", [0, 4], np.full((2, 4), 0.25))


def test_outputs_that_are_not_finite_are_refused():
    with pytest.raises(DataError, match="1 of 3 outputs"):
        report(["stars"], "regression", np.zeros(3), [[1.0], [np.nan], [2.0]])


def test_an_unknown_problem_is_refused():
    with pytest.raises(UnknownNameError, match="single_label"):
        report(LABELS, "singel_label", [0], np.full((1, 4), 0.25))


def test_choices_are_counted_and_the_surest_mistake_comes_first():
    choices = [["a", "b"], ["c", "d", "e"], ["f", "g"], ["h", "i"]]
    answers = [
        {"index": 0, "score": 0.9},
        {"index": 2, "score": 0.6},
        {"index": 1, "score": 0.8},
        {"index": 1, "score": 0.7},
    ]
    made = ChoiceReport(choices, [0, 0, 0, 1], answers)
    assert made.metrics["accuracy"] == 0.5
    assert made.metrics["guessing"] == pytest.approx((3 / 2 + 1 / 3) / 4)
    told = [(m.row, m.label, m.predicted, m.score) for m in made.mistakes()]
    assert told == [(2, "f", "g", 0.8), (1, "c", "e", 0.6)]
    assert "accuracy: 0.5000" in made.text()
