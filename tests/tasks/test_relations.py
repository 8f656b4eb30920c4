"""Relations between two mentions, and triples: they are learned, saved, served."""

import keras
import numpy as np
import pytest
from tensorflow_or_skip import tf
from tiny_tasks import LABELS, tiny_relations, tiny_triples

import kerasft as kft
from kerasft._errors import DataError, KerasftError, SettingsError
from kerasft.data.relation_rows import relations_of
from kerasft.serving.fuzz import adversarial_texts
from kerasft.tasks import exporting
from kerasft.tasks.triple_decoding import decoded, merged

TRIPLES = ("dislikes", "of")


def verifying():
    """The module that verifies exports; it needs TensorFlow."""
    from kerasft.serving import verify_relations

    return verify_relations


@pytest.fixture(scope="module", autouse=True)
def little_proof():
    """Fewer texts to verify on; the proof itself is tested in tests/serving."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "VERIFIED_FUZZ", 50)
        yield


def fitted(kind, folder, rows, epochs, **options):
    keras.utils.set_random_seed(1)
    task = kind.from_pretrained(folder, **options)
    task.compile(kft.adamw(5e-3, warmup=0.1))
    task.fit(task.dataset(rows, 16, training=True), epochs=epochs, verbose=0)
    return task


@pytest.fixture(scope="module", params=["marks", "mentions"])
def extractor(request, folder):
    options = {"labels": LABELS, "no_relation": "meh", "max_length": 24}
    rows, pooling = tiny_relations(400), request.param
    return fitted(kft.RelationExtractor, folder, rows, 15, pooling=pooling, **options)


@pytest.fixture(scope="module")
def finder(folder):
    options = {"labels": TRIPLES, "max_length": 24}
    return fitted(kft.TripleExtractor, folder, tiny_triples(400), 30, **options)


def test_relations_are_learned(extractor):
    rows = tiny_relations(100, seed=5)
    told = extractor.evaluate(extractor.dataset(rows), verbose=0, return_dict=True)
    assert told["accuracy"] > 0.85 and told["f1"] > 0.85
    answers = extractor.predict_text([rows[i] for i in range(10)])
    logits = extractor.predict_rows(rows)
    assert [a["label"] for a in answers] == [LABELS[i] for i in logits[:10].argmax(1)]


def test_pooling_and_no_relation_come_back_from_a_folder(extractor, tmp_path):
    extractor.save_pretrained(tmp_path / "saved")
    again = kft.RelationExtractor.from_pretrained(tmp_path / "saved", max_length=24)
    assert again.pooling == extractor.pooling and again.no_relation == "meh"
    rows = tiny_relations(20, seed=5)
    np.testing.assert_allclose(
        again.predict_rows(rows), extractor.predict_rows(rows), atol=1e-5
    )


def test_torch_reads_the_backbone_of_a_saved_folder(extractor, tmp_path):
    import torch
    from transformers import AutoModel

    extractor.save_pretrained(tmp_path / "saved")
    model = AutoModel.from_pretrained(tmp_path / "saved").eval()
    ids = np.arange(3, 15)[None]
    with torch.no_grad():
        theirs = model(torch.tensor(ids)).last_hidden_state.numpy()
    ours = extractor.backbone({"input_ids": ids, "attention_mask": np.ones_like(ids)})
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_served_relation_is_the_tasks(extractor, tmp_path):
    extractor.export(tmp_path / "served", tiny_relations(20))
    serve = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    asked = verifying().relations_to_ask(
        [*adversarial_texts(60, 3), *tiny_relations(20).texts()]
    )
    served = serve(**{n: tf.constant([row[n] for row in asked]) for n in asked[0]})
    logits = extractor.predict_rows(relations_of(asked))
    np.testing.assert_allclose(
        served["probabilities"], extractor.probabilities(logits), atol=1e-5
    )
    labels = [label.decode() for label in served["label"].numpy()]
    assert labels == [answer["label"] for answer in extractor.described(logits)]
    names = (tmp_path / "served" / "assets" / "labels.txt").read_text().split()
    assert tuple(names) == LABELS
    empty = serve(
        text=tf.zeros([0], tf.string),
        head=tf.zeros([0, 2], tf.int32),
        tail=tf.zeros([0, 2], tf.int32),
    )
    assert empty["label"].shape == (0,)
    with pytest.raises(tf.errors.InvalidArgumentError, match="within their texts"):
        serve(text=["film"], head=[[0, 9]], tail=[[0, 1]])


def test_an_export_that_differs_is_not_written(extractor, tmp_path, monkeypatch):
    right = extractor.predict_rows
    monkeypatch.setattr(extractor, "predict_rows", lambda rows: right(rows) + [1, 0, 0])
    with pytest.raises(KerasftError, match="differs from the task"):
        extractor.export(tmp_path / "served")
    assert not (tmp_path / "served").exists()


@pytest.mark.parametrize(
    "options, match",
    [
        ({"pooling": "mean"}, "marks, mentions"),
        ({"no_relation": "none"}, "none of the labels"),
        ({"labels": None}, "labels"),
    ],
)
def test_mistakes_are_refused(folder, options, match):
    with pytest.raises(SettingsError, match=match):
        kft.RelationExtractor.from_pretrained(folder, **{"labels": LABELS, **options})


def test_rows_of_another_kind_are_refused(extractor, finder):
    rows = kft.from_lists(["a film"], ["good"])
    for task, reader in ((extractor, "from_relations"), (finder, "from_triples")):
        with pytest.raises(DataError, match=reader):
            task.dataset(rows)


def test_unlabelled_rows_are_predicted_but_not_trained_on(extractor):
    rows = relations_of([{"text": "a film", "head": (0, 1), "tail": (2, 6)}])
    assert extractor.predict_rows(rows).shape == (1, 3)
    with pytest.raises(SettingsError, match="need labels"):
        extractor.dataset(rows, training=True)


# --- triples


def as_set(triples, text):
    return {
        (t["subject"]["start"], t["relation"], t["object"]["start"]) for t in triples
    }


def test_triples_are_learned_also_of_texts_longer_than_a_window(finder):
    rows = tiny_triples(60, seed=5)
    hits = found = actual = 0
    for text, triples, row in zip(
        rows.texts(), finder.predict_text(rows.texts()), range(len(rows)), strict=True
    ):
        ours, theirs = as_set(triples, text), as_set(rows[row]["triples"], text)
        hits, found, actual = (
            hits + len(ours & theirs),
            found + len(ours),
            actual + len(theirs),
        )
    assert 2 * hits / (found + actual) > 0.85
    words = ["film", "very", "good"] * 20  # Three windows.
    long = " ".join(words)
    told = finder.predict_text([long])[0]
    assert {t["subject"]["text"] for t in told if t["score"] > 0.9} == {"very"}
    assert max(t["subject"]["start"] for t in told) > len(long) - 30
    keys = [
        (*t["subject"].values(), t["relation"], *t["object"].values()) for t in told
    ]
    assert len(keys) == len(set(keys))


def test_decoding_is_all_pairs_tried_one_by_one():
    random = np.random.default_rng(0)
    for length in (1, 3, 6):
        maps = random.normal(-0.5, 1, (2 + 4, length, length)).astype("float32")
        scored = random.random(length) > 0.2
        expected = {}
        for a, b, c, d in np.ndindex(length, length, length, length):
            if not scored[[a, b, c, d]].all():
                continue
            for relation in range(2):
                least = min(
                    maps[0, a, b], maps[1, c, d], maps[2 + relation, a, c],
                    maps[4 + relation, b, d],
                )  # fmt: skip
                if least > 0:
                    expected[a, b, relation, c, d] = 1 / (1 + np.exp(-least))
        found = {tuple(t[:5]): t[5] for t in decoded(maps, scored)}
        assert found == pytest.approx(expected)


def test_windows_that_find_the_same_give_it_once_at_its_best():
    one, other = (0, 1, 0, 2, 3), (4, 5, 0, 2, 3)
    windows = [[(*one, 0.6)], [(*other, 0.7), (*one, 0.9)], []]
    assert merged(windows) == [(*one, 0.9), (*other, 0.7)]


def test_served_triples_are_the_tasks(finder, tmp_path):
    finder.export(tmp_path / "served", tiny_triples(20))
    serve = tf.saved_model.load(tmp_path / "served").signatures["serving_default"]
    texts = [*tiny_triples(60, seed=7).texts(), "", "film very good " * 20]
    texts += adversarial_texts(40, 4)
    served = verifying().served_triples(serve(text=tf.constant(texts)), len(texts))
    found = 0
    for ours, theirs in zip(served, finder.predict_text(texts), strict=True):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert one.pop("score") == pytest.approx(other.pop("score"), abs=1e-5)
            assert one == other
        found += len(theirs)
    assert found > 50
    assert serve(text=tf.zeros([0], tf.string))["row"].shape == (0,)


def test_a_triple_that_is_served_wrong_stops_the_export(finder, tmp_path, monkeypatch):
    right = verifying().served_triples

    def wrong(served, count):
        found = right(served, count)
        for triples in found:
            triples[:1] = []
        return found

    monkeypatch.setattr(verifying(), "served_triples", wrong)
    with pytest.raises(KerasftError, match="differs from the task"):
        finder.export(tmp_path / "served", tiny_triples(20))
    assert not (tmp_path / "served").exists()
