"""Masked language models against torch: logits, gradients, steps, and filled masks."""

import math

import keras
import numpy as np
import pytest
import torch
from tiny_encoders import EXACT, batch_for, rewrite, save_torch, torch_model
from tiny_tasks import save_tiny_bert, tiny_rows
from tiny_tokenizers import save_tokenizer
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend
from transformers import AutoModelForMaskedLM, AutoTokenizer, pipeline

import kerasft as kft
from kerasft._errors import CheckpointError, DataError, SettingsError
from kerasft.data.filling import Gaps
from kerasft.data.tokenizer import Tokenizer
from kerasft.models import pretrained

FAMILIES = ("albert", "bert", "modernbert")  # Factorised, plain, without a bias.
EPSILON = 1e-6
STILL = {
    "albert": ("classifier_dropout_prob",),
    "modernbert": (),
}


def still_model(model_type, **settings):
    """A random torch model without dropout."""
    names = STILL.get(
        model_type, ("hidden_dropout_prob", "attention_probs_dropout_prob")
    )
    settings = dict.fromkeys(names, 0.0) | settings
    return torch_model(model_type, AutoModelForMaskedLM, **settings)


def loaded(model, folder, **options):
    save_tokenizer(folder)
    return kft.MaskedLM.from_pretrained(save_torch(model, folder), **options)


@pytest.fixture
def bert(tmp_path):
    model = still_model("bert")
    return model, loaded(model, tmp_path)


def hidden_batch(model_type, slots=4, seed=0):
    """A batch with labels everywhere (torch's way) and at the hidden places (ours)."""
    random = np.random.default_rng(seed)
    inputs = batch_for(model_type)
    everywhere = np.full(inputs["input_ids"].shape, -100)
    positions = np.zeros((3, slots), "int32")
    labels = np.full((3, slots), -100, "int32")
    for i, length in enumerate(inputs["attention_mask"].sum(1)):
        count = min(slots - i, length)  # Uneven, so that some slots are empty.
        positions[i, :count] = random.permutation(length)[:count]
        labels[i, :count] = random.integers(5, 101, count)
        everywhere[i, positions[i, :count]] = labels[i, :count]
    # Repeated ids: rows of the table that are read several times.
    inputs["input_ids"][:, 1:4] = 7
    return inputs, everywhere, positions, labels


def torch_inputs(inputs, labels):
    tensors = {name: torch.tensor(value).long() for name, value in inputs.items()}
    return {**tensors, "labels": torch.tensor(labels).long()}


def weights_by_key(task):
    tensors = pretrained.named_tensors(task.backbone, "masked_lm", task.head)
    return {key: np.array(value) for key, value in tensors}


# --- the same numbers as torch


def test_logits_equal_torch_everywhere_and_at_chosen_places(bert):
    model, task = bert
    inputs, _, positions, _ = hidden_batch("bert")
    with torch.no_grad():
        tensors = {name: torch.tensor(value) for name, value in inputs.items()}
        expected = model(**tensors).logits.numpy()
    real = inputs["attention_mask"] == 1
    np.testing.assert_allclose(np.asarray(task(inputs))[real], expected[real], **EXACT)
    some = task(inputs | {"masked_positions": positions})
    expected = np.take_along_axis(expected, positions[..., None], 1)
    np.testing.assert_allclose(some, expected, **EXACT)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_loss_and_gradients_equal_torchs_of_all_logits(model_type, tmp_path):
    model = still_model(model_type)
    task = loaded(model, tmp_path)
    inputs, everywhere, positions, labels = hidden_batch(model_type)
    model.train()
    reference = model(**torch_inputs(inputs, everywhere)).loss
    reference.backward()
    task.compile(optimizer=keras.optimizers.SGD(1.0))
    before = weights_by_key(task)
    inputs = inputs | {"masked_positions": positions}
    loss = task.train_on_batch(inputs, labels, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, reference.item(), rtol=1e-5)
    after = weights_by_key(task)
    expected = {
        n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None
    }
    assert set(expected) <= set(before)
    size = max(np.abs(g).max() for g in expected.values())
    for key, gradient in expected.items():
        np.testing.assert_allclose(before[key] - after[key], gradient, atol=1e-5 * size)


@pytest.mark.parametrize("parts", [1, 3])
def test_three_adamw_steps_equal_torch(parts, tmp_path):
    model = still_model("bert")
    task = loaded(model, tmp_path)
    start = weights_by_key(task)
    recipe = kft.AdamW(1e-3, 0.0, epsilon=EPSILON, clip_norm=0.5)
    task.compile(recipe, micro_batches=parts)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, eps=EPSILON, weight_decay=0)
    model.train()
    for seed in range(3):
        inputs, everywhere, positions, labels = hidden_batch("bert", seed=seed)
        model(**torch_inputs(inputs, everywhere)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        task.train_on_batch(inputs | {"masked_positions": positions}, labels)
    end = weights_by_key(task)
    for key, value in model.state_dict().items():
        if key in start and not key.endswith("key.bias"):  # Its gradient is rounding.
            moved = np.linalg.norm(value.numpy() - start[key])
            assert np.linalg.norm(value.numpy() - end[key]) <= 1e-3 * moved, key


def test_the_metrics_are_of_the_hidden_tokens(bert):
    model, task = bert
    inputs, everywhere, positions, labels = hidden_batch("bert")
    task.compile()
    told = task.test_on_batch(
        inputs | {"masked_positions": positions}, labels, return_dict=True
    )
    with torch.no_grad():
        outputs = model(**torch_inputs(inputs, everywhere))
    scored = everywhere != -100
    right = outputs.logits.numpy().argmax(-1)[scored] == everywhere[scored]
    assert told["accuracy"] == pytest.approx(right.mean())
    assert told["loss"] == pytest.approx(outputs.loss.item(), rel=1e-5)
    assert told["perplexity"] == pytest.approx(math.exp(outputs.loss.item()), rel=1e-5)


def test_what_is_saved_loads_in_torch_with_the_same_logits(bert, tmp_path):
    _, task = bert
    task.save_pretrained(tmp_path / "saved")
    model, report = AutoModelForMaskedLM.from_pretrained(
        tmp_path / "saved", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    inputs = batch_for("bert")
    with torch.no_grad():
        tensors = {name: torch.tensor(value) for name, value in inputs.items()}
        expected = model(**tensors).logits.numpy()
    real = inputs["attention_mask"] == 1
    np.testing.assert_allclose(np.asarray(task(inputs))[real], expected[real], **EXACT)


# --- decoders of their own


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_decoder_that_is_another_matrix_is_refused(model_type, tmp_path):
    model = still_model(model_type, tie_word_embeddings=False)
    with pytest.raises(CheckpointError, match="another matrix"):
        loaded(model, tmp_path)


def test_an_untied_decoder_of_the_same_values_is_taken_and_saved_as_tied(tmp_path):
    model = still_model("bert", tie_word_embeddings=False)
    with torch.no_grad():
        model.cls.predictions.decoder.weight.copy_(
            model.bert.embeddings.word_embeddings.weight
        )
    task = loaded(model, tmp_path)
    assert task.fresh_weights == ()
    task.save_pretrained(tmp_path / "saved")
    again = AutoModelForMaskedLM.from_pretrained(tmp_path / "saved")
    table = again.bert.embeddings.word_embeddings.weight
    assert again.cls.predictions.decoder.weight is table


def test_a_checkpoint_without_the_head_starts_with_a_tied_one(tmp_path):
    model = still_model("bert")
    folder = save_torch(model, tmp_path)
    rewrite(folder, lambda key: None if key.startswith("cls.") else key)
    save_tokenizer(folder)
    task = kft.MaskedLM.from_pretrained(folder)
    assert set(task.fresh_weights) == {
        *(f"transform/{part}" for part in ("dense/kernel", "dense/bias")),
        *(f"transform/{part}" for part in ("norm/gamma", "norm/beta")),
        "decoder/bias",
    }
    assert not np.asarray(task.head.decoder.bias).any()


# --- filled masks

QUESTIONS = [
    "a good [MASK]",
    "[MASK] film, a very bad [MASK] plot.",
    "the plot[MASK]",
    "is [SEP] the [MASK] [CLS]?",
    "A GREAT film [MASK] great " * 2,
]


def assert_same_fills(answers, texts, reference, top=5):
    """Each mask's guesses, in order, with `pipeline`'s strings and scores."""
    for text, answer in zip(texts, answers, strict=True):
        expected = reference(text, top_k=top)
        expected = expected if isinstance(expected[0], list) else [expected]
        assert len(answer) == len(expected)
        for mine, theirs in zip(answer, expected, strict=True):
            assert [g["token"] for g in mine] == [g["token_str"] for g in theirs]
            scores = [g["score"] for g in mine], [g["score"] for g in theirs]
            np.testing.assert_allclose(*scores, atol=1e-5)


def fill_mask(folder):
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    return pipeline("fill-mask", model, tokenizer=AutoTokenizer.from_pretrained(folder))


def test_filled_masks_equal_torchs_pipeline(bert, tmp_path):
    _, task = bert
    # The pipeline takes special tokens in a text for what they are called.
    texts = [text for text in QUESTIONS if "[SEP]" not in text]
    answers = task.predict_text(texts, top=7, batch_size=2)
    assert_same_fills(answers, texts, fill_mask(tmp_path), top=7)


def test_filled_masks_of_minilm_equal_torchs_pipeline(minilm, tmp_path):
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_pretrained(minilm)
    torch.nn.init.normal_(model.cls.predictions.transform.dense.weight, 0, 0.2)
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((minilm / name).read_bytes())
    task = kft.MaskedLM.from_pretrained(tmp_path)
    texts = ["Paris is the [MASK] of France.", "[MASK] and [MASK], said the ﬁsherman."]
    assert_same_fills(task.predict_text(texts), texts, fill_mask(tmp_path))


def test_the_text_is_the_users_own_with_the_token_in_the_mask_s_place(bert):
    _, task = bert
    number = task.tokenizer.backend.token_to_id
    gaps = Gaps.of(
        ["A GOOD [MASK]!", "[MASK] film [MASK]ly", "the plot [MASK] bad"],
        task.tokenizer,
    )
    assert gaps.counts.tolist() == [1, 2, 1]
    assert gaps.filled(0, 0, number("film")) == "A GOOD film!"
    assert gaps.filled(0, 0, number("##ly")) == "A GOODly!"
    assert gaps.filled(1, 0, number("bad")) == "bad film [MASK]ly"
    assert gaps.filled(1, 1, number("great")) == "[MASK] film greatly"
    assert gaps.filled(2, 0, number(".")) == "the plot. bad"


def test_other_special_strings_stay_text(bert):
    _, task = bert
    gaps = Gaps.of(["[SEP] a [MASK] film [PAD]"], task.tokenizer)
    plain = task.tokenizer.encode(["[SEP] a bad film [PAD]"]).ids
    bad, mask = task.tokenizer.backend.token_to_id("bad"), task.tokenizer.mask_id
    assert gaps.examples.ids.tolist() == [mask if i == bad else i for i in plain]
    assert task.tokenizer.encode(["[MASK]"]).ids.tolist().count(mask) == 0


def byte_level(folder, lstrip=True):
    """RoBERTa's kind of tokenizer: the space is part of a token, the mask eats it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet])}
    backend = Backend(models.BPE(vocabulary, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    backend.add_special_tokens(special[:4])
    backend.add_special_tokens([AddedToken("<mask>", lstrip=lstrip)])
    backend.save(str(folder / "tokenizer.json"))
    return backend


@pytest.mark.parametrize("lstrip", [True, False])
def test_masks_are_read_as_the_reference_reads_them(lstrip, tmp_path):
    reference = byte_level(tmp_path, lstrip)
    tokenizer = Tokenizer.from_pretrained(tmp_path, 64)
    texts = ["a <mask> b<mask>c", "<mask>", "  <mask>  <mask>", "no"]
    gaps = Gaps.of(texts, tokenizer)
    expected = [reference.encode(text).ids for text in texts]
    assert gaps.examples.ids.tolist() == sum(expected, [])
    assert gaps.counts.tolist() == [2, 1, 2, 0]
    space_x = tokenizer.backend.token_to_id("Ġ")
    assert gaps.filled(0, 0, tokenizer.backend.token_to_id("x")).endswith("x b<mask>c")
    assert gaps.filled(0, 1, space_x) == "a <mask> b c"


@pytest.mark.parametrize(
    "texts, top, error, message",
    [
        ("a [MASK]", 5, SettingsError, "list of texts"),
        (["a [MASK]", "a film"], 5, DataError, "Text 1 has no mask"),
        (["very " * 60 + "[MASK]"], 5, DataError, "Text 0 has 63 tokens"),
        (["a [MASK]"], 0, SettingsError, "top is 0"),
        (["a [MASK]"], 102, SettingsError, "top is 102"),
    ],
)
def test_questions_that_cannot_be_answered_are_refused(
    bert, texts, top, error, message
):
    with pytest.raises(error, match=message):
        bert[1].predict_text(texts, top)


def test_no_texts_have_no_answers(bert):
    assert bert[1].predict_text([]) == []


# --- training


def test_a_tiny_model_learns_what_stands_where(tmp_path):
    keras.utils.set_random_seed(0)
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "num_layers": 1}
    task = kft.MaskedLM.from_pretrained(save_tiny_bert(tmp_path, **still))
    texts = ["the film was great", "a plot is bad", "very good news"]
    rows = kft.from_lists(texts * 20)
    task.compile(kft.adamw(1e-2))
    batches = task.dataset(rows, batch_size=60, training=True, max_shapes=1)
    task.fit(batches, epochs=90, verbose=0)
    valid = task.dataset(rows, batch_size=60, max_shapes=1)
    told = task.evaluate(valid, verbose=0, return_dict=True)
    assert told["accuracy"] > 0.95
    (answer,) = task.predict_text(["the film [MASK] great"], top=1)
    assert answer[0][0]["text"] == texts[0]


def test_long_texts_are_trained_on_whole(bert):
    _, task = bert
    rows = kft.from_lists([" ".join(tiny_rows(30).texts())])
    dataset = task.dataset(rows, batch_size=100)
    ((inputs, labels),) = list(dataset)
    tokens = task.tokenizer.backend.encode(rows.texts()[0], add_special_tokens=False)
    places = np.asarray(inputs["attention_mask"]).sum()
    assert places == len(tokens.ids) + 2 * len(inputs["input_ids"])
    assert inputs["input_ids"].shape[1] <= 40
