"""Text classification: three problems, pairs, labels, losses, predictions."""

import json

import keras
import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from tiny_classifiers import (
    EAGER,
    SECONDS,
    TEXTS,
    made,
    recipe,
    rows_for,
    torch_loss,
    weights_of,
)
from tiny_tasks import LABELS

import kerasft as kft
from kerasft._errors import DataError, SettingsError


@pytest.mark.parametrize("paired", [False, True])
def test_training_moves_all_weights_and_predictions_keep_their_order(
    folder, problem, paired
):
    task = made(folder, problem)
    rows = rows_for(problem, paired)
    before = weights_of(task)
    task.compile(recipe(), **EAGER)
    history = task.fit(task.dataset(rows, 11, training=True), verbose=0).history
    assert np.isfinite(list(history.values())).all()
    for path, value in weights_of(task).items():
        if path.endswith(("kernel", "embeddings")):
            assert not np.array_equal(value, before[path]), path
    texts = list(zip(TEXTS, SECONDS, strict=True)) if paired else TEXTS
    logits = task.predict_rows(rows, batch_size=4)
    np.testing.assert_allclose(
        logits[::-1],
        task.predict_rows(rows.select(range(20, -1, -1)), batch_size=5),
        atol=1e-5,
    )
    assert len(task.predict_text(texts)) == len(logits) == 21
    expected = task.described(logits[3:4])[0]
    found = task.predict_text(texts[3:4])[0]
    assert found.keys() == expected.keys()
    for name, value in found.items():
        if isinstance(value, float):
            assert value == pytest.approx(expected[name], abs=1e-5)


def test_batches_of_like_length_and_in_order_have_the_same_loss(folder, problem):
    task = made(folder, problem)
    task.compile(**EAGER)
    rows = rows_for(problem)
    one, other = (
        task.evaluate(data, return_dict=True, verbose=0)
        for data in (
            task.dataset(rows, batch_size=4),
            task.dataset(rows, batch_size=21, group_by_length=True),
        )
    )
    assert one == pytest.approx(other, abs=1e-4)


def test_probabilities_equal_scipy_even_of_extreme_logits(folder):
    logits = np.array([[1e4, -1e4, 0], [1, 2, 3], [-1e30, 1e30, 1e30]], "float32")
    with np.errstate(over="raise", invalid="raise"):
        one = made(folder).probabilities(logits)
        many = made(folder, "multi_label").probabilities(logits)
    np.testing.assert_allclose(one[:2], softmax(logits[:2], -1), atol=1e-6)
    np.testing.assert_allclose(one.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(many, expit(logits), atol=1e-6)


def test_predictions_are_plain_values_under_the_labels_names(folder):
    logits = np.log(np.array([[1, 2, 1], [6, 1, 1]], "float32"))
    assert made(folder).described(logits) == [
        {"label": "good", "score": pytest.approx(0.5)},
        {"label": "bad", "score": pytest.approx(0.75)},
    ]
    many = made(folder, "multi_label").described(np.zeros((1, 3)) + [[-1, 0, 1]])
    scores = {"bad": 0.2689414, "good": 0.5, "meh": 0.7310586}
    assert many == [{"labels": ["good", "meh"], "scores": pytest.approx(scores)}]
    assert made(folder, "regression").described(np.ones((1, 1))) == [{"value": 1.0}]
    two = made(folder, "regression", labels=("joy", "anger"))
    told = [{"values": {"joy": 1.0, "anger": 2.0}}]
    assert two.described(np.array([[1, 2]])) == told
    json.dumps(many)


def test_several_numbers_a_row_are_learnt_together(folder):
    task = made(folder, "regression", labels=("joy", "anger"))
    rows = kft.from_lists(TEXTS[:4], [[0.5, 1.5]] * 4)
    task.compile(**EAGER)
    told = task.evaluate(task.dataset(rows), return_dict=True, verbose=0)
    expected = np.square(task.predict_rows(rows) - [[0.5, 1.5]]).mean()
    assert told["loss"] == pytest.approx(expected, rel=1e-5)


def test_predicting_nothing_gives_nothing_and_a_bare_text_is_refused(task):
    assert task.predict_text([]) == []
    with pytest.raises(SettingsError, match=r"\[text\]"):
        task.predict_text("a film")


def test_rows_with_other_labels_than_the_task_are_refused(task):
    valid = kft.from_lists(TEXTS[:3], ["good", "awful", "goood"])
    with pytest.raises(DataError, match="(?s)2 labels.*'awful'.*'goood'"):
        task.dataset(valid)


@pytest.mark.parametrize("wrong", ["multi_label", "regression"])
def test_rows_of_another_problem_are_refused(task, wrong):
    with pytest.raises(DataError, match="a single_label task takes 'name'"):
        task.dataset(rows_for(wrong))


def test_more_numbers_than_the_task_predicts_are_refused(folder):
    rows = kft.from_lists(TEXTS[:2], [[0.5, 1.5]] * 2)
    with pytest.raises(DataError, match="has 2 numbers a row, but the task predicts 1"):
        made(folder, "regression").dataset(rows)


@pytest.mark.parametrize(
    "options, theirs",
    [
        ({}, {}),
        ({"label_smoothing": 0.2}, {"label_smoothing": 0.2}),
        (
            {"class_weight": {"meh": 3, "good": 0.5, "bad": 1}},
            {"weight": torch.tensor([1, 0.5, 3])},
        ),
    ],
)
def test_the_loss_equals_torch(task, options, theirs):
    rows = rows_for()
    task.compile(**options, **EAGER)
    told = task.evaluate(task.dataset(rows, 4), return_dict=True, verbose=0)
    expected = torch_loss(task, rows, **theirs)
    assert told["loss"] == pytest.approx(expected, rel=1e-5)
    assert set(told) == {"loss", "accuracy", "f1"}


@pytest.mark.parametrize(
    "weights, odd", [({"good": 1, "bad": 1}, "meh"), (dict.fromkeys("ab", 1), "a, b")]
)
def test_class_weights_for_other_labels_are_refused(task, weights, odd):
    with pytest.raises(SettingsError, match=f"differ in: .*{odd}"):
        task.compile(class_weight=weights)


def test_weights_and_smoothing_beside_a_loss_of_your_own_are_refused(folder, task):
    weights = dict.fromkeys(LABELS, 1.0)
    for options in (
        {"class_weight": weights},
        {"label_smoothing": 0.1},
        {"focal_gamma": 2},
    ):
        with pytest.raises(SettingsError, match="task's own"):
            task.compile(loss="mse", **options)
        with pytest.raises(SettingsError, match="not for regression"):
            made(folder, "regression").compile(**options)


def test_balanced_weights_can_be_given_as_they_are(task):
    rows = kft.from_lists(["a"] * 4, ["good", "good", "bad", "meh"])
    task.compile(class_weight=kft.balanced_weights(rows))
    assert task.item_loss.class_weight == pytest.approx([4 / 3, 2 / 3, 4 / 3])


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda labels, logits: keras.ops.mean(logits, -1),
    ],
)
def test_a_users_own_loss_and_metrics_are_used(task, loss):
    metric = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")
    task.compile("sgd", loss, metrics=[metric], **EAGER)
    data = task.dataset(rows_for(), 11, training=True)
    history = task.fit(data, verbose=0).history
    assert set(history) == {"loss", "top2"}
    assert isinstance(task.optimizer, keras.optimizers.SGD)


KERAS_LOSSES = {
    "single_label": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "multi_label": keras.losses.BinaryCrossentropy(from_logits=True),
    "regression": "mse",
}


def test_a_keras_loss_with_row_weights_equals_the_tasks_own(folder, problem):
    task = made(folder, problem)
    weights = np.arange(21)
    data = task.dataset(rows_for(problem), 8, weights=weights)
    told = []
    for loss in (None, KERAS_LOSSES[problem]):
        task.compile(loss=loss, metrics=[], **EAGER)
        told.append(task.evaluate(data, verbose=0, return_dict=True)["loss"])
    assert told[1] == pytest.approx(told[0], rel=1e-5)


def test_weights_of_rows_count_in_loss_and_metrics(task):
    rows = rows_for()
    right = task.predict_rows(rows).argmax(1) == rows.label_array(LABELS)
    assert right.any() and not right.all()
    task.compile(**EAGER)
    data = task.dataset(rows, 8, weights=right.astype("float32"))
    told = task.evaluate(data, return_dict=True, verbose=0)
    assert told["accuracy"] == 1
    kept = rows.select(np.flatnonzero(right))
    assert told["loss"] == pytest.approx(torch_loss(task, kept), rel=1e-5)
