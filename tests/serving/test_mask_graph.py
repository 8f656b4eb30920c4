"""Texts with masks get, in the graph, the ids that the reference gives them."""

import numpy as np
import pytest
import tensorflow as tf
import tokenizers
from byte_tokenizers import byte_level
from tiny_tokenizers import SPECIAL, wordpiece
from tokenizers import AddedToken

from kerasft.data.tokenizer import Tokenizer
from kerasft.serving import verify_guesses as proof
from kerasft.serving.fuzz import SPACES, adversarial_texts, with_masks
from kerasft.serving.mask_graph import MaskGraph
from kerasft.serving.reference import UnsupportedTokenizerError
from kerasft.serving.verify import VerificationError, differing_rows, reference_at

LENGTH = 32
CORNERS = [
    "[MASK]",
    "",
    "[MASK][MASK]",
    "[MASK[MASK]",
    "[mask] [ MASK ] [Mask]",
    "un[MASK]able",
    "##s[MASK]##s",
    "[SEP][MASK][CLS] [PAD][UNK]",
    "e[MASK]\u0301",  # A mark that has lost its letter.
    "\u0f80[MASK]\u0f71",
    "\u3000[MASK]\u2028[MASK]\x00",
    "a " * 40 + "[MASK]",
]


def tokenizer_of(backend):
    own = tokenizers.Tokenizer.from_str(backend.to_str())
    own.encode_special_tokens = True
    return Tokenizer(own, LENGTH, 0, {})


def differences(tokenizer, texts):
    graph = MaskGraph(tokenizer, LENGTH)
    reference = reference_at(graph.reading, LENGTH)
    return differing_rows(graph, reference, [(text,) for text in texts])


@pytest.mark.parametrize("lowercase", [True, False])
def test_masks_in_strange_texts_are_tokens_and_all_else_is_text(lowercase):
    tokenizer = tokenizer_of(wordpiece(lowercase=lowercase))
    texts = with_masks([*adversarial_texts(1000, 3, [*SPECIAL, "good"])], "[MASK]")
    assert differences(tokenizer, CORNERS + texts) == []
    ids = MaskGraph(tokenizer, LENGTH)(CORNERS)["input_ids"].numpy()
    counts = [1, 0, 2, 1, 0, 1, 1, 1, 1, 1, 2, 0]  # The last is cut off.
    assert (ids == tokenizer.mask_id).sum(1).tolist() == counts
    assert set(ids[:, 1:].ravel()).isdisjoint({tokenizer.backend.token_to_id("[CLS]")})


def test_masks_in_strange_texts_of_a_real_vocabulary(minilm):
    tokenizer = Tokenizer.from_pretrained(minilm, LENGTH)
    pieces = sorted(tokenizer.backend.get_vocab())
    texts = with_masks([*adversarial_texts(1000, 4, pieces)], "[MASK]")
    assert differences(tokenizer, CORNERS + texts) == []


@pytest.mark.parametrize("side", ["lstrip", "rstrip"])
def test_a_mask_of_bytes_takes_up_the_spaces_on_one_side(side):
    own = tokenizers.Tokenizer.from_str(byte_level("roberta").to_str())
    mask = AddedToken("<mask>", **{"lstrip": False, side: True}, normalized=False)
    own.add_special_tokens([mask])
    own.encode_special_tokens = True
    texts = [text.replace("[MASK]", "<mask>") for text in CORNERS]
    texts += [f"a{s}<mask>{s}{s}<mask>{s}b" for s in SPACES]
    texts += with_masks([*adversarial_texts(500, 3, ["the", "<s>"])], "<mask>")
    assert differences(Tokenizer(own, LENGTH, 1, {}), texts) == []


def test_bytes_that_are_no_text_end_at_the_mask(minilm):
    tokenizer = Tokenizer.from_pretrained(minilm, LENGTH)
    texts = [b"\xe2\x82[MASK]\x82b", b"a\xff[MASK]", b"[MASK]\xf0\x9f"]
    found = MaskGraph(tokenizer, LENGTH)(tf.constant(texts))["input_ids"].numpy()
    told = [text.decode(errors="replace") for text in texts]
    reference = reference_at(tokenizer.reading_masks().backend, LENGTH)
    assert found.tolist() == [one.ids for one in reference.encode_batch(told)]


@pytest.mark.parametrize(
    "mask, others, message",
    [
        ({"normalized": True}, [], "after normalising"),
        ({"single_word": True}, [], "as a whole word"),
        ({}, ["MASK]["], r"may overlap with other special tokens: \['MASK\]\['\]"),
        ({}, ["[MASK]!"], "may overlap"),
    ],
)
def test_a_mask_that_is_more_than_a_string_is_refused(mask, others, message):
    backend = wordpiece()
    settings = {"special": True, "normalized": False, **mask}
    backend.add_special_tokens([AddedToken("[MASK]", **settings), *others])
    with pytest.raises(UnsupportedTokenizerError, match=message):
        MaskGraph(tokenizer_of(backend), LENGTH)


# --- the proof


class Served:
    """Answers as a SavedModel of one mask would: two tokens of four."""

    def __init__(self, tokens, scores):
        self.signatures = {
            "serving_default": lambda text: {
                "token": tf.constant([[tokens]]),
                "score": tf.constant([[scores]]),
                "masks": tf.constant([1]),
            }
        }


@pytest.mark.parametrize(
    "tokens, scores, right",
    [
        (("c", "a"), (0.5, 0.2), True),
        (("c", "b"), (0.5, 0.2), True),  # As likely as "a".
        (("c", "d"), (0.5, 0.2), False),
        (("c", "a"), (0.5, 0.2002), False),
        (("a", "c"), (0.2, 0.5), False),
        (("c", "z"), (0.5, 0.2), False),
        (("c", "a"), (float("nan"), 0.2), False),
    ],
)
def test_other_tokens_or_scores_are_told_apart(tokens, scores, right, monkeypatch):
    logits = np.log([[0.2, 0.2, 0.5, 0.1]]).astype("float32")
    monkeypatch.setattr(proof.tf.saved_model, "load", lambda _: Served(tokens, scores))

    def verify():
        return proof.verify_guesses("x", lambda _: [logits], ["[MASK]"], "abcd", 1e-5)

    if right:
        assert verify() == 1
        return
    with pytest.raises(VerificationError, match="on 1 of 1 texts"):
        verify()


def test_a_text_with_fewer_masks_than_served_is_told(monkeypatch):
    served = Served(("c", "a"), (0.5, 0.2))
    monkeypatch.setattr(proof.tf.saved_model, "load", lambda _: served)
    none = np.zeros((0, 4), "float32")
    with pytest.raises(VerificationError, match="differs"):
        proof.verify_guesses("x", lambda _: [none], ["a"], "abcd", 1e-5)
