"""A classifier from few texts: pairs, then the best head; files, export."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from tensorflow_or_skip import tf
from tiny_tasks import LABELS, tiny_rows

import kerasft as kft
from kerasft._errors import CheckpointError, DataError, SettingsError
from kerasft.checkpoints.tensors import TensorReader, write_tensors

ROWS = tiny_rows(30)


def made(folder, **options):
    keras.utils.set_random_seed(1)
    options = {"labels": LABELS} | options
    task = kft.FewShotClassifier.from_pretrained(folder, **options)
    task.run_eagerly = True
    return task


def fitted(folder, epochs=0, **options):
    task = made(folder)
    task.fit_rows(ROWS, epochs=epochs, verbose=0, **options)
    return task


@pytest.mark.parametrize("strength", [0.5, 10.0])
def test_without_pairs_it_is_logistic_regression_on_the_vectors(folder, strength):
    task = fitted(folder, strength=strength)
    vectors = task.embedder.encode(ROWS.texts())
    model = LogisticRegression(C=strength, tol=1e-9, max_iter=10_000)
    model.fit(vectors.astype("float64"), ROWS.label_array(LABELS))
    expected = model.predict_proba(vectors)
    found = task.probabilities(task.predict_rows(ROWS))
    assert_allclose(found, expected, atol=1e-4)
    assert task.fresh_weights == ()


def test_pairs_bring_texts_of_one_class_together(folder):
    def gap(task):
        similarity = task.embedder.similarity(ROWS.texts(), ROWS.texts())
        classes = ROWS.label_array(LABELS)
        same = classes[:, None] == classes[None]
        return similarity[same].mean() - similarity[~same].mean()

    before = made(folder)
    after = made(folder)
    options = {"epochs": 3, "pairs_per_row": 3, "learning_rate": 1e-3, "verbose": 0}
    history = after.fit_rows(ROWS, **options)
    assert len(history.history["loss"]) == 3
    assert gap(after) > gap(before) + 0.1
    right = [
        found["label"] == label
        for found, label in zip(
            after.predict_text(ROWS.texts()),
            np.array(LABELS)[ROWS.label_array(LABELS)],
            strict=True,
        )
    ]
    assert np.mean(right) > 0.9


def test_the_seed_makes_it_the_same_again(folder):
    options = {"epochs": 1, "pairs_per_row": 1, "learning_rate": 1e-3}
    one, same, other = (fitted(folder, seed=seed, **options) for seed in (0, 0, 1))
    logits = [task.predict_rows(ROWS) for task in (one, same, other)]
    assert_array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


def test_the_embedder_shares_the_weights(folder):
    task = made(folder)
    before = task.embedder.encode(["a film"])
    kernel = task.backbone.weights[0]
    kernel.assign(kernel * 2.0)
    assert not np.array_equal(task.embedder.encode(["a film"]), before)


def test_the_head_is_saved_beside_the_embedder(folder, tmp_path):
    task = fitted(folder)
    task.save_pretrained(tmp_path / "saved")
    again = kft.FewShotClassifier.from_pretrained(tmp_path / "saved")
    assert again.labels == LABELS and again.fresh_weights == ()
    chances = (one.predict_rows(ROWS) for one in (again, task))
    np.testing.assert_allclose(*chances, atol=1e-6)
    alone = kft.TextEmbedder.from_pretrained(tmp_path / "saved")
    vectors = task.embedder.encode(ROWS.texts())
    assert_array_equal(alone.encode(ROWS.texts()), vectors)
    anew = made(tmp_path / "saved", new_head=True)
    assert set(anew.fresh_weights) == {"logits/kernel", "logits/bias"}
    with pytest.raises(CheckpointError, match="head is for the labels"):
        made(tmp_path / "saved", labels=("x", "y"))
    # An embedder saved over it leaves no head behind.
    alone.save_pretrained(tmp_path / "saved")
    with pytest.raises(SettingsError, match="names no labels"):
        kft.FewShotClassifier.from_pretrained(tmp_path / "saved")


def test_the_best_checkpoint_can_be_restored(folder, tmp_path):
    task = fitted(folder)
    task.save_pretrained(tmp_path / "saved")
    before = task.predict_rows(ROWS)
    for weight in task.weights:
        weight.assign(weight + 0.1)
    task.load_saved(tmp_path / "saved")
    assert_array_equal(task.predict_rows(ROWS), before)


def test_a_head_of_another_size_is_refused(folder, tmp_path):
    fitted(folder).save_pretrained(tmp_path / "saved")
    reader = TensorReader(tmp_path / "saved", stem="classifier")
    tensors = {key: reader.read(key)[:2] for key in reader.keys()}
    write_tensors(tmp_path / "saved", tensors.items(), stem="classifier")
    with pytest.raises(CheckpointError, match=r"linear.weight must have shape \(3, 32"):
        kft.FewShotClassifier.from_pretrained(tmp_path / "saved")


@pytest.mark.parametrize(
    "rows, words",
    [
        (lambda: kft.from_lists(["a", "b"]), "a label each"),
        (lambda: kft.from_lists(["a"], ["good"], ["b"]), "a label each"),
        (lambda: kft.from_lists(["a", "b"], ["good", "bad"]), "has no row of meh"),
        (lambda: kft.from_lists(["a"], ["great"]), "'great'"),
    ],
)
def test_rows_it_cannot_learn_from_are_refused_before_the_long_work(
    folder, rows, words
):
    with pytest.raises(DataError, match=words):
        made(folder).fit_rows(rows())


def test_the_exported_graph_gives_the_same_labels(folder, tmp_path):
    task = fitted(folder)
    task.export(tmp_path / "served", rows=ROWS)
    serve = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    answer = serve(text=tf.constant(ROWS.texts()))
    found = [label.decode() for label in answer["label"].numpy()]
    assert found == [row["label"] for row in task.predict_text(ROWS.texts())]
    expected = task.probabilities(task.predict_rows(ROWS))
    assert_allclose(answer["probabilities"], expected, atol=1e-5)
