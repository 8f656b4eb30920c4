"""A served language model writes what the task writes, without kerasft."""

import json
import subprocess
import sys
import textwrap

import keras
import pytest
from byte_tokenizers import SPECIAL, byte_level
from tiny_encoders import new_backbone
from tiny_tokenizers import pieces

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.serving.fuzz import adversarial_texts
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.verify import VerificationError

PROGRAM = """
    import json, sys
    import tensorflow as tf, tensorflow_text
    folder, prompts, asked = json.loads(sys.stdin.read())
    served = tf.saved_model.load(folder).signatures
    kinds = {"max_new_tokens": tf.int32, "temperature": tf.float32, "top_k": tf.int32,
             "top_p": tf.float32, "seed": tf.int32}
    text = tf.constant(prompts)
    answers = []
    for told in asked:
        told = {name: tf.constant(value, kinds[name]) for name, value in told.items()}
        found = served["generate"](text=text, **told)["text"].numpy()
        answers.append([one.decode() for one in found])
    usual = [one.decode() for one in served["serving_default"](text)["text"].numpy()]
    scores = {k: v.numpy().tolist() for k, v in served["score"](text).items()}
    names = {name.split(".")[0] for name in sys.modules}
    strangers = sorted(names & {"kerasft", "transformers", "tokenizers", "torch"})
    print(json.dumps([answers, usual, scores, strangers]))
"""
ASKED = (
    {"temperature": 0.0, "top_k": 0, "top_p": 1.0, "seed": 0},
    {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3},
    {"temperature": 0.7, "top_k": 30, "top_p": 1.0, "seed": 1},
    {"temperature": 1.3, "top_k": 0, "top_p": 0.8, "seed": 2},
    {"temperature": 0.9, "top_k": 50, "top_p": 0.95, "seed": 0},
)


LLAMA = pytest.param(("llama", "llama3"), marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[("gpt2", "gpt2"), ("llama", "llama2"), LLAMA])
def task(request, tmp_path_factory):
    family, kind = request.param
    folder = tmp_path_factory.mktemp(family)
    own = pieces() if kind == "llama2" else byte_level(kind)
    end = own.token_to_id("</s>" if kind == "llama2" else SPECIAL[kind][-1])
    keras.utils.set_random_seed(0)
    backbone = new_backbone(
        family,
        vocab_size=own.get_vocab_size(),
        initializer_range=0.3,
        extra={"eos_token_id": end},
    )
    backbone.save_pretrained(folder)
    own.save(str(folder / "tokenizer.json"))
    return kft.CausalLM.from_pretrained(folder)


@pytest.fixture(scope="module")
def served(task, tmp_path_factory):
    """The folder of the task's export."""
    folder = tmp_path_factory.mktemp("served") / "model"
    task.export(folder, max_new_tokens=6)
    return folder


def prompts_for(task, count=100):
    found = []
    for text in adversarial_texts(4 * count, 5):
        text = f"it's {text}"
        while len(task.text_ids(text)) > 24:
            text = text[: len(text) // 2]
        if task.text_ids(text):
            found.append(text)
    return found[:count]


def test_it_writes_and_scores_without_kerasft_what_the_task_does(task, served):
    prompts = prompts_for(task)
    asked = [{"max_new_tokens": 12, **settings} for settings in ASKED]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM)],
        input=json.dumps([str(served), prompts, asked]),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answers, usual, scores, strangers = json.loads(done.stdout.splitlines()[-1])
    assert strangers == []
    for told, texts in zip(asked, answers, strict=True):
        told = told if told["temperature"] else {"max_new_tokens": 12}
        assert texts == task.generate(prompts, **told)
    assert usual == task.generate(prompts, max_new_tokens=6)
    assert len({tuple(texts) for texts in answers}) == len(ASKED)
    expected = task.predict_text(prompts)
    assert scores["tokens"] == [one["tokens"] for one in expected]
    assert scores["log_likelihood"] == pytest.approx(
        [one["log_likelihood"] for one in expected], abs=1e-4
    )


def test_an_export_that_writes_otherwise_is_refused(task, tmp_path, monkeypatch):
    monkeypatch.setattr(
        type(task), "generate", lambda self, prompts, **_: ["x"] * len(prompts)
    )
    with pytest.raises(VerificationError, match="goes on"):
        task.export(tmp_path / "served")
    assert not (tmp_path / "served").exists()


def test_prompts_that_do_not_fit_are_refused(served):
    tf = pytest.importorskip("tensorflow")
    served = tf.saved_model.load(str(served)).signatures
    long = tf.constant(["it's " * 60])
    with pytest.raises(tf.errors.InvalidArgumentError, match="the 40 positions"):
        served["serving_default"](long)
    with pytest.raises(tf.errors.InvalidArgumentError, match="the 40 tokens|40 tokens"):
        served["score"](long)


@pytest.mark.parametrize(
    "name, value",
    [("temperature", -1.0), ("top_k", -3), ("top_p", 0.0), ("top_p", 1.5)],
)
def test_settings_out_of_bounds_are_refused_in_the_graph(served, name, value):
    tf = pytest.importorskip("tensorflow")
    generate = tf.saved_model.load(str(served)).signatures["generate"]
    told = {
        "max_new_tokens": 2,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "seed": 0,
    }
    kinds = {
        k: spec.dtype for k, spec in generate.structured_input_signature[1].items()
    }
    told = {k: tf.constant(v, kinds[k]) for k, v in (told | {name: value}).items()}
    with pytest.raises(tf.errors.InvalidArgumentError, match=name):
        generate(text=tf.constant(["it's"]), **told)


@pytest.mark.parametrize("count", [0, 40, 4000])
def test_more_new_tokens_than_there_is_room_for_are_refused(task, tmp_path, count):
    with pytest.raises(SettingsError, match="in the 40 positions of the model"):
        task.export(tmp_path / "served", max_new_tokens=count)
    assert not (tmp_path / "served").exists()


def test_a_tokenizer_without_a_graph_is_refused(tmp_path):
    from tiny_decoders import saved_decoder

    _, task = saved_decoder(tmp_path)
    with pytest.raises(UnsupportedTokenizerError, match="decoder"):
        task.export(tmp_path / "served")
    task.export(tmp_path / "served", signature="tokens")
    with pytest.raises(SettingsError, match="known: text, tokens"):
        task.export(tmp_path / "served", signature="words")
