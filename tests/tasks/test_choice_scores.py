"""Choices are scored as torch scores their tokens, however they merge."""

import numpy as np
import pytest
import torch
from tiny_chats import CHATML, save_chat_tokenizer
from tiny_encoders import save_torch, torch_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import kerasft as kft
from kerasft._errors import DataError, SettingsError

PROMPTS = ["The capital of France is", "Tell me a", "Why did the chicken"]
CHOICES = [" Paris.", " joke, please!", " fox", "x"]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def models(request, tmp_path_factory):
    """Torch's model, its tokenizer and our task."""
    folder = tmp_path_factory.mktemp(request.param)
    ends = {"bos_token_id": 0, "eos_token_id": 1, "vocab_size": 500}
    name = {"gpt2": "n_positions", "llama": "max_position_embeddings"}[request.param]
    model = big_torch_model(request.param, {**ends, name: 120})
    save_torch(model, folder)
    save_chat_tokenizer(folder, template=CHATML)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return model, tokenizer, kft.CausalLM.from_pretrained(folder)


def big_torch_model(name, settings):
    from transformers import AutoConfig

    small = torch_model(name, AutoModelForCausalLM).config.to_dict()
    del small["model_type"]
    config = AutoConfig.for_model(name, **{**small, **settings})
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.1)
    return model


def log_likelihood(model, ids, first):
    """Of the tokens from `first` on, given those before, by torch."""
    with torch.no_grad():
        logs = model(torch.tensor([ids])).logits.log_softmax(-1)[0]
    return sum(float(logs[i - 1, ids[i]]) for i in range(first, len(ids)))


def parts(tokenizer, prompt, choice):
    """Ids of both as one text, and the first that ends behind the prompt."""
    both = tokenizer(
        prompt + choice, return_offsets_mapping=True, add_special_tokens=False
    )
    ends = [stop for _, stop in both["offset_mapping"]]
    return both["input_ids"], next(i for i, e in enumerate(ends) if e > len(prompt))


def softmax(values):
    values = np.exp(np.array(values) - max(values))
    return values / values.sum()


def test_log_likelihoods_equal_torchs(models):
    model, tokenizer, task = models
    found = task.score_choices(PROMPTS, CHOICES, batch_size=5)
    for prompt, row in zip(PROMPTS, found, strict=True):
        wanted = [
            log_likelihood(model, *parts(tokenizer, prompt, choice))
            for choice in CHOICES
        ]
        np.testing.assert_allclose(row["log_likelihoods"], wanted, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(row["probabilities"], softmax(wanted), atol=1e-4)
        assert row["index"] == int(np.argmax(wanted))
        assert row["choice"] == CHOICES[row["index"]]


def test_a_choice_that_merges_with_the_prompt_counts_the_merged_token(models):
    model, tokenizer, task = models
    prompt, choice = "The quick brown fo", "x jumps"
    ids, first = parts(tokenizer, prompt, choice)
    alone = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    assert ids[: len(alone)] != alone  # Else the test tests nothing.
    (row,) = task.score_choices([prompt], [choice])
    wanted = log_likelihood(model, ids, first)
    assert row["log_likelihoods"][0] == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("normalise", ["tokens", "characters", "prior"])
def test_likelihoods_are_compared_as_asked(models, normalise):
    model, tokenizer, task = models
    (row,) = task.score_choices(PROMPTS[:1], CHOICES, normalise)
    wanted = []
    for choice in CHOICES:
        ids, first = parts(tokenizer, PROMPTS[0], choice)
        logs = log_likelihood(model, ids, first)
        if normalise == "prior":
            end = task.end_ids[0]
            plain = tokenizer(choice, add_special_tokens=False)["input_ids"]
            wanted.append(logs - log_likelihood(model, [end, *plain], 1))
        else:
            size = len(ids) - first if normalise == "tokens" else len(choice)
            wanted.append(logs / size)
    np.testing.assert_allclose(row["probabilities"], softmax(wanted), atol=1e-4)


def test_answers_in_a_conversation_are_scored_without_their_end(models):
    model, tokenizer, task = models
    messages = [{"role": "user", "content": "What is the capital?"}]
    found = task.score_choices([messages], [["Paris", "A joke"]])
    text = task.chat.template.render(messages, add_generation_prompt=True)
    for choice, logs in zip(
        ("Paris", "A joke"), found[0]["log_likelihoods"], strict=True
    ):
        ids, first = parts(tokenizer, text, choice)
        assert logs == pytest.approx(log_likelihood(model, ids, first), abs=1e-3)


def test_each_prompt_may_have_its_own_choices(models):
    _, _, task = models
    own = task.score_choices(PROMPTS[:2], [[" Paris.", " fox"], [" joke"]])
    assert [len(row["probabilities"]) for row in own] == [2, 1]
    assert own[1]["score"] == 1.0
    (alone,) = task.score_choices(PROMPTS[:1], [" Paris.", " fox"])
    np.testing.assert_allclose(own[0]["probabilities"], alone["probabilities"], 1e-4)


@pytest.mark.parametrize(
    "arguments, error, words",
    [
        ((["a"], ["b"], "length"), SettingsError, "known: none, tokens"),
        (("a", ["b"]), SettingsError, "lists"),
        ((["a"], "b"), SettingsError, "lists"),
        (([], ["b"]), DataError, "no prompt"),
        ((["a"], []), DataError, "no choice"),
        ((["a", "b"], [["c"], [""]]), DataError, "Prompts 1 have no choice"),
        ((["a"], [["b"], ["c"]]), DataError, "1 prompts and 2 lists"),
        ((["a b " * 90], ["c"]), DataError, "120 positions"),
        (([""], ["c"]), DataError, "no token for 'c' to follow"),
    ],
)
def test_what_cannot_be_scored_is_told(models, arguments, error, words):
    with pytest.raises(error, match=words):
        models[2].score_choices(*arguments)
