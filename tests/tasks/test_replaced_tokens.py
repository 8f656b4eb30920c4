"""Replaced-token detection against torch: the joint loss, its gradients, the draws."""

import keras
import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from tiny_encoders import batch_for, save_torch, torch_model
from tiny_tasks import save_tiny_bert, tiny_documents
from tiny_tokenizers import save_tokenizer
from transformers import AutoModelForMaskedLM, AutoModelForPreTraining

import kerasft as kft
from kerasft._errors import CheckpointError, SettingsError
from kerasft.data.masking import IGNORED
from kerasft.models import pretrained

STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
NARROW = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 16}
SHARED = [f"{name}_embeddings" for name in ("word", "position", "token_type")]
SHARED.append("LayerNorm")


def torch_pair(shared=True, **settings):
    """A discriminator and a generator without dropout, which share their embeddings."""
    discriminator = torch_model("electra", AutoModelForPreTraining, **STILL)
    generator = torch_model(
        "electra", AutoModelForMaskedLM, **STILL, **(NARROW | settings)
    )
    if shared:
        for name in SHARED:
            layer = getattr(discriminator.electra.embeddings, name)
            setattr(generator.electra.embeddings, name, layer)
        generator.tie_weights()
    return discriminator, generator


def loaded(models, folder, **options):
    places = [folder / name for name in ("discriminator", "generator")]
    for model, place in zip(models, places, strict=True):
        place.mkdir()
        save_torch(model, place)
        save_tokenizer(place)
    return kft.ReplacedTokenDetection.from_pretrained(
        places[0], generator=places[1], **options
    )


@pytest.fixture
def pair(tmp_path):
    models = torch_pair()
    return models, loaded(models, tmp_path)


def batch():
    """Inputs and labels, and the tokens that a generator is said to have drawn."""
    random = np.random.default_rng(0)
    inputs = batch_for("electra")
    original = np.where(inputs["attention_mask"] == 1, inputs["input_ids"], IGNORED)
    positions = np.array([[1, 5, 9], [2, 3, 0], [3, 0, 0]], "int32")
    masked = np.take_along_axis(inputs["input_ids"], positions, 1)
    masked[positions == 0] = IGNORED
    drawn = inputs["input_ids"].copy()
    for row, places in zip(drawn, positions, strict=True):
        # At 5 the generator hit upon what stood there.
        places = places[(places > 0) & (places != 5)]
        row[places] = random.integers(5, 101, len(places))
    np.put_along_axis(inputs["input_ids"], np.maximum(positions, 1), 4, 1)
    labels = {"masked": masked, "replaced": original.astype("int32")}
    return inputs | {"masked_positions": positions}, labels, drawn


def weights_by_key(task):
    tensors = pretrained.named_tensors(task.backbone, task.head_name, task.head)
    return {key: np.array(value) for key, value in tensors}


def torch_loss(models, inputs, labels, drawn):
    discriminator, generator = models
    tensors = {name: torch.tensor(value).long() for name, value in inputs.items()}
    positions = tensors.pop("masked_positions")
    everywhere = torch.full(tensors["input_ids"].shape, IGNORED)
    masked = torch.tensor(labels["masked"]).long()
    for row, places, tokens in zip(everywhere, positions, masked, strict=True):
        some = tokens != IGNORED
        row[places[some]] = tokens[some]
    loss = generator.train()(**tensors, labels=everywhere).loss
    replaced = torch.tensor((drawn != labels["replaced"]).astype("float32"))
    tensors["input_ids"] = torch.tensor(drawn).long()
    return loss + 50 * discriminator.train()(**tensors, labels=replaced).loss


@pytest.mark.parametrize("shared", [True, False])
def test_the_joint_loss_and_its_gradients_equal_torch(shared, tmp_path, monkeypatch):
    other = {} if shared else {"embedding_size": 8}
    models = torch_pair(shared, **other)
    task = loaded(models, tmp_path)
    inputs, labels, drawn = batch()
    reference = torch_loss(models, inputs, labels, drawn)
    reference.backward()
    monkeypatch.setattr(
        type(task), "_with_draws", lambda *_: keras.ops.convert_to_tensor(drawn)
    )
    task.compile(keras.optimizers.SGD(1.0))
    parts = task, task.generator
    before = [weights_by_key(part) for part in parts]
    told = task.train_on_batch(inputs, labels, return_dict=True)
    np.testing.assert_allclose(told["loss"], reference.item(), rtol=1e-5)
    after = [weights_by_key(part) for part in parts]
    for part, model in enumerate(models):
        found = {
            n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None
        }
        size = max(np.abs(g).max() for g in found.values())
        for key, gradient in found.items():
            moved = before[part][key] - after[part][key]
            np.testing.assert_allclose(moved, gradient, atol=2e-5 * size, err_msg=key)


def test_a_plain_text_gets_the_discriminators_logits(pair):
    (discriminator, _), task = pair
    inputs = batch_for("electra")
    tensors = {name: torch.tensor(value) for name, value in inputs.items()}
    with torch.no_grad():
        expected = discriminator(**tensors).logits.numpy()
    real, ours = inputs["attention_mask"] == 1, np.asarray(task(inputs))
    np.testing.assert_allclose(ours[real], expected[real], atol=1e-5)


# --- what the generator draws


def test_tokens_are_drawn_as_the_generator_thinks_them_likely(pair):
    _, task = pair
    rows, kinds = 500, 6
    ids = np.full((rows, 5), 7, "int32")
    positions = np.tile(np.array([[1, 3, 0]], "int32"), (rows, 1))
    inputs = {"input_ids": ids, "masked_positions": positions}
    chances = np.array([0.4, 0.3, 0.15, 0.1, 0.05, 0.0], "float32")
    logits = np.tile(np.log(chances + 1e-30), (rows, 3, 1)).astype("float32")
    drawn = np.asarray(task._with_draws(inputs, logits, training=True))
    again = np.asarray(task._with_draws(inputs, logits, training=True))
    assert (drawn != again).any()
    np.testing.assert_array_equal(drawn[:, [0, 2, 4]], 7)
    seen = np.bincount(drawn[:, [1, 3]].ravel(), minlength=kinds)
    assert seen[5] == 0 and chisquare(seen[:5], 1000 * chances[:5]).pvalue > 1e-4
    independent = np.corrcoef(drawn[:, 1], drawn[:, 3])[0, 1]
    assert abs(independent) < 0.2


def test_evaluation_draws_the_same_each_time(pair):
    _, task = pair
    task.compile()
    data = task.dataset(tiny_documents(8), batch_size=4)
    first = task.evaluate(data, verbose=0, return_dict=True)
    assert task.evaluate(data, verbose=0, return_dict=True) == first
    assert set(first) == {"loss", "masked_accuracy", "masked_perplexity", "replaced_f1"}


def test_f1_is_of_the_tokens_that_are_no_longer_the_same(pair):
    _, task = pair
    inputs, labels, _ = batch()
    outputs = task(inputs, training=False)
    logits, now = np.moveaxis(np.array(outputs["replaced"]), -1, 0)
    scored = labels["replaced"] != IGNORED
    truth, told = (now != labels["replaced"])[scored], (logits > 0)[scored]
    task.compile()
    found = task.test_on_batch(inputs, labels, return_dict=True)
    expected = 2 * (truth & told).sum() / (truth.sum() + told.sum())
    assert found["replaced_f1"] == pytest.approx(expected)
    changed = now != batch_for("electra")["input_ids"]
    assert set(np.flatnonzero(changed[0])) <= {1, 5, 9}
    assert not changed[:, 0].any()


# --- tables, files


def test_tables_are_shared_where_they_are_alike(tmp_path):
    folder = save_tiny_bert(tmp_path, "electra", embedding_size=16)
    task = kft.ReplacedTokenDetection.from_pretrained(folder)
    own, other = task.backbone.embedding, task.generator.backbone.embedding
    assert other.token_embedding is own.token_embedding
    assert other.position_embedding is own.position_embedding
    assert task.generator.backbone.config.hidden_size == 8
    ids = [id(weight) for weight in task.trainable_weights]
    assert len(ids) == len(set(ids))


def test_shared_tables_are_the_discriminators(tmp_path):
    task = loaded(torch_pair(shared=False), tmp_path)
    expected = torch_model("electra", AutoModelForPreTraining, **STILL)
    table = expected.electra.embeddings.word_embeddings.weight.detach().numpy()
    np.testing.assert_array_equal(task.generator.backbone.token_table, table)


def test_both_models_are_saved_and_load_in_torch(pair, tmp_path):
    models, task = pair
    task.save_pretrained(tmp_path / "saved")
    classes = {"": AutoModelForPreTraining, "generator": AutoModelForMaskedLM}
    for (name, auto), model in zip(classes.items(), models, strict=True):
        again, report = auto.from_pretrained(
            tmp_path / "saved" / name, output_loading_info=True
        )
        assert not report["missing_keys"] and not report["unexpected_keys"]
        for key, value in model.state_dict().items():
            torch.testing.assert_close(again.state_dict()[key], value)
    again = kft.ReplacedTokenDetection.from_pretrained(tmp_path / "saved")
    assert again.fresh_weights == ()
    inputs, _, _ = batch()
    ours, theirs = (t.generator(inputs) for t in (task, again))
    np.testing.assert_array_equal(ours, theirs)
    classifier = kft.TextClassifier.from_pretrained(
        tmp_path / "saved", labels=["a", "b"]
    )
    assert classifier.backbone.family.model_type == "electra"


def test_a_generator_of_another_family_is_refused(tmp_path):
    place = tmp_path / "bert"
    place.mkdir()
    save_tiny_bert(place)
    folder = save_tiny_bert(tmp_path, "electra")
    with pytest.raises(CheckpointError, match="of one family"):
        kft.ReplacedTokenDetection.from_pretrained(folder, generator=place)


@pytest.mark.parametrize("share", [0, 1.5])
def test_a_share_that_cannot_be_is_refused(share, tmp_path):
    folder = save_tiny_bert(tmp_path, "electra")
    with pytest.raises(SettingsError, match="generator_share"):
        kft.ReplacedTokenDetection.from_pretrained(folder, generator_share=share)


def test_it_begins_from_nothing_and_learns(tmp_path):
    keras.utils.set_random_seed(0)
    config = {"model_type": "electra", "embedding_size": 16, **NARROW}
    config |= {"num_hidden_layers": 1, "max_position_embeddings": 40}
    config |= {"hidden_size": 32, **STILL}
    task = kft.ReplacedTokenDetection.from_scratch(
        config, save_tokenizer(tmp_path), generator_share=0.5, pack=True, max_length=24
    )
    task.compile(kft.adamw(5e-3), run_eagerly=True)
    data = task.dataset(tiny_documents(16), 16, training=True, max_shapes=1)
    losses = task.fit(data, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_texts_are_told_how_likely_each_token_is_wrong(pair):
    (discriminator, _), task = pair
    texts = ["A good film!", "the plot " * 30]
    answers = task.predict_text(texts)
    encoding = task.tokenizer.backend.encode(texts[0])
    with torch.no_grad():
        logits = discriminator(torch.tensor([encoding.ids])).logits[0]
    expected = torch.sigmoid(logits).numpy()[1:-1]
    assert [answer["text"] for answer in answers[0]] == ["A", "good", "film", "!"]
    scores = [answer["score"] for answer in answers[0]]
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert [texts[1][a["start"] : a["end"]] for a in answers[1]] == texts[1].split()
