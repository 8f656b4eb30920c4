"""An ensemble answers with the mean of its members, in memory and served."""

import keras
import numpy as np
import pytest
from tiny_tasks import LABELS, save_tiny_bert, tiny_pairs, tiny_rows

import kerasft as kft
from kerasft._errors import CheckpointError, SettingsError

PROBLEMS = {
    "single_label": LABELS,
    "multi_label": ("bad", "good"),
    "regression": ("value",),
}


def rows_of(problem):
    rows = tiny_rows(30)
    texts = rows.texts()
    if problem == "multi_label":
        return kft.from_lists(
            texts, [[n for n in ("bad", "good") if n in t] for t in texts]
        )
    if problem == "regression":
        return kft.from_lists(texts, [float(len(t)) for t in texts])
    return rows


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    keras.utils.set_random_seed(0)
    return save_tiny_bert(tmp_path_factory.mktemp("tiny"), num_layers=1)


def members(folder, count, problem="single_label", **options):
    """Classifiers of their own random weights, far from one another."""
    made = []
    for seed in range(count):
        keras.utils.set_random_seed(seed)
        task = kft.TextClassifier.from_pretrained(
            folder, labels=PROBLEMS[problem], problem=problem, **options
        )
        for weight in task.head.trainable_variables:
            weight.assign(keras.random.normal(weight.shape, seed=seed))
        made.append(task)
    return made


def expected(some, rows):
    """The mean as it is defined."""
    outputs = [one.predict_rows(rows) for one in some]
    if some[0].problem != "regression":
        outputs = [
            one.probabilities(out) for one, out in zip(some, outputs, strict=True)
        ]
    return np.mean(outputs, axis=0)


@pytest.fixture(scope="module", params=PROBLEMS)
def made(request, tiny):
    """Problem, two members, their rows."""
    return request.param, members(tiny, 2, request.param), rows_of(request.param)


def test_it_gives_the_mean_of_its_members(made):
    problem, some, rows = made
    ensemble = kft.Ensemble(some)
    wanted = expected(some, rows)
    found = ensemble.predict_rows(rows)
    if problem != "regression":
        found = ensemble.probabilities(found)
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert np.abs(wanted - expected(some[:1], rows)).max() > 0.05
    for row, told in zip(wanted, ensemble.predict_text(rows.texts()), strict=True):
        if problem == "single_label":
            assert told["label"] == LABELS[row.argmax()]
            assert told["score"] == pytest.approx(row.max(), abs=1e-6)
        elif problem == "multi_label":
            names = [n for n, s in zip(ensemble.labels, row, strict=True) if s >= 0.5]
            assert told["labels"] == names
        else:
            assert told["value"] == pytest.approx(row[0], abs=1e-5)


def test_it_is_measured_as_a_classifier_is(made):
    _, some, rows = made
    ensemble = kft.Ensemble(some)
    found = ensemble.evaluate(rows)
    report = kft.report_on(ensemble, rows).metrics
    for ours, theirs in {
        "accuracy": "accuracy",
        "f1": "f1_macro",
        "f1_micro": "f1_micro",
        "mae": "mae",
    }.items():
        if ours in found:
            assert found[ours] == pytest.approx(report[theirs], abs=1e-5)
    alone = kft.Ensemble(some[:1]).evaluate(rows)
    some[0].compile()
    told = some[0].evaluate(some[0].dataset(rows), return_dict=True, verbose=0)
    assert alone == pytest.approx({k: told[k] for k in alone}, abs=1e-5)


def test_one_saved_model_of_token_ids_serves_all_members(made, tmp_path):
    tf = pytest.importorskip("tensorflow")
    problem, some, rows = made
    ensemble = kft.Ensemble(some)
    ensemble.export(tmp_path / "served", signature="tokens")
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["tokens"]
    inputs, _ = next(iter(ensemble.dataset(rows, 30)))
    inputs = {"token_type_ids": tf.zeros_like(inputs["input_ids"])} | inputs
    answer = serve(**{name: tf.cast(ids, tf.int32) for name, ids in inputs.items()})
    name = "value" if problem == "regression" else "probabilities"
    wanted = expected(some, rows).reshape(answer[name].shape)
    np.testing.assert_allclose(answer[name], wanted, atol=1e-5)


@pytest.mark.slow
def test_one_saved_model_of_strings_serves_all_members(tiny, tmp_path):
    tf = pytest.importorskip("tensorflow")
    some, rows = members(tiny, 2), tiny_rows(30)
    ensemble = kft.Ensemble(some)
    ensemble.export(tmp_path / "served", rows)
    serve = tf.saved_model.load(str(tmp_path / "served")).signatures["serving_default"]
    answer = serve(text=tf.constant(rows.texts()))
    wanted = expected(some, rows)
    np.testing.assert_allclose(answer["probabilities"], wanted, atol=1e-5)
    labels = [label.decode() for label in answer["label"].numpy()]
    assert labels == [LABELS[i] for i in wanted.argmax(1)]
    assert (tmp_path / "served/assets/labels.txt").read_text().split() == list(LABELS)


def test_pairs_of_texts_are_averaged(tiny):
    some, rows = members(tiny, 2), tiny_pairs(9)
    found = kft.Ensemble(some).predict_rows(rows)
    np.testing.assert_allclose(
        kft.Ensemble(some).probabilities(found), expected(some, rows), atol=1e-6
    )


def test_members_must_go_together(tiny, tmp_path):
    one, two = members(tiny, 2)
    other = members(tiny, 1, problem="multi_label")
    with pytest.raises(SettingsError, match="needs members"):
        kft.Ensemble([])
    with pytest.raises(SettingsError, match="same labels and problem"):
        kft.Ensemble([one, *other])
    with pytest.raises(SettingsError, match="a member is a MaskedLM"):
        kft.Ensemble([kft.MaskedLM.from_pretrained(tiny)])
    with pytest.raises(SettingsError, match="max_length"):
        kft.Ensemble([one, *members(tiny, 1, max_length=7)]).export(tmp_path / "never")
    assert not (tmp_path / "never").exists()
    with pytest.raises(SettingsError, match="name the column of the label"):
        kft.Ensemble([one, two]).evaluate(kft.from_lists(["a film"]))


def test_it_is_loaded_from_the_folders_of_folds(tiny, tmp_path):
    some = members(tiny, 2)
    for number, one in enumerate(some, 1):
        one.save_pretrained(tmp_path / f"fold-{number}")
    loaded = kft.Ensemble.from_pretrained(tmp_path, max_length=9)
    assert len(loaded.members) == 2 and loaded.tokenizer.max_length == 9
    again = kft.Ensemble.from_pretrained(tmp_path).predict_rows(tiny_rows(9))
    np.testing.assert_allclose(again, kft.Ensemble(some).predict_rows(tiny_rows(9)))
    with pytest.raises(CheckpointError, match="fold-"):
        kft.Ensemble.from_pretrained(tiny)
