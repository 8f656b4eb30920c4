"""The clusters that SentencePiece's normaliser looks up whole."""

import base64
import functools
import json
import random

import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from piece_tokenizers import unigram
from tokenizers.normalizers import Precompiled

from kerasft.serving.charsmap import Charsmap, entries_of
from kerasft.serving.fuzz import _marks

# Of every class of the rules, some of few bytes; and keys of the map.
CLASSES = (
    "a9 \r\n\x00\u00a9\u00ad\u200b\u200d\ufe0f\u0301\u0308\u0903\u0600\u06dd\u0d4e"
    "\u1100\u1161\u11a8\uac00\uac01\u0915\u094d\u0cc6\u0cd5\u0dca\u0e33\u20e3\u2764"
    "\U0001f600\U0001f3fd\U0001f1e9\u0340\u0344\u0374\u00c5\u212b\u2460\ufb01\u304b\u3099"
)


@functools.cache
def content():
    normalizer = json.loads(unigram("xlm-roberta").to_str())["normalizer"]
    return base64.b64decode(normalizer["precompiled_charsmap"])


@functools.cache
def charsmap():
    return Charsmap(content())


def normalised(texts):
    points = tf.strings.unicode_decode(tf.constant(texts), "UTF-8")
    made = tf.strings.unicode_encode(charsmap()(points), "UTF-8")
    return [text.decode() for text in made.numpy()]


def test_sequences_of_every_class_are_normalised_as_the_reference_does():
    chance, marks = random.Random(3), _marks()
    texts = [
        "".join(
            chance.choice(CLASSES if chance.random() < 0.8 else marks)
            for _ in range(chance.randint(1, 9))
        )
        for _ in range(10_000)
    ]
    reference = Precompiled(content())
    assert normalised(texts) == [reference.normalize_str(text) for text in texts]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=20))
def test_any_text_is_normalised_as_the_reference_does(texts):
    reference = Precompiled(content())
    assert normalised(texts) == [reference.normalize_str(text) for text in texts]


def test_the_map_is_read_as_the_reference_reads_it():
    entries, reference = entries_of(content()), Precompiled(content())
    single = [key for key in entries if len(key) == 1]
    assert len(single) > 5000 and len(entries) > len(single)
    assert all(reference.normalize_str(key) == entries[key] for key in single)
