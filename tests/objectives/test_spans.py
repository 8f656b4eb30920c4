"""Entities and their scores equal seqeval's, in every scheme."""

import warnings

import keras
import numpy as np
import pytest
import seqeval.metrics
import seqeval.scheme
from numpy.testing import assert_allclose
from seqeval.metrics.sequence_labeling import get_entities

from kerasft._errors import SettingsError
from kerasft.objectives.losses import IGNORED
from kerasft.objectives.span_metrics import AVERAGES, EntityScores, entity_bounds
from kerasft.objectives.spans import SCHEMES, TagSet

MODES = [None, *SCHEMES]
TYPES = ("PER", "LOC", "B-X")


def tag_names(prefixes):
    typed = [f"{p}-{kind}" for p in prefixes if p != "O" for kind in TYPES]
    return ["O", *typed]


def tag_set(mode, prefixes="IOBES"):
    return TagSet(tag_names(SCHEMES[mode][0] if mode else prefixes), mode)


def random_ids(tags, count, length, seed=0):
    """Random sequences, the outside more often, so that entities come about."""
    random = np.random.default_rng(seed)
    ids = random.integers(0, len(tags.names), (count, length))
    return np.where(random.random((count, length)) < 0.3, 0, ids)


def names(tags, ids):
    return [[tags.names[i] for i in row] for row in ids.tolist()]


def theirs(tags, sequence):
    if tags.scheme is None:
        return [(kind, start, end + 1) for kind, start, end in get_entities(sequence)]
    scheme = getattr(seqeval.scheme, tags.scheme)
    found = seqeval.scheme.Tokens(sequence, scheme).entities
    return [(one.tag, one.start, one.end) for one in found]


def slowly(value):
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.mark.parametrize("mode", MODES)
def test_entities_of_ten_thousand_sequences_are_seqevals(mode):
    tags = tag_set(mode)
    ids = random_ids(tags, 10_000, 9)
    for row, sequence in zip(ids.tolist(), names(tags, ids), strict=True):
        assert tags.entities(row) == theirs(tags, sequence), sequence


@pytest.mark.parametrize("average", [AVERAGES[0], *map(slowly, AVERAGES[1:])])
@pytest.mark.parametrize("mode", MODES)
def test_scores_of_ten_thousand_pairs_are_seqevals(mode, average):
    tags = tag_set(mode)
    actual = random_ids(tags, 10_000, 8, seed=1)
    noise = random_ids(tags, 10_000, 8, seed=2)
    keep = np.random.default_rng(3).random(actual.shape) < 0.8
    predicted = np.where(keep, actual, noise)
    metric = EntityScores(tags, average)
    for part in np.array_split(np.arange(len(actual)), 7):
        metric.update_state(actual[part], predicted[part])
    ours = {name: float(value) for name, value in metric.result().items()}
    options = {"average": average}
    if mode:
        options |= {"mode": "strict", "scheme": getattr(seqeval.scheme, mode)}
    expected = seqeval.metrics.sequence_labeling.precision_recall_fscore_support
    if mode:
        expected = seqeval.metrics.v1.precision_recall_fscore_support
        options.pop("mode")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = expected(names(tags, actual), names(tags, predicted), **options)
    assert_allclose(list(ours.values()), reference[:3], rtol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_every_pair_is_counted_as_seqeval_counts_it(mode):
    """Row by row, so that no difference can hide in a sum."""
    tags = tag_set(mode)
    actual = random_ids(tags, 10_000, 7, seed=4)
    predicted = random_ids(tags, 10_000, 7, seed=5)
    metric = EntityScores(tags)
    found = []
    for sequences in (actual, predicted):
        padded = keras.ops.convert_to_tensor(sequences.astype("int32"))
        parts = entity_bounds(metric.tag_set, padded)
        found.append([np.asarray(part) for part in parts])
    for i in range(len(actual)):
        for (ends, begins, types), sequences in zip(
            found, (actual, predicted), strict=True
        ):
            ours = [
                (tags.types[types[i, end]], int(begins[i, end]), int(end))
                for end in np.flatnonzero(ends[i])
            ]
            assert ours == tags.entities(sequences[i].tolist())


def test_by_type_equals_the_report():
    tags = tag_set("IOB2")
    actual, predicted = (random_ids(tags, 500, 9, seed) for seed in (6, 7))
    metric = EntityScores(tags)
    metric.update_state(actual, predicted)
    report = seqeval.metrics.classification_report(
        names(tags, actual),
        names(tags, predicted),
        mode="strict",
        scheme=seqeval.scheme.IOB2,
        output_dict=True,
    )
    ours = metric.by_type()
    assert set(ours) == set(TYPES)
    for kind, scores in ours.items():
        expected = report[kind]
        expected["f1"] = expected.pop("f1-score")
        assert scores == pytest.approx(expected, rel=1e-5)


def test_what_is_not_scored_is_left_out():
    tags = TagSet(["O", "B-PER", "I-PER"])
    labels = [[IGNORED, 1, IGNORED, 2, 0, IGNORED], [IGNORED] * 6]
    right, wrong = [[0, 1, 1, 2, 0, 1], [1] * 6], [[1, 1, 1, 1, 0, 1], [1] * 6]
    for predicted, hits in ((right, 1.0), (wrong, 0.0)):
        metric = EntityScores(tags)
        logits = keras.ops.one_hot(np.array(predicted), 3)
        metric.update_state(np.array(labels), logits)
        assert float(metric.result()["f1"]) == hits


def test_nothing_found_gives_zeros():
    metric = EntityScores(TagSet(["O"]))
    metric.update_state(np.zeros((1, 3), "int32"), np.zeros((1, 3), "int32"))
    assert [float(value) for value in metric.result().values()] == [0, 0, 0]


def test_a_bare_prefix_has_a_type_of_its_own():
    tags = TagSet(["O", "B", "I"])
    assert tags.entities([1, 2, 0, 1]) == theirs(tags, ["B", "I", "O", "B"])


def test_all_tags_that_a_scheme_lacks_are_named():
    with pytest.raises(SettingsError, match="E-PER, S-PER"):
        TagSet(["O", "B-PER", "E-PER", "S-PER"], "IOB2")


def test_an_unknown_scheme_is_refused():
    with pytest.raises(SettingsError, match="IOB2"):
        TagSet(["O"], "BIO")
