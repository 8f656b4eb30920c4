"""Pretraining as BERT and ALBERT do it, against torch; and pairs out of documents."""

import keras
import numpy as np
import pytest
import torch
from tensorflow_or_skip import tf
from tiny_encoders import batch_for, rewrite, save_torch, torch_model
from tiny_tasks import save_tiny_bert, tiny_documents
from tiny_tokenizers import save_tokenizer
from transformers import AutoModelForPreTraining

import kerasft as kft
from kerasft._errors import CheckpointError, DataError
from kerasft._registry import UnknownNameError
from kerasft.data.documents import INNER, OPENS, documents_of
from kerasft.data.masking import IGNORED, Masking
from kerasft.data.text_pairs import PairedPassages
from kerasft.data.tokenizer import Tokenizer
from kerasft.models import pretrained

STILL = {
    "albert": {"classifier_dropout_prob": 0.0},
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
}
PAIR_LABELS = {"albert": "sentence_order_label", "bert": "next_sentence_label"}


def still_model(model_type):
    """A random torch model without dropout."""
    return torch_model(model_type, AutoModelForPreTraining, **STILL[model_type])


def loaded(model, folder, **options):
    save_tokenizer(folder)
    return kft.Pretraining.from_pretrained(save_torch(model, folder), **options)


def batch(model_type):
    """Inputs; tokens and pairs to guess, uneven; the tokens as torch wants them."""
    random = np.random.default_rng(0)
    inputs = batch_for(model_type)
    positions = np.array([[1, 5, 9], [2, 0, 0], [3, 1, 0]], "int32")
    masked = random.integers(5, 101, (3, 3)).astype("int32")
    masked[1, 1:] = masked[2, 2:] = IGNORED
    everywhere = np.full(inputs["input_ids"].shape, IGNORED)
    for row, places, labels in zip(everywhere, positions, masked, strict=True):
        row[places[labels != IGNORED]] = labels[labels != IGNORED]
    labels = {"masked": masked, "pair": np.array([1, 0, 1], "int32")}
    return inputs | {"masked_positions": positions}, labels, everywhere


def torch_outputs(model, model_type):
    inputs, labels, everywhere = batch(model_type)
    inputs.pop("masked_positions")
    tensors = {name: torch.tensor(value).long() for name, value in inputs.items()}
    pair = {PAIR_LABELS[model_type]: torch.tensor(labels["pair"]).long()}
    return model(**tensors, **pair, labels=torch.tensor(everywhere))


def weights_by_key(task):
    tensors = pretrained.named_tensors(task.backbone, "pretraining", task.head)
    return {key: np.array(value) for key, value in tensors}


# --- the same numbers as torch


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("model_type", STILL)
def test_loss_and_gradients_equal_torch(model_type, parts, tmp_path):
    model = still_model(model_type)
    task = loaded(model, tmp_path)
    reference = torch_outputs(model.train(), model_type).loss
    reference.backward()
    task.compile(keras.optimizers.SGD(1.0), micro_batches=parts)
    before = weights_by_key(task)
    inputs, labels, _ = batch(model_type)
    told = task.train_on_batch(inputs, labels, return_dict=True)
    np.testing.assert_allclose(told["loss"], reference.item(), rtol=1e-5)
    after = weights_by_key(task)
    expected = {
        n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None
    }
    size = max(np.abs(g).max() for g in expected.values())
    for key, gradient in expected.items():
        np.testing.assert_allclose(before[key] - after[key], gradient, atol=1e-5 * size)


def test_the_loss_of_an_epoch_is_the_sum_of_means_over_all_items(tmp_path):
    task = loaded(still_model("bert"), tmp_path)
    task.compile()
    whole = task.dataset(tiny_documents(20), batch_size=64, max_shapes=1)
    ((inputs, labels),) = list(whole)
    uneven = [slice(0, 3), slice(3, None)]

    def parts():
        for part in uneven:
            yield tf.nest.map_structure(lambda t, part=part: t[part], (inputs, labels))

    spec = tf.nest.map_structure(
        lambda t: tf.TensorSpec((None, *t.shape[1:]), t.dtype), (inputs, labels)
    )
    data = tf.data.Dataset.from_generator(parts, output_signature=spec)
    data = data.apply(tf.data.experimental.assert_cardinality(2))
    told = task.evaluate(data, return_dict=True, verbose=0)
    logits = task(inputs)
    expected = 0.0
    for name in ("masked", "pair"):
        scores = torch.tensor(np.array(logits[name])).flatten(0, -2)
        truth = torch.tensor(np.array(labels[name])).long().flatten()
        expected += torch.nn.functional.cross_entropy(scores, truth).item()
    assert told["loss"] == pytest.approx(expected, rel=1e-5)
    at_once = task.evaluate(whole, return_dict=True, verbose=0)
    assert at_once == pytest.approx(told, rel=1e-5)
    assert set(told) == {
        "loss",
        "masked_accuracy",
        "masked_perplexity",
        "pair_accuracy",
    }


def test_weights_of_rows_weigh_both_parts(tmp_path):
    task = loaded(still_model("bert"), tmp_path)
    task.compile()
    rows = tiny_documents(6)
    both = task.dataset(rows, batch_size=64, weights=[1, 1, 1, 0, 0, 0])
    inputs, labels, weight = next(iter(both))
    count = int(np.sum(weight))
    assert 0 < count < len(weight)
    alone = task.test_on_batch(
        {name: value[:count] for name, value in inputs.items()},
        {name: value[:count] for name, value in labels.items()},
        return_dict=True,
    )
    told = task.evaluate(both, return_dict=True, verbose=0)
    assert told == pytest.approx(alone, rel=1e-5)


# --- pairs

WORDS = "a good bad film awful plot boring ##s ##ly".split()
TEXTS = [
    "a good film. bad plot! boring films? goodly bad. " * 6,
    "",
    "awful boring plots " * 25,
    "film",
    "plots. film",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = save_tokenizer(tmp_path_factory.mktemp("tokenizer"), words=WORDS)
    return Tokenizer.from_pretrained(folder, 24)


@pytest.fixture(scope="module")
def documents(tokenizer):
    return documents_of(kft.from_lists(TEXTS), tokenizer)


def made(documents, tokenizer, pairs, seed=0, texts=TEXTS):
    """Of each example: its first and second text's tokens, and whether changed."""
    nothing_hidden = Masking(tokenizer, 0.01, (0, 0, 1))
    make = PairedPassages.of(documents, tokenizer, nothing_hidden, pairs)
    chosen = np.arange(len(make.passages))
    width = make.passages.lengths.max()
    inputs, labels = make(chosen, width, np.random.default_rng(seed))
    found = []
    for ids, types, mask in zip(
        inputs["input_ids"],
        inputs["token_type_ids"],
        inputs["attention_mask"],
        strict=True,
    ):
        length = mask.sum()
        assert ids[0] == 2 and ids[length - 1] == 3 and not ids[length:].any()
        second = ids[types == 1]
        first = ids[: length - len(second)]
        assert first[-1] == 3 and 3 not in first[:-1] and 3 not in second[:-1]
        found.append((first[1:-1].tolist(), second[:-1].tolist()))
    return make.passages, found, labels["pair"]


def stretch(documents, passages, i):
    return documents.ids[passages.starts[i] : passages.stops[i]].tolist()


@pytest.mark.parametrize("pairs", ["next", "order"])
def test_half_of_the_pairs_follow_each_other(documents, tokenizer, pairs):
    changes = []
    for seed in range(40):
        passages, found, changed = made(documents, tokenizer, pairs, seed)
        for i, (first, second) in enumerate(found):
            assert first and second
            if not changed[i]:
                assert first + second == stretch(documents, passages, i)
        changes.append(changed)
    assert 0.42 < np.mean(changes) < 0.58
    assert len({tuple(c) for c in changes}) > 30


def test_changed_order_is_the_second_part_first(documents, tokenizer):
    passages, found, changed = made(documents, tokenizer, "order")
    for i in np.flatnonzero(changed):
        first, second = found[i]
        assert second + first == stretch(documents, passages, i)


def test_another_text_s_part_is_a_stretch_of_it_from_a_sentence_on(
    documents, tokenizer
):
    seen = set()
    for seed in range(30):
        passages, found, changed = made(documents, tokenizer, "next", seed)
        for i in np.flatnonzero(changed):
            first, second = found[i]
            whole = stretch(documents, passages, i)
            assert first == whole[: len(first)]
            assert len(second) <= len(whole) - len(first)
            sources = set()
            for row in set(range(len(TEXTS))) - {passages.rows[i]}:
                start = documents.bounds[row]
                stop = start + documents.lengths[row]
                for place in start + np.flatnonzero(
                    documents.marks[start:stop] & OPENS
                ):
                    part = documents.ids[place : min(stop, place + len(second))]
                    if part.tolist() == second:
                        sources.add(row)
            assert sources
            seen |= sources
    assert seen >= {0, 2}


def test_passages_are_parted_between_sentences_else_between_words(documents, tokenizer):
    for seed in range(20):
        passages, found, changed = made(documents, tokenizer, "order", seed)
        for i, (first, second) in enumerate(found):
            length = len(second) if changed[i] else len(first)
            marks = documents.marks[passages.starts[i] : passages.stops[i]]
            if (marks[1:] & OPENS).any():
                assert marks[length] & OPENS
            else:
                assert not marks[length] & INNER


def test_no_pair_is_longer_than_its_plan(tmp_path):
    folder = save_tiny_bert(tmp_path, num_layers=1)
    task = kft.Pretraining.from_pretrained(folder)
    data = task.dataset(tiny_documents(30), 8, training=True, max_shapes=4)
    plan = data.batches.plan
    for step, (inputs, _) in enumerate(data):
        chosen, width = plan.batch(plan.order(0), step)
        assert inputs["input_ids"].shape == (len(chosen), width)
        assert (
            np.asarray(inputs["attention_mask"]).sum(1) <= plan.lengths[chosen]
        ).all()


@pytest.mark.parametrize(
    "texts, message",
    [(["a film. bad"], "only one text"), (["a", "film"], "two tokens")],
)
def test_documents_that_give_no_pairs_are_refused(tokenizer, texts, message):
    documents = documents_of(kft.from_lists(texts), tokenizer)
    with pytest.raises(DataError, match=message):
        PairedPassages.of(documents, tokenizer, Masking(tokenizer), "next")


# --- from nothing, and from what there is

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 40,
}


@pytest.mark.parametrize("model_type", STILL)
def test_pretraining_begins_from_nothing_and_goes_on_elsewhere(model_type, tmp_path):
    keras.utils.set_random_seed(0)
    config = {"model_type": model_type, **SIZES}
    task = kft.Pretraining.from_scratch(config, save_tokenizer(tmp_path), max_length=24)
    assert len(task.fresh_weights) == len(task.head.weights)
    assert task.backbone.config.vocab_size == task.tokenizer.vocab_size
    task.compile(kft.adamw(5e-3), run_eagerly=True)
    batches = task.dataset(tiny_documents(16), 16, training=True, max_shapes=1)
    losses = task.fit(batches, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    task.save_pretrained(tmp_path / "saved")
    _, report = AutoModelForPreTraining.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    again = kft.MaskedLM.from_pretrained(tmp_path / "saved")
    assert again.fresh_weights == ()


def test_a_masked_language_model_lends_its_head(tmp_path):
    folder = save_torch(still_model("bert"), tmp_path)
    rewrite(folder, lambda key: None if "seq_rel" in key or "pooler" in key else key)
    save_tokenizer(folder)
    task = kft.Pretraining.from_pretrained(folder)
    assert {path.split("/")[0] for path in task.fresh_weights} == {"pair"}


@pytest.mark.parametrize(
    "config, error, message",
    [
        ({"model_type": "brt"}, UnknownNameError, "Did you mean 'bert'"),
        ({"model_type": "bert", "hidden_size": 32}, CheckpointError, "is missing"),
        ({"model_type": "bert", **SIZES, "vocab_size": 50}, CheckpointError, "ids but"),
        ({"model_type": "distilbert", **SIZES}, CheckpointError, "no head"),
    ],
)
def test_a_config_that_will_not_do_is_refused(config, error, message, tmp_path):
    with pytest.raises(error, match=message):
        kft.Pretraining.from_scratch(config, save_tokenizer(tmp_path))


@pytest.mark.parametrize(
    "model_type, names",
    [("bert", ("next", "other")), ("albert", ("in order", "swapped"))],
)
def test_pairs_of_texts_are_judged_as_torch_does(model_type, names, tmp_path):
    model = still_model(model_type)
    task = loaded(model, tmp_path)
    pairs = [("a good film", "very bad"), ("the plot", "is boring news"), ("a", "b")]
    answers = task.predict_text(pairs, batch_size=2)
    for pair, answer in zip(pairs, answers, strict=True):
        encoding = task.tokenizer.backend.encode(*pair)
        inputs = {
            "input_ids": torch.tensor([encoding.ids]),
            "token_type_ids": torch.tensor([encoding.type_ids]),
        }
        with torch.no_grad():
            outputs = model(**inputs)
        logits = outputs[1]
        chances = torch.softmax(logits[0], -1).numpy()
        assert answer["label"] == names[chances.argmax()]
        assert answer["score"] == pytest.approx(chances.max(), abs=1e-5)
