"""Embedding of texts: pooling and files against torch, training, neighbours, scores."""

import keras
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats
from tiny_classifiers import EAGER
from tiny_encoders import DECODERS, EXACT, save_torch, torch_model
from tiny_tasks import tiny_pairs, tiny_rows
from tiny_tokenizers import save_tokenizer
from torch.nn import functional
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

import kerasft as kft
from kerasft._errors import CheckpointError, DataError, SettingsError
from kerasft._registry import UnknownNameError
from kerasft.checkpoints.sentence_layout import SentenceLayout, write_layout
from kerasft.layers.text_pooling import POOLINGS
from kerasft.models import FAMILIES

TEXTS = tiny_rows(21).texts()
RANDOM = np.random.default_rng(5)


def pooled_by_torch(hidden, mask, pooling):
    """One vector a text, text by text, without a mask's arithmetic."""
    rows = [states[m == 1] for states, m in zip(hidden, mask, strict=True)]
    pool = {
        "cls": lambda states: states[0],
        "mean": lambda states: states.mean(0),
        "max": lambda states: states.max(0).values,
        "last": lambda states: states[-1],
    }[pooling]
    return torch.stack([pool(states) for states in rows])


def torch_vectors(folder, texts, pooling="mean", **limits):
    """Vectors by transformers' model and tokenizer."""
    model = AutoModel.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if model.config.model_type in DECODERS:  # Theirs would be byte-level.
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(folder / "tokenizer.json"),
            pad_token="[PAD]",
            model_input_names=["input_ids", "attention_mask"],
        )
    found = []
    with torch.no_grad():
        for start in range(0, len(texts), 64):
            inputs = tokenizer(
                texts[start : start + 64],
                padding=True,
                truncation=True,
                return_tensors="pt",
                **limits,
            )
            hidden = model(**inputs).last_hidden_state
            found.append(pooled_by_torch(hidden, inputs["attention_mask"], pooling))
    return torch.cat(found)


@pytest.fixture(scope="module")
def torch_folder(tmp_path_factory):
    """A tiny BERT with large random weights, so that a wrong formula shows."""
    folder = tmp_path_factory.mktemp("torch")
    save_tokenizer(save_torch(torch_model("bert"), folder))
    return folder


def made(folder, **options):
    keras.utils.set_random_seed(1)
    task = kft.TextEmbedder.from_pretrained(folder, **options)
    task.run_eagerly = True  # Tracing takes longer than these few texts.
    return task


# --- vectors and files


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_vectors_equal_torch(torch_folder, pooling, normalise):
    task = made(torch_folder, pooling=pooling, normalise=normalise)
    expected = torch_vectors(torch_folder, TEXTS, pooling, max_length=40)
    if normalise:
        expected = functional.normalize(expected)
    assert_allclose(task.encode(TEXTS), expected, **EXACT)


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_of_every_family_equal_torch(family, tmp_path):
    save_tokenizer(save_torch(torch_model(family), tmp_path))
    task = made(tmp_path)
    length = task.tokenizer.max_length
    expected = torch_vectors(tmp_path, TEXTS, max_length=length)
    assert_allclose(task.encode(TEXTS), expected, **EXACT)


def test_padding_on_the_left_is_no_token_either(torch_folder):
    ids = RANDOM.integers(5, 101, (2, 6)).astype("int32")
    mask = np.array([[0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], "int32")
    hidden = RANDOM.normal(size=(2, 6, 32)).astype("float32")
    for pooling in ("mean", "max", "last"):
        head = made(torch_folder, pooling=pooling).head
        expected = pooled_by_torch(torch.tensor(hidden), torch.tensor(mask), pooling)
        assert_allclose(head(hidden, attention_mask=mask), expected, **EXACT)
    task = made(torch_folder)
    whole = task({"input_ids": ids})
    assert_allclose(whole, task({"input_ids": ids, "attention_mask": ids * 0 + 1}))


@pytest.mark.parametrize(
    "count", [100, pytest.param(1_000, marks=pytest.mark.slow)], ids=str
)
def test_minilm_vectors_of_real_sentences_equal_torch(minilm, vader_texts, count):
    texts = vader_texts[:: len(vader_texts) // count][:count]
    task = made(minilm)
    assert (task.head.pooling, task.head.normalise) == ("mean", True)
    assert task.tokenizer.max_length == 256
    found = task.encode(texts)
    expected = torch_vectors(minilm, texts, max_length=256)
    assert_allclose(found, functional.normalize(expected), **EXACT)
    assert_allclose(made(minilm, normalise=False).encode(texts), expected, **EXACT)


def with_layout(torch_folder, folder, **settings):
    """The tiny BERT in a folder of sentence-transformers."""
    for file in torch_folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    write_layout(folder, SentenceLayout(**settings), 32)
    return folder


KERNEL = RANDOM.normal(size=(32, 12)).astype("float32")
BIAS = RANDOM.normal(size=12).astype("float32")
ACTIVATED = {
    None: lambda x: x,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
}


@pytest.mark.parametrize("activation", ACTIVATED)
def test_a_dense_layer_after_the_pooling_equals_torch(
    torch_folder, activation, tmp_path
):
    bias = BIAS if activation else None
    settings = {"kernel": KERNEL, "bias": bias, "activation": activation}
    with_layout(torch_folder, tmp_path, pooling="cls", normalise=True, **settings)
    task = made(tmp_path)
    pooled = torch_vectors(torch_folder, TEXTS, "cls", max_length=40)
    expected = pooled @ torch.tensor(KERNEL)
    if bias is not None:
        expected = expected + torch.tensor(bias)
    expected = functional.normalize(ACTIVATED[activation](expected))
    assert_allclose(task.encode(TEXTS), expected, **EXACT)
    task.save_pretrained(tmp_path / "again")
    assert_array_equal(made(tmp_path / "again").encode(TEXTS), task.encode(TEXTS))


def test_what_the_folder_tells_is_taken_and_what_is_asked_goes_before(
    torch_folder, tmp_path
):
    prompts = {"query": "find: "}
    settings = {"pooling": "max", "normalise": True, "prompts": prompts}
    with_layout(torch_folder, tmp_path, max_length=9, **settings)
    told = made(tmp_path)
    assert (told.head.pooling, told.head.normalise) == ("max", True)
    assert (told.tokenizer.max_length, told.prompts) == (9, prompts)
    asked = made(tmp_path, pooling="last", normalise=False, max_length=11)
    assert (asked.head.pooling, asked.head.normalise) == ("last", False)
    assert asked.tokenizer.max_length == 11
    asked.save_pretrained(tmp_path / "asked")
    again = made(tmp_path / "asked")
    assert (again.head.pooling, again.head.normalise) == ("last", False)
    assert (again.tokenizer.max_length, again.prompts) == (11, prompts)


def test_a_longer_limit_than_the_models_is_cut_to_it(torch_folder, tmp_path):
    with_layout(torch_folder, tmp_path, max_length=5_000)
    assert made(tmp_path).tokenizer.max_length == 40


def test_a_backbone_in_a_folder_of_its_own_is_loaded(torch_folder, tmp_path):
    with_layout(torch_folder, tmp_path, normalise=True)
    (tmp_path / "0_Transformer").mkdir()
    for file in torch_folder.iterdir():
        (tmp_path / file.name).rename(tmp_path / "0_Transformer" / file.name)
    path = tmp_path / "modules.json"
    path.write_text(path.read_text().replace('"path": ""', '"path": "0_Transformer"'))
    expected = made(torch_folder, normalise=True).encode(TEXTS)
    assert_array_equal(made(tmp_path).encode(TEXTS), expected)


def test_a_dense_layer_of_another_width_is_refused(torch_folder, tmp_path):
    with_layout(torch_folder, tmp_path)
    (tmp_path / "other").mkdir()
    write_layout(tmp_path / "other", SentenceLayout(kernel=KERNEL[:9]), 9)
    (tmp_path / "other" / "2_Dense").rename(tmp_path / "2_Dense")
    (tmp_path / "other" / "modules.json").rename(tmp_path / "modules.json")
    with pytest.raises(CheckpointError, match="vectors of 9 numbers.*have 32"):
        made(tmp_path)


def test_a_saved_folder_is_a_checkpoint_of_transformers(torch_folder, tmp_path):
    task = made(torch_folder)
    task.weights[3].assign(task.weights[3] * 1.5)
    task.save_pretrained(tmp_path / "saved")
    expected = torch_vectors(tmp_path / "saved", TEXTS, max_length=40)
    assert_allclose(task.encode(TEXTS), expected, **EXACT)


def test_a_later_save_without_a_module_leaves_none_behind(torch_folder, tmp_path):
    made(torch_folder, normalise=True).save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "notes.txt").write_text("mine")
    made(torch_folder, normalise=False).save_pretrained(tmp_path / "saved")
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert {"modules.json", "1_Pooling", "notes.txt"} <= names
    assert "2_Normalize" not in names
    assert not made(tmp_path / "saved").head.normalise


def test_unknown_names_say_what_is_known(torch_folder):
    with pytest.raises(UnknownNameError, match="Known: cls, last, max, mean"):
        made(torch_folder, pooling="average")
    with pytest.raises(UnknownNameError, match="'triplet'"):
        made(torch_folder).compile(loss="triple")


def test_mixed_precision_pools_in_float32(torch_folder):
    found = made(torch_folder, precision="mixed_bfloat16", normalise=True)
    vectors = found.encode(TEXTS)
    assert found.backbone.compute_dtype == "bfloat16"
    assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)
    expected = made(torch_folder, normalise=True).encode(TEXTS)
    assert (vectors * expected).sum(1).min() > 0.98


# --- texts


def test_texts_keep_their_order_and_nothing_gives_nothing(torch_folder):
    task = made(torch_folder)
    vectors = task.encode(TEXTS, batch_size=4)
    assert vectors.dtype == np.float32
    assert_allclose(task.encode(TEXTS[::-1])[::-1], vectors, **EXACT)
    assert_allclose(task.predict_text(TEXTS), vectors, **EXACT)
    assert task.encode([]).shape == (0, 32)
    assert task.predict_text([]) == []
    for call in (task.encode, task.predict_text):
        with pytest.raises(SettingsError, match=r"\[text\]"):
            call("a film")


def test_similarity_is_the_cosine_of_all_with_all(torch_folder):
    task = made(torch_folder)
    found = task.similarity(TEXTS[:3], TEXTS)
    vectors = torch.tensor(task.encode(TEXTS))
    expected = functional.cosine_similarity(vectors[:3, None], vectors[None], dim=-1)
    assert_allclose(found, expected, **EXACT)
    assert_allclose(task.similarity(vectors[:3].numpy(), TEXTS), found, **EXACT)
    with pytest.raises(SettingsError, match=r"shape \(2, 3\), this model's have 32"):
        task.similarity(np.ones((2, 3)), TEXTS)


def test_nearest_are_the_largest_similarities_in_order(torch_folder):
    task = made(torch_folder)
    corpus = list(dict.fromkeys(TEXTS))
    found = task.nearest(TEXTS[:4], corpus, top=3)
    similarity = task.similarity(TEXTS[:4], corpus)
    for row, scores in zip(found, similarity, strict=True):
        best = np.argsort(-scores)[:3]
        assert [answer["number"] for answer in row] == best.tolist()
        assert [answer["text"] for answer in row] == [corpus[i] for i in best]
        assert [answer["score"] for answer in row] == pytest.approx(scores[best])
    vectors = task.encode(corpus)
    assert set(task.nearest(TEXTS[:1], vectors, 1)[0][0]) == {"number", "score"}
    assert [len(row) for row in task.nearest(TEXTS[:2], corpus[:2], 9)] == [2, 2]
    assert task.nearest(TEXTS[:1], []) == [[]]
    with pytest.raises(SettingsError, match="at least 1"):
        task.nearest(TEXTS, corpus, 0)


# --- rows


SCORES = RANDOM.uniform(-1, 1, 21).astype("float32")
SECONDS = tiny_pairs(21).text_pairs()
THIRDS = TEXTS[1:] + TEXTS[:1]
KINDS = {
    "texts": lambda: kft.from_lists(TEXTS),
    "pairs": lambda: kft.from_lists(TEXTS, text_pairs=SECONDS),
    "triples": lambda: kft.from_lists(TEXTS, text_pairs=SECONDS, negatives=THIRDS),
    "scored": lambda: kft.from_lists(TEXTS, SCORES.tolist(), SECONDS),
    "same": lambda: kft.from_lists(TEXTS, [i % 2 for i in range(21)], SECONDS),
    "classes": lambda: kft.from_lists(TEXTS, [f"c{i % 3}" for i in range(21)]),
}


def torch_ranking(left, *candidates):
    left, candidates = functional.normalize(left), torch.cat(candidates)
    logits = 20 * left @ functional.normalize(candidates).T
    return functional.cross_entropy(logits, torch.arange(len(left)), reduction="none")


def torch_values(loss, vectors, labels):
    """The loss of each row of one batch, from its definition."""
    columns = [torch.tensor(vectors[:, i]) for i in range(vectors.shape[1])]
    if loss == "ranking":
        return torch_ranking(*columns)
    if loss == "symmetric_ranking":
        return (torch_ranking(*columns) + torch_ranking(*columns[::-1])) / 2
    if loss == "triplet":
        near, far = (torch.dist for _ in range(2))
        rows = zip(*columns, strict=True)
        return torch.stack(
            [torch.relu(near(a, p) - far(a, n) + 5.0) for a, p, n in rows]
        )
    if loss == "classes":
        return torch_class_values(columns[0], labels)
    cosine, labels = functional.cosine_similarity(*columns), torch.tensor(labels)
    if loss == "cosine":
        return (cosine - labels) ** 2
    apart = torch.relu(0.5 - (1 - cosine))
    return 0.5 * (labels * (1 - cosine) ** 2 + (1 - labels) * apart**2)


def torch_class_values(vectors, labels):
    logits = 20 * functional.normalize(vectors) @ functional.normalize(vectors).T
    values = []
    for i, label in enumerate(labels):
        others = [j for j in range(len(labels)) if j != i]
        chances = torch.log_softmax(logits[i, others], 0)
        same = [k for k, j in enumerate(others) if labels[j] == label]
        if same:
            values.append(-chances[same].mean())
    return torch.stack(values)


CASES = [
    ("texts", "ranking", "retrieval_accuracy"),
    ("pairs", "ranking", "retrieval_accuracy"),
    ("pairs", "symmetric_ranking", "retrieval_accuracy"),
    ("triples", "ranking", "retrieval_accuracy"),
    ("triples", "triplet", "triplet_accuracy"),
    ("scored", "cosine", "pearson"),
    ("same", "cosine", "pearson"),
    ("same", "contrastive", "pearson"),
    ("classes", "classes", "neighbour_accuracy"),
]


@pytest.mark.parametrize("kind, loss, metric", CASES)
def test_rows_of_every_kind_are_scored_as_defined_and_learnt(
    folder, kind, loss, metric
):
    task, rows = made(folder, normalise=kind == "classes"), KINDS[kind]()
    task.compile(kft.adamw(3e-3, total_steps=12, warmup=0), loss, **EAGER)
    vectors = task.predict_rows(rows)
    if kind == "texts":
        vectors = np.stack([vectors, vectors], 1)
    elif kind == "classes":
        vectors = vectors[:, None]
    labels = task.label_array(rows)
    values, counts = [], []
    for start in range(0, 21, 8):
        part = slice(start, start + 8)
        kept = None if labels is None else labels[part]
        values.append(torch_values(loss, vectors[part], kept))
        counts.append(len(values[-1]))
    expected = float(torch.cat(values).mean())
    told = task.evaluate(task.dataset(rows, 8), verbose=0, return_dict=True)
    assert set(told) == {"loss", metric}
    assert told["loss"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    data = task.dataset(rows, 8, training=True)
    history = task.fit(data, epochs=4, verbose=0).history
    after = task.evaluate(task.dataset(rows, 8), verbose=0, return_dict=True)
    assert np.isfinite(history["loss"]).all()
    assert after["loss"] < told["loss"]


def test_a_class_that_is_alone_in_its_batch_does_not_count(folder):
    task = made(folder)
    task.compile(loss="classes", **EAGER)
    rows = kft.from_lists(TEXTS[:4], ["a", "b", "a", "c"])
    vectors = torch.tensor(task.predict_rows(rows))
    expected = float(torch_class_values(vectors, ["a", "b", "a", "c"]).mean())
    told = task.evaluate(task.dataset(rows), verbose=0, return_dict=True)
    assert told["loss"] == pytest.approx(expected, rel=1e-4)
    alone = kft.from_lists(TEXTS[:2], ["a", "b"])
    told = task.evaluate(task.dataset(alone), verbose=0, return_dict=True)
    assert told == {"loss": 0.0, "neighbour_accuracy": 0.0}


def test_a_batch_holds_each_text_as_it_would_be_alone(folder):
    task = made(folder)
    rows = KINDS["triples"]()
    data = task.dataset(rows, batch_size=8, training=True, seed=3)
    columns = (TEXTS, SECONDS, THIRDS)
    chosen, share = data.batches.plan.order(0), data.batches.padding_share
    batches = list(data)
    masks = [np.asarray(inputs["attention_mask"]) for inputs, _ in batches]
    filled = sum(map(np.sum, masks)) / sum(map(np.size, masks))
    assert share == pytest.approx(1 - filled)
    for step, (inputs, labels) in enumerate(batches):
        numbers, _ = data.batches.plan.batch(chosen, step)
        assert_array_equal(labels, np.zeros(len(numbers)))
        for column, texts in enumerate(columns):
            for row, number in enumerate(numbers):
                real = inputs["attention_mask"][row, column] == 1
                ids = np.asarray(inputs["input_ids"][row, column])
                encoded = task.tokenizer.encode([texts[number]])
                assert_array_equal(ids[real], encoded.ids)
                assert not ids[~np.asarray(real)].any()


def test_simcse_sees_the_same_text_twice_under_another_dropout(folder):
    task = made(folder)
    ((inputs, _),) = list(task.dataset(kft.from_lists(TEXTS), 21))
    ids = np.asarray(inputs["input_ids"])
    assert_array_equal(ids[:, 0], ids[:, 1])
    vectors = np.asarray(task(inputs, training=True))
    assert np.abs(vectors[:, 0] - vectors[:, 1]).max() > 1e-3
    vectors = np.asarray(task(inputs))
    assert_allclose(vectors[:, 0], vectors[:, 1], **EXACT)


def test_large_rows_are_tokenised_once_for_each_column(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("KERASFT_CACHE", str(tmp_path))
    monkeypatch.setattr("kerasft.data.encoding.CACHED_FROM", 5)
    task, rows = made(folder), KINDS["triples"]()
    first = [c.ids.tolist() for c in task.fed(rows).examples.columns]
    assert len({tuple(ids) for ids in first}) == 3
    assert len(list(tmp_path.glob("examples-*"))) == 3
    monkeypatch.setattr(type(task.tokenizer), "encode", None)
    again = [c.ids.tolist() for c in task.fed(rows).examples.columns]
    assert again == first


WRONG = {
    "several names": (lambda: kft.from_lists(TEXTS[:1], [["a"]]), "takes texts"),
    "a number for one text": (lambda: kft.from_lists(TEXTS[:1], [0.5]), "takes texts"),
    "names for pairs": (
        lambda: kft.from_lists(TEXTS[:1], ["same"], TEXTS[:1]),
        "or 0 or 1",
    ),
    "labelled triples": (
        lambda: kft.from_lists(TEXTS[:1], [0.5], TEXTS[:1], negatives=TEXTS[1:2]),
        "without a label",
    ),
    "several numbers": (
        lambda: kft.from_lists(TEXTS[:1], [[0.5, 0.1]], TEXTS[:1]),
        "2 numbers a row",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_rows_that_no_loss_takes_are_refused(folder, case):
    rows, words = WRONG[case]
    with pytest.raises(DataError, match=words):
        made(folder).dataset(rows())


@pytest.mark.parametrize(
    "kind, loss",
    [
        ("scored", "ranking"),
        ("pairs", "cosine"),
        ("classes", "ranking"),
        ("pairs", "classes"),
        ("pairs", "triplet"),
        ("triples", "symmetric_ranking"),
        ("triples", "contrastive"),
    ],
)
def test_a_loss_for_other_rows_says_so(folder, kind, loss):
    task = made(folder)
    task.compile(loss=loss, **EAGER)
    with pytest.raises(DataError, match=f"The {loss} loss takes rows of"):
        task.evaluate(task.dataset(KINDS[kind]()), verbose=0)


def test_the_usual_loss_of_each_kind_fits_it(folder):
    task = made(folder)
    for kind, make in KINDS.items():
        task.compile(loss=task.loss_for(make()), **EAGER)
        told = task.evaluate(task.dataset(make()), verbose=0, return_dict=True)
        assert np.isfinite(told["loss"]), kind


@pytest.mark.parametrize("loss", [None, "symmetric_ranking", "classes"])
def test_micro_batches_are_refused_where_rows_depend_on_each_other(folder, loss):
    with pytest.raises(SettingsError, match="triplet, cosine, contrastive"):
        made(folder).compile(loss=loss, micro_batches=2)


def test_micro_batches_of_single_rows_change_nothing(folder):
    weights = []
    for parts in (1, 3):
        task = made(folder)
        for layer in task.backbone._flatten_layers():
            if hasattr(layer, "rate"):
                layer.rate = 0.0
        task.compile(keras.optimizers.SGD(0.1), "cosine", micro_batches=parts, **EAGER)
        task.fit(task.dataset(KINDS["scored"](), 7, training=True), verbose=0)
        weights.append([weight.numpy() for weight in task.weights])
    for one, other in zip(*weights, strict=True):
        assert_allclose(one, other, atol=1e-5)


def test_a_loss_of_ones_own_sees_labels_and_vectors(folder):
    task = made(folder)
    seen = []

    def loss(labels, vectors):
        seen.append((tuple(labels.shape), tuple(vectors.shape)))
        return keras.ops.mean(vectors, axis=-1)

    task.compile(loss=loss, **EAGER)
    told = task.evaluate(task.dataset(KINDS["pairs"](), 21), verbose=0)
    assert seen == [((21,), (21, 2, 32))]
    assert np.isfinite(told)


# --- scores over all rows


def test_scores_of_pairs_with_a_number_equal_scipy(folder):
    task = made(folder)
    for kind in ("scored", "same"):
        rows = KINDS[kind]()
        one, other = np.moveaxis(task.predict_rows(rows), 1, 0)
        cosine = np.diag(task.similarity(one, other))
        labels = task.label_array(rows)
        told = task.score_rows(rows)
        assert told == {
            "spearman": pytest.approx(stats.spearmanr(cosine, labels)[0], abs=1e-6),
            "pearson": pytest.approx(stats.pearsonr(cosine, labels)[0], abs=1e-5),
        }


def test_scores_of_the_other_kinds_equal_their_definition(folder):
    task = made(folder)
    similarity = task.similarity(TEXTS, THIRDS)
    ranks = (similarity > np.diag(similarity)[:, None] + 1e-6).sum(1) + 1
    assert len(set(ranks)) > 2
    told = task.score_rows(kft.from_lists(TEXTS, text_pairs=THIRDS))
    assert told == {
        "retrieval_accuracy": pytest.approx((ranks == 1).mean()),
        "mrr": pytest.approx((1 / ranks).mean()),
    }
    near = np.diag(task.similarity(TEXTS, SECONDS))
    told = task.score_rows(KINDS["triples"]())
    right = np.mean(near > np.diag(similarity))
    assert told == {"triplet_accuracy": pytest.approx(right)}
    rows = KINDS["classes"]()
    closeness = task.similarity(TEXTS, TEXTS)
    np.fill_diagonal(closeness, -2)
    labels = np.array([f"c{i % 3}" for i in range(21)])
    right = np.mean(labels[closeness.argmax(1)] == labels)
    assert task.score_rows(rows) == {"neighbour_accuracy": pytest.approx(right)}


def test_texts_alone_and_a_single_row_cannot_be_scored(folder):
    task = made(folder)
    with pytest.raises(DataError, match="Give pairs, triples, scores or classes"):
        task.score_rows(KINDS["texts"]())
    with pytest.raises(DataError, match="one row alone"):
        task.score_rows(KINDS["pairs"]().select([0]))


def test_a_classifier_refuses_rows_with_a_third_text(folder):
    task = kft.TextClassifier.from_pretrained(folder, labels=("a", "b"))
    with pytest.raises(DataError, match="for a TextEmbedder alone"):
        task.predict_rows(KINDS["triples"]())
