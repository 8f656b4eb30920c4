"""Reports of language models: what answers are compared by, and what is counted."""

import numpy as np
import pytest
from tiny_chats import save_chat_tokenizer

import kerasft as kft
from kerasft.training.causal_report import Answer, CausalReport
from kerasft.training.flops import Speed, measured_peak, operations_per_token

LOSS = {"loss": 1.0, "perplexity": float(np.e)}


def test_without_answers_there_is_perplexity_alone():
    report = CausalReport(LOSS)
    assert report.metrics == LOSS
    assert "BLEU" not in report.text()


def test_answers_are_shown_beside_what_they_should_be():
    answers = [Answer(f"Ask {i}?", f"Right {i}.", f"Wrong {i}.") for i in range(9)]
    report = CausalReport(LOSS, answers, left_out=2)
    assert {"bleu", "rouge_l", "distinct_2"} < set(report.metrics)
    told = report.text()
    assert "tok:13a" in told and "2 rows are too long" in told
    assert "asked      Ask 2?\nreference  Right 2.\nwritten    Wrong 2." in told
    assert "Ask 3?" not in told


def test_answers_without_latin_words_are_compared_by_characters():
    answers = [
        Answer("问", "猫在垫子上睡觉。", "猫在垫子上。"),
        Answer("a", "yes", "yes"),
    ]
    report = CausalReport(LOSS, answers)
    assert "tok:char" in report.text()
    assert report.metrics["rouge_1"] == pytest.approx((12 / 14 + 1) / 2)


SIZES = {
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "llama": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 64,
    },
}
# Weights of a block and of the last norm, biases and norms included.
WEIGHTS = {
    "gpt2": 2 * (12 * 32 * 32 + 13 * 32) + 2 * 32,
    "llama": 2 * (3 * 32 * 32 + 3 * 32 * 48 + 2 * 32) + 32,
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", SIZES)
def test_operations_are_those_of_the_weights_and_of_attention(name, tied, tmp_path):
    config = {"model_type": name, "tie_word_embeddings": tied, **SIZES[name]}
    folder = save_chat_tokenizer(tmp_path)
    task = kft.CausalLM.from_scratch({**config, "vocab_size": 500}, folder)
    weights = WEIGHTS[name] + 500 * 32  # The table of the logits, tied or not.
    wanted = 6 * weights + 12 * 2 * 32 * 40
    assert operations_per_token(task, 40) == wanted


def test_a_peak_is_measured_and_told_as_such():
    peak = measured_peak()
    assert 1e6 < peak < 1e16
    told = Speed(1234.5, 0.25, peak, "float32").told()
    assert told.startswith("1,234 tokens") and "25.0%" in told and "measured" in told
