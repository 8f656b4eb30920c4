"""Hidden tokens: how many, which, what stands there instead, and that it repeats."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import binom, chisquare
from tiny_tasks import save_tiny_bert, tiny_rows
from tiny_tokenizers import save_tokenizer

import kerasft as kft
from kerasft._errors import CheckpointError, DataError, SettingsError
from kerasft.data import documents as documents_file
from kerasft.data.documents import INNER, OPENS, documents_of, passages_of
from kerasft.data.masking import IGNORED, MaskedPassages, Masking
from kerasft.data.tokenizer import Tokenizer

WORDS = "a good bad film awful plot boring ##s ##ly ##ness".split()
# Words of one, two and three tokens; a control character is no token, ☃ is unknown.
TEXTS = [
    "a goodly film",
    "",
    "films, badness! goodnessly ☃ plots? a bad film. " * 9,
    "\x00",
    "[MASK] [SEP] film",
    "boring plots " * 40,
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = save_tokenizer(tmp_path_factory.mktemp("tokenizer"), words=WORDS)
    return Tokenizer.from_pretrained(folder, 24)


@pytest.fixture(scope="module")
def documents(tokenizer):
    return documents_of(kft.from_lists(TEXTS), tokenizer)


def encoded(tokenizer, text):
    return tokenizer.backend.encode(text, add_special_tokens=False)


def random_batch(tokenizer, rows=400, width=40, seed=0):
    """Ordinary tokens between special ones, rows of all lengths, marks of words."""
    random = np.random.default_rng(seed)
    lengths = random.integers(6, width + 1, rows)
    real = np.arange(width) < lengths[:, None]
    ids = random.choice(np.flatnonzero(tokenizer.ordinary), (rows, width))
    ids[:, 0], ids[np.arange(rows), lengths - 1] = 2, 3
    ids[:, 3] = 1  # Unknown.
    inputs = {"input_ids": np.where(real, ids, 0), "attention_mask": real * 1}
    return inputs, INNER * random.integers(0, 2, ids.shape).astype("uint8")


def hidden(masking, batch, seed=0):
    inputs, labels = masking.hide(*batch, np.random.default_rng(seed))
    return inputs["input_ids"], inputs["masked_positions"], labels


# --- documents and passages


def test_documents_are_the_references_tokens_with_separators_between(
    tokenizer, documents
):
    assert documents.separator.tolist() == [3]
    assert documents.lengths.tolist() == [
        len(encoded(tokenizer, text).ids) for text in TEXTS
    ]
    parts = [encoded(tokenizer, text).ids for text in TEXTS]
    expected = [[*part, 3] for part in parts if part]
    assert documents.ids.tolist() == sum(expected, [])


def test_marks_tell_words_as_the_reference_does(tokenizer, documents):
    for i, text in enumerate(TEXTS):
        words = encoded(tokenizer, text).word_ids
        inner = [k > 0 and words[k - 1] == word for k, word in enumerate(words)]
        start = documents.bounds[i]
        marks = documents.marks[start : start + len(words)]
        assert (marks & INNER > 0).tolist() == inner
        assert not documents.marks[start + len(words) : documents.bounds[i + 1]].any()


@pytest.mark.parametrize(
    "text, sentences",
    [
        ("a good film. bad plot!", ["a good film.", "bad plot!"]),
        ('film... "plot?" a bad', ["film...", '"plot?"', "a bad"]),
        ("film 3.5 bad", ["film 3.5 bad"]),
        ("film\n\nplot\nbad", ["film", "plot", "bad"]),
        ("  film. ", ["film."]),
        ("." * 100_000 + "film", ["." * 100_000 + "film"]),
    ],
)
def test_marks_tell_where_sentences_open(tokenizer, text, sentences):
    found = documents_of(kft.from_lists([text]), tokenizer)
    lengths = [len(encoded(tokenizer, part).ids) for part in sentences]
    starts = np.cumsum([0, *lengths[:-1]])
    assert np.flatnonzero(found.marks & OPENS).tolist() == starts.tolist()


def test_passages_of_a_text_hold_each_token_once(tokenizer, documents):
    passages = passages_of(documents, tokenizer, pack=False)
    assert set(passages.rows) == {0, 2, 4, 5}
    for row in range(len(TEXTS)):
        mine = np.flatnonzero(passages.rows == row)
        parts = [
            documents.ids[passages.starts[i] : passages.stops[i]].tolist() for i in mine
        ]
        assert sum(parts, []) == encoded(tokenizer, TEXTS[row]).ids
        lengths = passages.lengths[mine]
        assert len(mine) == -(-documents.lengths[row] // 22)
        assert not len(mine) or lengths.max() <= min(24, lengths.min() + 1)


@pytest.mark.parametrize("room", range(5, 25))
def test_packed_passages_are_full_and_hold_each_token_once(tokenizer, documents, room):
    passages = passages_of(documents, tokenizer.shortened(room), pack=True)
    assert passages.rows is None
    pairs = list(zip(passages.starts, passages.stops, strict=True))
    covered = np.concatenate([np.arange(a, b) for a, b in pairs])
    lost = np.setdiff1d(np.arange(len(documents.ids)), covered)
    assert len(covered) == len(set(covered)) and (documents.ids[lost] == 3).all()
    ends = [documents.ids[[a, b - 1]] for a, b in pairs]
    assert not np.isin(ends, 3).any()
    assert min(b - a for a, b in pairs[:-1]) >= room - 2 - 2
    assert max(passages_of(documents, tokenizer, True).lengths) == 24


def test_a_passage_is_framed_as_the_reference_frames_a_text(tokenizer, documents):
    passages = passages_of(documents, tokenizer, pack=False)
    spans = np.array([[[passages.starts[0], passages.stops[0]]]])
    inputs, marks = passages.laid_out(spans, 9, 0)
    expected = tokenizer.encode([TEXTS[0]]).ids.tolist()
    assert inputs["input_ids"][0].tolist() == expected + [0] * (9 - len(expected))
    assert inputs["attention_mask"][0].sum() == len(expected) == passages.lengths[0]
    assert marks[0].tolist() == [0, OPENS, 0, INNER, 0, 0, 0, 0, 0]


def test_documents_from_the_cache_equal_those_in_memory(
    tokenizer, documents, tmp_path, monkeypatch
):
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path))
    monkeypatch.setattr(documents_file, "CACHED_FROM", 2)
    monkeypatch.setattr(documents_file, "CHUNK", 4)
    rows = kft.from_lists(TEXTS)
    documents_of(rows, tokenizer)
    monkeypatch.setattr(documents_file, "cut", None)  # It is not called again.
    kept = documents_of(rows, tokenizer)
    assert len(kept.files) == 2 and not documents.files
    kept.release()
    for name in ("ids", "marks", "bounds", "separator"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(documents, name))


@pytest.mark.parametrize(
    "rows, message",
    [
        (kft.from_lists(["", "\x00"]), "no token in any"),
        (kft.from_lists(["a"]).select([]), "no rows"),
        (kft.from_lists(["a"], text_pairs=["b"]), "two texts a row"),
    ],
)
def test_rows_without_anything_to_hide_are_refused(tokenizer, rows, message):
    with pytest.raises(DataError, match=message):
        documents_of(rows, tokenizer)


# --- what is hidden


@pytest.mark.parametrize("share", [0.15, 0.4])
def test_the_share_is_right_and_each_token_as_likely_as_another(tokenizer, share):
    masking = Masking(tokenizer, share)
    batch = random_batch(tokenizer, rows=2000)
    _, positions, labels = hidden(masking, batch)
    ids = batch[0]["input_ids"]
    maskable = tokenizer.ordinary[ids] & (batch[0]["attention_mask"] == 1)
    counts = (labels != IGNORED).sum(1)
    wanted = share * maskable.sum(1)
    large = wanted >= 1  # In a smaller one at least one is hidden.
    assert (
        (counts[large] == np.floor(wanted[large]))
        | (counts[large] == np.ceil(wanted[large]))
    ).all()
    assert (counts[~large] == 1).all()
    np.testing.assert_allclose(counts[large].mean(), wanted[large].mean(), rtol=0.01)
    full = maskable.sum(1) == maskable.sum(1).max()
    places = positions[full][labels[full] != IGNORED]
    seen = np.bincount(places, minlength=ids.shape[1])[maskable[full][0]]
    assert chisquare(seen).pvalue > 1e-4


@pytest.mark.parametrize("shares", [(0.8, 0.1, 0.1), (1, 0, 0), (0, 0.5, 0.5)])
def test_of_the_hidden_so_many_are_masks_random_and_unchanged(tokenizer, shares):
    masking = Masking(tokenizer, 0.15, shares)
    batch = random_batch(tokenizer, rows=2000)
    ids, positions, labels = hidden(masking, batch)
    rows, slots = np.nonzero(labels != IGNORED)
    now, before = ids[rows, positions[rows, slots]], labels[rows, slots]
    count, kinds = len(rows), tokenizer.ordinary.sum()
    same = shares[2] + shares[1] / kinds  # By chance a random token is the same.
    for found, share in (
        ((now == tokenizer.mask_id).sum(), shares[0]),
        ((now == before).sum(), same),
        (
            count - (now == tokenizer.mask_id).sum() - (now == before).sum(),
            1 - shares[0] - same,
        ),
    ):
        low, high = binom.interval(0.9999, count, min(max(share, 0), 1))
        assert low <= found <= high
    others = now[(now != before) & (now != tokenizer.mask_id)]
    assert tokenizer.ordinary[others].all()
    if len(others):
        assert len(np.unique(others)) > 0.9 * kinds


@pytest.mark.parametrize("whole_words", [False, True])
def test_labels_are_what_stood_there_and_special_tokens_stay(tokenizer, whole_words):
    masking = Masking(tokenizer, 0.3, whole_words=whole_words)
    batch = random_batch(tokenizer)
    ids, positions, labels = hidden(masking, batch)
    before = batch[0]["input_ids"]
    assert positions.shape == labels.shape == (400, masking.slots(40)) == (400, 12)
    scored = labels != IGNORED
    assert (positions[~scored] == 0).all()
    assert scored.any(1).all()
    at = np.take_along_axis(before, positions, 1)
    np.testing.assert_array_equal(labels[scored], at[scored])
    assert tokenizer.ordinary[labels[scored]].all()
    changed = np.zeros(ids.shape, bool)
    np.put_along_axis(changed, positions, True, 1)
    changed[:, 0] = False
    np.testing.assert_array_equal(ids[~changed], before[~changed])
    for row, some in zip(positions, scored, strict=True):
        assert len(set(row[some])) == some.sum()


def test_whole_words_are_hidden_whole(tokenizer, documents):
    masking = Masking(tokenizer, 0.4, (1, 0, 0), whole_words=True)
    passages = passages_of(documents, tokenizer, pack=False)
    chosen = np.flatnonzero(passages.rows == 2)
    make = MaskedPassages(passages, masking)
    hidden_sizes = set()
    for seed in range(20):
        inputs, _ = make(chosen, 24, np.random.default_rng(seed))
        for i, row in zip(chosen, inputs["input_ids"], strict=True):
            marks = documents.marks[passages.starts[i] : passages.stops[i]]
            firsts = np.flatnonzero((marks & INNER == 0) | (np.arange(len(marks)) == 0))
            gone = row[1 : 1 + len(marks)] == tokenizer.mask_id
            for word in np.split(gone, firsts[1:]):
                assert word.all() or not word.any()
                hidden_sizes.add(len(word) * word.any())
    assert hidden_sizes == {0, 1, 2, 3}


def test_a_word_longer_than_the_room_is_hidden_as_far_as_it_goes(tokenizer):
    masking = Masking(tokenizer, 0.15, whole_words=True)
    inputs = {
        "input_ids": np.array([[2, 7, 8, 9, 3]]),
        "attention_mask": np.ones((1, 5)),
    }
    marks = np.array([[0, 0, INNER, INNER, 0]], "uint8")
    _, positions, labels = hidden(masking, (inputs, marks))
    assert positions.tolist() == [[1]] and labels.tolist() == [[7]]


@pytest.mark.parametrize(
    "settings",
    [
        {"share": 0},
        {"share": 1},
        {"mask_random_keep": (0.8, 0.1, 0.2)},
        {"mask_random_keep": (1.1, -0.1, 0)},
        {"mask_random_keep": (0.5, 0.5)},
    ],
)
def test_shares_that_cannot_be_are_refused(tokenizer, settings):
    with pytest.raises(SettingsError, match="is "):
        Masking(tokenizer, **settings)


def test_a_tokenizer_without_a_mask_is_refused(tokenizer, tmp_path):
    (tmp_path / "tokenizer.json").write_text(
        tokenizer.backend.to_str().replace("[MASK]", "[NONE]")
    )
    with pytest.raises(CheckpointError, match="no mask token"):
        Masking(Tokenizer.from_pretrained(tmp_path, 24))


# --- batches


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = save_tiny_bert(tmp_path_factory.mktemp("tiny"), num_layers=1)
    return kft.MaskedLM.from_pretrained(folder)


def listed(dataset):
    return [
        tf.nest.map_structure(lambda t: t.numpy().tolist(), batch) for batch in dataset
    ]


def test_each_epoch_hides_others_and_every_run_the_same(task):
    dataset = task.dataset(tiny_rows(), batch_size=43, training=True, seed=3)
    first, second = listed(dataset), listed(dataset)
    assert first != second
    by_text = [
        {tuple(np.sort(ids)) for ids in epoch[0][0]["input_ids"]}
        for epoch in (first, second)
    ]
    assert by_text[0] != by_text[1]
    again = task.dataset(tiny_rows(), batch_size=43, training=True, seed=3)
    assert listed(again) == first
    other = task.dataset(tiny_rows(), batch_size=43, training=True, seed=4)
    assert listed(other) != first


def test_a_run_resumed_at_a_step_sees_the_same(task):
    dataset = task.dataset(tiny_rows(), batch_size=8, training=True)
    dataset.batches.epoch = 2
    whole = listed(dataset)
    dataset.batches.epoch = 2
    assert listed(dataset.batches.dataset(first_step=3)) == whole[3:]


def test_without_training_the_same_is_hidden_each_time(task):
    dataset = task.dataset(tiny_rows(), batch_size=8)
    assert listed(dataset) == listed(dataset)
    steps = [labels for _, labels in listed(dataset)]
    assert len({str(labels) for labels in steps}) == len(steps)


def test_there_are_as_many_shapes_as_padded_lengths(task):
    rows = tiny_rows(200)
    dataset = task.dataset(rows, 8, training=True, max_shapes=3)
    shapes = {
        (
            inputs["input_ids"].shape[1],
            *inputs["masked_positions"].shape[1:],
            labels.shape[1],
        )
        for inputs, labels in dataset
    }
    assert len(shapes) == len({length for length, *_ in shapes}) <= 3


def test_weights_are_of_rows_and_follow_their_passages(task):
    rows = kft.from_lists(["a good film " * 30, "bad", "", "very bad"])
    weights = np.array([2.0, 3.0, 4.0, 5.0], "float32")
    (batch,) = list(task.dataset(rows, batch_size=10, weights=weights))
    assert batch[2].numpy().tolist() == [2.0] * 3 + [3.0, 5.0]


def test_weights_of_packed_rows_are_refused(task):
    packing = kft.MaskedLM(task.backbone, task.head, task.tokenizer, pack=True)
    with pytest.raises(SettingsError, match="do not pack"):
        packing.dataset(tiny_rows(9), weights=np.ones(9))
