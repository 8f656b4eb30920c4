"""Tags of words: the numbers of torch and seqeval, windows, spans, the chain."""

import keras
import numpy as np
import pytest
import torch
from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as lenient
from seqeval.metrics.v1 import precision_recall_fscore_support as strict
from seqeval.scheme import IOB2
from sklearn.metrics import f1_score
from tiny_tasks import TAGS, tiny_tagged
from transformers import AutoModelForTokenClassification, AutoTokenizer

import kerasft as kft
from kerasft._errors import CheckpointError, DataError, SettingsError


def new_task(folder, **options):
    keras.utils.set_random_seed(3)
    options = {"labels": TAGS, "scheme": "IOB2", **options}
    return kft.TokenClassifier.from_pretrained(folder, **options)


def torch_twin(task, folder):
    """The same model in torch, and its tokenizer."""
    task.save_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder)
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def wider(task):
    """Weights so large that tags differ from word to word."""
    for weight in task.head.trainable_weights:
        weight.assign(weight * 30)
    return task


def encoded(tokenizer, rows):
    """Words as torch's recipe encodes them, labels on first tokens."""
    words, tags = rows.column("words"), rows.column("tags")
    batch = tokenizer(
        words, is_split_into_words=True, padding=True, return_tensors="pt"
    )
    labels = torch.full(batch["input_ids"].shape, -100)
    for row, names in enumerate(tags):
        before = None
        for place, word in enumerate(batch.word_ids(row)):
            if word is not None and word != before:
                labels[row, place] = TAGS.index(names[word])
            before = word
    return batch, labels


def test_loss_and_tags_equal_torchs(folder, tmp_path):
    task, rows = wider(new_task(folder)), tiny_tagged(21)
    model, tokenizer = torch_twin(task, tmp_path / "twin")
    batch, labels = encoded(tokenizer, rows)
    with torch.no_grad():
        told = model(**batch, labels=labels)
    task.compile(run_eagerly=True)
    loss = task.evaluate(task.dataset(rows, 7), verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(float(told.loss), abs=1e-5)
    for i, (tags, chances) in enumerate(task.predict_rows(rows)):
        scored = labels[i] != -100
        expected = told.logits[i][scored].softmax(-1).max(-1)
        assert tags.tolist() == expected.indices.tolist()
        np.testing.assert_allclose(chances, expected.values, atol=1e-5)
    assert len({tag for tags, _ in task.predict_rows(rows) for tag in tags}) > 2


def test_weighted_loss_equals_torchs(folder, tmp_path):
    task, rows = new_task(folder), tiny_tagged(9)
    model, tokenizer = torch_twin(task, tmp_path / "twin")
    batch, labels = encoded(tokenizer, rows)
    weights = {name: 0.5 + i for i, name in enumerate(TAGS)}
    with torch.no_grad():
        logits = model(**batch).logits
        loss = torch.nn.CrossEntropyLoss(
            torch.tensor(list(weights.values())), label_smoothing=0.0
        )(logits.reshape(-1, len(TAGS)), labels.reshape(-1))
    task.compile(class_weight=weights, run_eagerly=True)
    told = task.evaluate(task.dataset(rows, 4), verbose=0, return_dict=True)
    assert told["loss"] == pytest.approx(float(loss), abs=1e-5)


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("scheme", ["IOB2", None])
def test_scores_while_training_equal_seqevals(folder, scheme, crf):
    task = wider(new_task(folder, scheme=scheme, crf=crf))
    rows = tiny_tagged(40)
    task.compile(run_eagerly=True)
    told = task.evaluate(task.dataset(rows, 16), verbose=0, return_dict=True)
    predicted = [[TAGS[i] for i in tags] for tags, _ in task.predict_rows(rows)]
    actual = rows.column("tags")
    if scheme:
        expected = strict(actual, predicted, average="micro", scheme=IOB2)
    else:
        expected = lenient(actual, predicted, average="micro")
    for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
        assert told[name] == pytest.approx(value, abs=1e-6)
    assert told["accuracy"] == pytest.approx(accuracy_score(actual, predicted))


def test_long_rows_get_the_tags_of_the_windows_that_answer(folder, tmp_path):
    task = wider(new_task(folder, max_length=10, overlap=4))
    rows = kft.from_tags([["film", "was", "great", "not", "awful"] * 7])
    model, tokenizer = torch_twin(task, tmp_path / "twin")
    batch = tokenizer(
        rows[0]["words"],
        is_split_into_words=True,
        max_length=10,
        stride=4,
        truncation=True,
        return_overflowing_tokens=True,
        padding=True,
        return_tensors="pt",
    )
    batch.pop("overflow_to_sample_mapping")
    with torch.no_grad():
        logits = model(**batch).logits
    # Room for 8 tokens, 4 of them shared: each window answers up to the middle.
    expected = {}
    for window in range(len(logits)):
        words = batch.word_ids(window)
        for place, word in enumerate(words):
            if word is not None and (window == 0 or place - 1 >= 2):
                expected[word] = int(logits[window][place].argmax())
    tags, _ = task.predict_rows(rows)[0]
    assert tags.tolist() == [expected[word] for word in range(35)]


def test_the_chain_keeps_to_the_scheme(folder):
    task = wider(new_task(folder, crf=True))
    free = wider(new_task(folder))
    rows = tiny_tagged(40, seed=5)
    allowed = task.tag_set.allowed

    def well_formed(tags):
        steps = [-1, *tags, -1]
        return all(allowed[a, b] for a, b in zip(steps, steps[1:], strict=False))

    assert all(well_formed(tags) for tags, _ in task.predict_rows(rows))
    assert not all(well_formed(tags) for tags, _ in free.predict_rows(rows))
    for _, chances in task.predict_rows(rows):
        assert ((chances > 0) & (chances <= 1 + 1e-6)).all()


def test_a_tagger_learns_and_tells_spans_of_the_text(folder):
    task = new_task(folder, crf=True)
    rows = tiny_tagged(60)
    task.compile(kft.adamw(5e-3))
    batches = task.dataset(rows, 12, training=True)
    logs = task.fit(batches, epochs=12, verbose=0).history
    assert logs["f1"][-1] > 0.95
    text = "The  very awful plot a Great good film"
    found = task.predict_text([text, "", "very"])
    assert [(one["text"], one["label"]) for one in found[0]] == [
        ("awful", "BAD"),
        ("Great good", "GOOD"),
    ]
    for one in found[0]:
        assert text[one["start"] : one["end"]] == one["text"]
        assert 0.5 < one["score"] <= 1
    assert found[1:] == [[], []]
    split = task.predict_text([["the", "great", "good", "film"]])
    assert [one["text"] for one in split[0]] == ["great good"]


def test_plain_classes_of_words_are_told_word_by_word(folder):
    task = wider(new_task(folder, labels=("ADJ", "NOUN"), scheme=None))
    assert not task.finds_entities
    found = task.predict_text(["A good film."])[0]
    assert [one["text"] for one in found] == ["A", "good", "film", "."]
    assert {one["label"] for one in found} <= {"ADJ", "NOUN"}
    random = np.random.default_rng(0)
    words = [["good", "film"] * random.integers(1, 4) for _ in range(12)]
    tags = [["ADJ", "NOUN"] * (len(row) // 2) for row in words]
    rows = kft.from_tags(words, tags)
    task.compile(run_eagerly=True)
    told = task.evaluate(task.dataset(rows, 4), verbose=0, return_dict=True)
    guess = [tag for row, _ in task.predict_rows(rows) for tag in row]
    actual = [task.labels.index(tag) for row in tags for tag in row]
    assert told["f1"] == pytest.approx(f1_score(actual, guess, average="macro"))
    assert told["accuracy"] == pytest.approx(np.mean(np.equal(actual, guess)))


def test_tags_and_scheme_are_kept_with_the_checkpoint(folder, tmp_path):
    task = new_task(folder, crf=True)
    task.save_pretrained(tmp_path / "saved")
    model = AutoModelForTokenClassification.from_pretrained(tmp_path / "saved")
    assert tuple(model.config.id2label.values()) == TAGS
    again = kft.TokenClassifier.from_pretrained(tmp_path / "saved")
    assert again.labels == TAGS and again.tag_set.scheme == "IOB2"
    assert again.head.crf and not again.fresh_weights
    plain = kft.TokenClassifier.from_pretrained(tmp_path / "saved", crf=False)
    assert plain.head.crf is None and not plain.fresh_weights
    with pytest.raises(CheckpointError, match="new_head=True"):
        kft.TokenClassifier.from_pretrained(tmp_path / "saved", labels=("O", "B-X"))


def test_a_chain_can_be_put_on_a_tagger_without_one(folder, tmp_path):
    new_task(folder).save_pretrained(tmp_path / "saved")
    task = kft.TokenClassifier.from_pretrained(tmp_path / "saved", crf=True)
    assert set(task.fresh_weights) == {
        "crf/transitions",
        "crf/starts",
        "crf/ends",
    }


def test_what_does_not_fit_is_refused(folder):
    task = new_task(folder, crf=True)
    with pytest.raises(SettingsError, match="whole sequences"):
        task.compile(class_weight=dict.fromkeys(TAGS, 1.0))
    with pytest.raises(DataError, match="read_conll"):
        task.dataset(kft.from_lists(["a"], ["b"]))
    with pytest.raises(SettingsError, match="need labels"):
        task.dataset(kft.from_tags([["a"]]), training=True)
    with pytest.raises(SettingsError, match="list of texts"):
        task.predict_text("a film")
    with pytest.raises(SettingsError, match="IOBES has the prefixes|scheme is"):
        new_task(folder, scheme="IOB9")


def test_rows_can_be_weighed(folder):
    task, rows = new_task(folder), tiny_tagged(6)
    task.compile(run_eagerly=True)
    weights = np.array([0, 0, 1, 1, 1, 1], "float32")
    told = task.evaluate(task.dataset(rows, 6, weights=weights), verbose=0)
    alone = task.evaluate(task.dataset(rows.select(range(2, 6)), 6), verbose=0)
    assert told[0] == pytest.approx(alone[0], abs=1e-6)
