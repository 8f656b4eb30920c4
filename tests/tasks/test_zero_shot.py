"""Labels in words: by entailment against transformers' pipeline, and by nearness."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tiny_encoders import EXACT, save_torch, torch_classifier
from tiny_tasks import tiny_rows
from tiny_tokenizers import save_tokenizer
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    ZeroShotClassificationPipeline,
)

import kerasft as kft
from kerasft._errors import SettingsError

TEXTS = tiny_rows(7).texts()
TOPICS = ("sport", "news", "film")
ORDERS = {
    "as MNLI has them": ("contradiction", "neutral", "entailment"),
    "as others do": ("ENTAILMENT", "neutral", "CONTRADICTION"),
    "without neutral": ("entailment", "contradiction"),
}


def saved(folder, labels):
    """A tiny model of entailment whose logits are far apart."""
    model = torch_classifier(
        "bert",
        num_labels=len(labels),
        id2label=dict(enumerate(labels)),
        label2id={name: i for i, name in enumerate(labels)},
    )
    return save_tokenizer(save_torch(model, folder))


def by_pipeline(folder, texts, **options):
    pipeline = ZeroShotClassificationPipeline(
        model=AutoModelForSequenceClassification.from_pretrained(folder).eval(),
        tokenizer=AutoTokenizer.from_pretrained(folder),
        device=torch.device("cpu"),
    )
    found = pipeline(
        texts,
        candidate_labels=list(options.pop("labels", TOPICS)),
        hypothesis_template="This text is about {}.",
        **options,
    )
    return [dict(zip(row["labels"], row["scores"], strict=True)) for row in found]


def made(folder, labels=TOPICS, **options):
    classifier = kft.ZeroShotClassifier.from_pretrained(folder, labels, **options)
    classifier.task.run_eagerly = True
    return classifier


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_scores_by_entailment_equal_the_pipeline(order, multi_label, tmp_path):
    saved(tmp_path, ORDERS[order])
    expected = by_pipeline(tmp_path, TEXTS, multi_label=multi_label)
    found = made(tmp_path, multi_label=multi_label).predict_text(TEXTS)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["scores"] == pytest.approx(theirs, abs=1e-5)
        if multi_label:
            chosen = [name for name in TOPICS if theirs[name] >= 0.5]
            assert ours["labels"] == chosen
        else:
            best = max(theirs, key=theirs.get)
            assert (ours["label"], ours["score"]) == (best, ours["scores"][best])


def test_a_single_label_is_weighed_against_contradiction(tmp_path):
    saved(tmp_path, ORDERS["as MNLI has them"])
    expected = by_pipeline(tmp_path, TEXTS, labels=["sport"])
    found = made(tmp_path, ["sport"]).predict_text(TEXTS)
    assert [row["scores"] for row in found] == [
        pytest.approx(row, abs=1e-5) for row in expected
    ]


def test_scores_by_nearness_are_cosines_with_the_sentences(folder):
    classifier = made(folder, template="a {} film")
    assert isinstance(classifier.task, kft.TextEmbedder)
    sentences = [f"a {name} film" for name in TOPICS]
    expected = classifier.task.similarity(TEXTS, sentences)
    rows = kft.from_lists(TEXTS)
    assert_allclose(classifier.predict_rows(rows), expected, **EXACT)
    for row, scores in zip(classifier.predict_text(TEXTS), expected, strict=True):
        assert row["label"] == TOPICS[np.argmax(scores)]
        assert row["score"] == pytest.approx(scores.max(), abs=1e-5)


def test_a_folder_of_sentence_transformers_is_an_embedder(folder, tmp_path):
    kft.TextEmbedder.from_pretrained(folder, pooling="max").save_pretrained(
        tmp_path / "saved"
    )
    assert made(tmp_path / "saved").task.head.pooling == "max"


def test_minilm_tells_topics_it_was_never_trained_for(minilm):
    texts = {
        "sport": "The striker scored twice in the cup final.",
        "politics": "Parliament votes on the new tax law today.",
        "technology": "The phone maker unveils a faster processor.",
    }
    classifier = made(minilm, list(texts))
    found = classifier.predict_text(list(texts.values()))
    assert [row["label"] for row in found] == list(texts)


def test_nothing_gives_nothing_and_a_bare_text_is_refused(folder):
    classifier = made(folder)
    assert classifier.predict_text([]) == []
    with pytest.raises(SettingsError, match=r"\[text\]"):
        classifier.predict_text("a film")


def test_what_cannot_be_asked_is_refused(folder, task):
    embedder = kft.TextEmbedder.from_pretrained(folder)
    for template in ("about", "{} and {}"):
        with pytest.raises(SettingsError, match="write {} once"):
            kft.ZeroShotClassifier(embedder, TOPICS, template)
    with pytest.raises(SettingsError, match="which label is nearest"):
        kft.ZeroShotClassifier(embedder, TOPICS, multi_label=True)
    for labels in ((), ("a", "a")):
        with pytest.raises(SettingsError, match="labels"):
            kft.ZeroShotClassifier(embedder, labels)
    with pytest.raises(SettingsError, match="labels of the task are bad, good, meh"):
        kft.ZeroShotClassifier(task, TOPICS)
