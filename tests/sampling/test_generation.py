"""Generated ids against torch's `generate`, token by token, for every decoder."""

import keras
import numpy as np
import pytest
import torch
from tiny_decoders import DECODERS, prompts_of, saved_decoder, torch_texts
from tiny_encoders import EXACT

from kerasft._errors import DataError, SettingsError
from kerasft.sampling.cached import CachedDecoder, positions_of
from kerasft.sampling.generate import Generation, left_padded
from kerasft.sampling.settings import Sampling

WAYS = {
    "greedy": {},
    "repetition_penalty": {"repetition_penalty": 1.7},
    "no_repeat_ngram_size": {"no_repeat_ngram_size": 2},
    "min_new_tokens": {"min_new_tokens": 9},
    "beams": {"num_beams": 3, "num_return_sequences": 3},
    "beams, short": {"num_beams": 4, "length_penalty": -1.0},
    "beams, early": {"num_beams": 2, "early_stopping": True, "length_penalty": 2.0},
    "beams, no repeat": {"num_beams": 2, "no_repeat_ngram_size": 2},
}


@pytest.fixture(scope="module")
def decoders(tmp_path_factory):
    """Model type -> (torch's model, our task)."""
    return {
        name: saved_decoder(tmp_path_factory.mktemp(name), name) for name in DECODERS
    }


def names_and_ways():
    """All pairs; quick are one way of each kind for all, and all ways of one."""
    for name in DECODERS:
        for way in WAYS:
            quick = name == "gpt2" or way in ("greedy", "beams")
            yield pytest.param(name, way, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize("name, way", names_and_ways())
def test_ids_equal_torch(name, way, decoders):
    model, task = decoders[name]
    prompts = prompts_of(8)
    ours = task.generate_ids(prompts, max_new_tokens=20, **WAYS[way])
    for prompt, found in zip(prompts, ours, strict=True):
        expected = torch_texts(model, prompt, max_new_tokens=20, **WAYS[way])
        assert found == expected


@pytest.mark.slow
@pytest.mark.parametrize("way", ["greedy", "beams"])
@pytest.mark.parametrize("name", DECODERS)
def test_ids_of_two_hundred_prompts_equal_torch(name, way, decoders):
    model, task = decoders[name]
    prompts = prompts_of(200, seed=1)
    ours = task.generate_ids(prompts, max_new_tokens=24, **WAYS[way])
    others = 0
    for prompt, found in zip(prompts, ours, strict=True):
        expected = torch_texts(model, prompt, max_new_tokens=24, **WAYS[way])
        if found != expected:
            # Two beams alike to the last bit of their sum: either may be dropped.
            likely = [rank(model, prompt, texts[0]) for texts in (found, expected)]
            assert way == "beams" and likely[0] > likely[1] - 1e-5
            others += 1
    assert others <= 2


def rank(model, prompt, text):
    """Log-likelihood of a text behind a prompt, its end included, over its length."""
    ids = torch.tensor([prompt + text + [7] * (len(text) < 24)])
    with torch.no_grad():
        logs = torch.log_softmax(model(ids).logits[0].double(), -1)
    made = ids[0, len(prompt) :]
    return float(logs[len(prompt) - 1 : -1].gather(-1, made[:, None]).mean())


@pytest.mark.parametrize("name", DECODERS)
def test_logits_behind_a_cache_equal_those_of_the_whole_text(name, decoders):
    model, task = decoders[name]
    ids, mask = left_padded(prompts_of(5, 30), 0)
    decoder = CachedDecoder(task.backbone, task.head)
    width = ids.shape[1]
    caches = decoder.empty(5, 40)  # More places than there are tokens.
    positions = np.asarray(positions_of(mask))
    told, cut = np.pad(mask, ((0, 0), (0, 40 - width))), width - 4
    seen = told.copy()
    seen[:, cut:] = 0
    head = decoder.head_for_loop(None)
    _, last, _ = decoder.read(ids[:, :cut], seen, caches, head)
    _, each, caches = decoder.read(ids[:, :cut], seen, caches, head, readers=None)
    np.testing.assert_allclose(last, each[:, -1:], **EXACT)
    for place in range(cut, width):
        seen[:, place] = told[:, place]
        here = slice(place, place + 1)
        logits, _, caches = decoder.step(
            ids[:, here], seen, positions[:, here], caches, place
        )
    for i, prompt in enumerate(prompts_of(5, 30)):
        with torch.no_grad():
            whole = model(torch.tensor([prompt])).logits[0, -1].numpy()
        np.testing.assert_allclose(logits[i], whole, **EXACT)


def test_a_text_does_not_depend_on_its_neighbours(decoders):
    _, task = decoders["gpt2"]
    prompts = prompts_of(6)
    for settings in ({}, {"temperature": 1.0, "seed": 3}, {"num_beams": 3}):
        together = task.generate_ids(prompts, max_new_tokens=9, **settings)
        alone = task.generate_ids(prompts, batch_size=1, max_new_tokens=9, **settings)
        assert together == alone


def test_blocks_of_any_size_give_the_same_texts(decoders):
    _, task = decoders["llama"]
    settings = Sampling(max_new_tokens=21, temperature=0.8, top_k=20)
    decoder = CachedDecoder(task.backbone, task.head)
    found = []
    for size in (1, 4, 64):
        made = Generation(decoder, settings, (7,), 0)
        *_, last = made.blocks(prompts_of(3), [0, 1, 2], settings, size)
        found.append(last)
    assert found[0] == found[1] == found[2]


def test_another_seed_or_length_compiles_nothing_anew(decoders):
    _, task = decoders["gpt2"]
    task._generations.clear()
    for settings in ({"seed": 1}, {"seed": 2, "max_new_tokens": 5}, {"stop": ["x"]}):
        task.generate(
            ["a good film"], **{"max_new_tokens": 3, "temperature": 1.0} | settings
        )
    (loop,) = task._generations.values()
    assert loop._begin.experimental_get_tracing_count() == 1


def test_a_cache_that_grows_gives_the_same_texts(decoders, monkeypatch):
    _, task = decoders["qwen3"]
    ways = ({}, {"num_beams": 2}, {"penalty_alpha": 0.5, "top_k": 3})
    before = [
        task.generate_ids(prompts_of(3), max_new_tokens=23, **way) for way in ways
    ]
    monkeypatch.setattr("kerasft.sampling.generate.BLOCK", 5)
    task._generations.clear()
    after = [task.generate_ids(prompts_of(3), max_new_tokens=23, **way) for way in ways]
    assert before == after
    assert max(len(text) for texts in after[0] for text in texts) > 10


def test_contrastive_search_takes_what_the_formula_says(decoders):
    model, task = decoders["gpt2"]
    alpha, many, steps = 0.6, 4, 8
    settings = {"penalty_alpha": alpha, "top_k": many, "min_new_tokens": steps}
    prompts = prompts_of(4)
    made = task.generate_ids(prompts, max_new_tokens=steps, **settings)
    for prompt, (found,) in zip(prompts, made, strict=True):
        ids = list(prompt)
        for _ in range(steps):
            ids.append(best_by_contrast(model, ids, alpha, many))
        assert found == ids[len(prompt) :]


def best_by_contrast(model, ids, alpha, many):
    """Equation 5 of Su et al. 2022, the whole text run for each candidate."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, -1]
        logits[7] = -torch.inf
        chances, candidates = torch.topk(torch.softmax(logits, -1), many)
        scores = []
        for chance, candidate in zip(chances, candidates, strict=True):
            text = torch.tensor([[*ids, int(candidate)]])
            states = model.transformer(text).last_hidden_state[0]
            states = states / states.norm(dim=-1, keepdim=True)
            likeness = (states[:-1] @ states[-1]).max()
            scores.append(float((1 - alpha) * chance - alpha * likeness))
    return int(candidates[int(np.argmax(scores))])


def test_streamed_pieces_make_the_generated_text(decoders):
    _, task = decoders["gpt2"]
    settings = {"max_new_tokens": 20, "min_new_tokens": 15, "temperature": 0.9}
    prompt = "a good film"
    (whole,) = task.generate([prompt], **settings)
    pieces = list(task.stream(prompt, **settings))
    assert "".join(pieces) == whole and len(pieces) > 3


def test_a_text_ends_before_a_stop_string(decoders):
    _, task = decoders["gpt2"]
    settings = {"max_new_tokens": 24, "temperature": 1.0, "seed": 1}
    prompts = ["a good film", "the very bad plot"]
    whole = task.generate(prompts, **settings)
    stops = [text.split()[3] for text in whole]
    cut = task.generate(prompts, stop=stops, **settings)
    for before, after in zip(whole, cut, strict=True):
        first = min(before.find(stop) for stop in stops if stop in before)
        assert after == before[:first]
    assert "".join(task.stream(prompts[0], stop=stops, **settings)) == cut[0]


def test_several_texts_of_a_prompt_differ_and_come_again(decoders):
    _, task = decoders["mistral"]
    settings = {"max_new_tokens": 12, "temperature": 1.0, "num_return_sequences": 4}
    one = task.generate(["a good film", "awful"], seed=1, **settings)
    again = task.generate(["a good film", "awful"], seed=1, **settings)
    other = task.generate(["a good film", "awful"], seed=2, **settings)
    assert one == again != other
    assert all(len(set(texts)) == 4 for texts in one)


def test_weights_that_were_trained_are_the_ones_that_write(tmp_path):
    keras.utils.set_random_seed(0)
    _, task = saved_decoder(tmp_path)
    before = task.generate_ids(prompts_of(2), max_new_tokens=9)
    for weight in task.weights:
        weight.assign(weight * 1.3 + 0.05)
    task.save_pretrained(tmp_path / "saved")
    again = type(task).from_pretrained(tmp_path / "saved")
    after = task.generate_ids(prompts_of(2), max_new_tokens=9)
    assert before != after == again.generate_ids(prompts_of(2), max_new_tokens=9)


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"top_p": 1.5, "top_k": -1}, "top_k is -1.*top_p is 1.5"),
        ({"heat": 1}, "does not know heat"),
        ({"top_k": 5}, "need a temperature"),
        ({"num_beams": 2, "temperature": 1.0}, "beams are searched"),
        ({"num_return_sequences": 2}, "num_return_sequences needs"),
        ({"penalty_alpha": 0.5}, "top_k of at least 2"),
        ({"stop": [""]}, "stop is"),
        ({"max_new_tokens": 3, "min_new_tokens": 4}, "more than max_new"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(settings, told, decoders):
    _, task = decoders["gpt2"]
    with pytest.raises(SettingsError, match=told):
        task.generate(["a"], **settings)


def test_prompts_that_cannot_be_are_refused(decoders):
    _, task = decoders["gpt2"]
    with pytest.raises(SettingsError, match="list of prompts"):
        task.generate("a good film")
    with pytest.raises(DataError, match="prompt 1 is None; .* prompt 2 is 3.5;"):
        task.generate(["a", None, 3.5])
    with pytest.raises(DataError, match="prompt 1 has no token"):
        task.generate_ids([[5], []], max_new_tokens=3)
    with pytest.raises(DataError, match="more than the 40 positions"):
        task.generate(["a " * 30], max_new_tokens=20)
    assert task.generate([], max_new_tokens=3) == []
