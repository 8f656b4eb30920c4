"""Text classification end to end: three problems, pairs, and what `fit` takes."""

import json

import keras
import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from tiny_encoders import run_torch
from tiny_tasks import LABELS, save_tiny_bert, tiny_rows

import kerasft as kft
from kerasft._errors import CheckpointError, DataError, SettingsError

TEXTS = tiny_rows(21).texts()
SECONDS = TEXTS[::-1]
GIVEN = {
    "single_label": [LABELS[i % 3] for i in range(21)],
    "multi_label": [list(LABELS[: i % 4]) for i in range(21)],
    "regression": [i / 7 for i in range(21)],
}
NAMES = {**dict.fromkeys(GIVEN, LABELS), "regression": None}
EAGER = {"run_eagerly": True}  # Tracing takes longer than these few steps.


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    keras.utils.set_random_seed(0)
    return save_tiny_bert(tmp_path_factory.mktemp("tiny"), num_layers=1)


def made(folder, problem="single_label", **options):
    keras.utils.set_random_seed(1)
    options = {"labels": NAMES[problem], "problem": problem} | options
    return kft.TextClassifier.from_pretrained(folder, **options)


@pytest.fixture
def task(folder):
    return made(folder)


@pytest.fixture(params=GIVEN)
def problem(request):
    return request.param


def rows_for(problem, paired=False):
    return kft.from_lists(TEXTS, GIVEN[problem], SECONDS if paired else None)


def weights_of(task):
    return {weight.path: weight.numpy() for weight in task.weights}


def recipe(**options):
    return kft.adamw(**{"learning_rate": 1e-2, "total_steps": 9, "warmup": 0} | options)


# --- the three problems, from rows to predictions


@pytest.mark.parametrize("paired", [False, True])
def test_training_moves_all_weights_and_predictions_keep_their_order(
    folder, problem, paired
):
    task = made(folder, problem)
    rows = rows_for(problem, paired)
    before = weights_of(task)
    task.compile(recipe(), **EAGER)
    history = task.fit(task.dataset(rows, 11, training=True), verbose=0).history
    assert np.isfinite(list(history.values())).all()
    for path, value in weights_of(task).items():
        if path.endswith(("kernel", "embeddings")):
            assert not np.array_equal(value, before[path]), path
    texts = list(zip(TEXTS, SECONDS, strict=True)) if paired else TEXTS
    logits = task.predict_rows(rows, batch_size=4)
    np.testing.assert_allclose(
        logits[::-1],
        task.predict_rows(rows.select(range(20, -1, -1)), batch_size=5),
        atol=1e-5,
    )
    assert len(task.predict_text(texts)) == len(logits) == 21
    expected = task.described(logits[3:4])[0]
    found = task.predict_text(texts[3:4])[0]
    assert found.keys() == expected.keys()
    for name, value in found.items():
        if isinstance(value, float):
            assert value == pytest.approx(expected[name], abs=1e-5)


def test_batches_of_like_length_and_in_order_have_the_same_loss(folder, problem):
    task = made(folder, problem)
    task.compile(**EAGER)
    rows = rows_for(problem)
    one, other = (
        task.evaluate(data, return_dict=True, verbose=0)
        for data in (
            task.dataset(rows, batch_size=4),
            task.dataset(rows, batch_size=21, group_by_length=True),
        )
    )
    assert one == pytest.approx(other, abs=1e-4)


def test_probabilities_equal_scipy_even_of_extreme_logits(folder):
    logits = np.array([[1e4, -1e4, 0], [1, 2, 3], [-1e30, 1e30, 1e30]], "float32")
    with np.errstate(over="raise", invalid="raise"):
        one = made(folder).probabilities(logits)
        many = made(folder, "multi_label").probabilities(logits)
    np.testing.assert_allclose(one[:2], softmax(logits[:2], -1), atol=1e-6)
    np.testing.assert_allclose(one.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(many, expit(logits), atol=1e-6)


def test_predictions_are_plain_values_under_the_labels_names(folder):
    logits = np.log(np.array([[1, 2, 1], [6, 1, 1]], "float32"))
    assert made(folder).described(logits) == [
        {"label": "good", "score": pytest.approx(0.5)},
        {"label": "bad", "score": pytest.approx(0.75)},
    ]
    many = made(folder, "multi_label").described(np.zeros((1, 3)) + [[-1, 0, 1]])
    scores = {"bad": 0.2689414, "good": 0.5, "meh": 0.7310586}
    assert many == [{"labels": ["good", "meh"], "scores": pytest.approx(scores)}]
    assert made(folder, "regression").described(np.ones((1, 1))) == [{"value": 1.0}]
    two = made(folder, "regression", labels=("joy", "anger"))
    told = [{"values": {"joy": 1.0, "anger": 2.0}}]
    assert two.described(np.array([[1, 2]])) == told
    json.dumps(many)


def test_several_numbers_a_row_are_learnt_together(folder):
    task = made(folder, "regression", labels=("joy", "anger"))
    rows = kft.from_lists(TEXTS[:4], [[0.5, 1.5]] * 4)
    task.compile(**EAGER)
    told = task.evaluate(task.dataset(rows), return_dict=True, verbose=0)
    expected = np.square(task.predict_rows(rows) - [[0.5, 1.5]]).mean()
    assert told["loss"] == pytest.approx(expected, rel=1e-5)


def test_predicting_nothing_gives_nothing_and_a_bare_text_is_refused(task):
    assert task.predict_text([]) == []
    with pytest.raises(SettingsError, match=r"\[text\]"):
        task.predict_text("a film")


# --- labels of rows


def test_rows_with_other_labels_than_the_task_are_refused(task):
    valid = kft.from_lists(TEXTS[:3], ["good", "awful", "goood"])
    with pytest.raises(DataError, match="(?s)2 labels.*'awful'.*'goood'"):
        task.dataset(valid)


@pytest.mark.parametrize("wrong", ["multi_label", "regression"])
def test_rows_of_another_problem_are_refused(task, wrong):
    with pytest.raises(DataError, match="a single_label task takes 'name'"):
        task.dataset(rows_for(wrong))


def test_more_numbers_than_the_task_predicts_are_refused(folder):
    rows = kft.from_lists(TEXTS[:2], [[0.5, 1.5]] * 2)
    with pytest.raises(DataError, match="has 2 numbers a row, but the task predicts 1"):
        made(folder, "regression").dataset(rows)


# --- loss and metrics


def torch_loss(task, rows, **options):
    logits = torch.tensor(task.predict_rows(rows))
    labels = torch.tensor(rows.label_array(task.labels)).long()
    return torch.nn.functional.cross_entropy(logits, labels, **options).item()


@pytest.mark.parametrize(
    "options, theirs",
    [
        ({}, {}),
        ({"label_smoothing": 0.2}, {"label_smoothing": 0.2}),
        (
            {"class_weight": {"meh": 3, "good": 0.5, "bad": 1}},
            {"weight": torch.tensor([1, 0.5, 3])},
        ),
    ],
)
def test_the_loss_equals_torch(task, options, theirs):
    rows = rows_for("single_label")
    task.compile(**options, **EAGER)
    told = task.evaluate(task.dataset(rows, 4), return_dict=True, verbose=0)
    expected = torch_loss(task, rows, **theirs)
    assert told["loss"] == pytest.approx(expected, rel=1e-5)
    assert set(told) == {"loss", "accuracy", "f1"}


@pytest.mark.parametrize(
    "weights, odd", [({"good": 1, "bad": 1}, "meh"), (dict.fromkeys("ab", 1), "a, b")]
)
def test_class_weights_for_other_labels_are_refused(task, weights, odd):
    with pytest.raises(SettingsError, match=f"differ in: .*{odd}"):
        task.compile(class_weight=weights)


def test_weights_and_smoothing_beside_a_loss_of_your_own_are_refused(folder, task):
    weights = dict.fromkeys(LABELS, 1.0)
    for options in ({"class_weight": weights}, {"label_smoothing": 0.1}):
        with pytest.raises(SettingsError, match="task's own"):
            task.compile(loss="mse", **options)
        with pytest.raises(SettingsError, match="not for regression"):
            made(folder, "regression").compile(**options)


def test_balanced_weights_can_be_given_as_they_are(task):
    rows = kft.from_lists(["a"] * 4, ["good", "good", "bad", "meh"])
    task.compile(class_weight=kft.balanced_weights(rows))
    assert task.item_loss.class_weight == pytest.approx([4 / 3, 2 / 3, 4 / 3])


@pytest.mark.parametrize(
    "loss",
    [
        "sparse_categorical_crossentropy",
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        lambda labels, logits: keras.ops.mean(logits, -1),
    ],
)
def test_a_users_own_loss_and_metrics_are_used(task, loss):
    metric = keras.metrics.SparseTopKCategoricalAccuracy(2, name="top2")
    task.compile("sgd", loss, metrics=[metric], **EAGER)
    data = task.dataset(rows_for("single_label"), 11, training=True)
    history = task.fit(data, verbose=0).history
    assert set(history) == {"loss", "top2"}
    assert isinstance(task.optimizer, keras.optimizers.SGD)


KERAS_LOSSES = {
    "single_label": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    "multi_label": keras.losses.BinaryCrossentropy(from_logits=True),
    "regression": "mse",
}


def test_a_keras_loss_with_row_weights_equals_the_tasks_own(folder, problem):
    task = made(folder, problem)
    weights = np.arange(21)
    data = task.dataset(rows_for(problem), 8, weights=weights)
    told = []
    for loss in (None, KERAS_LOSSES[problem]):
        task.compile(loss=loss, metrics=[], **EAGER)
        told.append(task.evaluate(data, verbose=0, return_dict=True)["loss"])
    assert told[1] == pytest.approx(told[0], rel=1e-5)


def test_weights_of_rows_count_in_loss_and_metrics(task):
    rows = rows_for("single_label")
    right = task.predict_rows(rows).argmax(1) == rows.label_array(LABELS)
    assert right.any() and not right.all()
    task.compile(**EAGER)
    data = task.dataset(rows, 8, weights=right.astype("float32"))
    told = task.evaluate(data, return_dict=True, verbose=0)
    assert told["accuracy"] == 1
    kept = rows.select(np.flatnonzero(right))
    assert told["loss"] == pytest.approx(torch_loss(task, kept), rel=1e-5)


# --- fit


class Rates(keras.callbacks.Callback):
    """The learning rate of each step."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))


def test_the_schedule_is_filled_in_and_a_second_fit_starts_anew(task):
    task.compile(kft.adamw(1e-3, warmup=0), **EAGER)
    data = task.dataset(rows_for("single_label"), 11, training=True)
    for fit in (1, 2):
        note = Rates()
        task.fit(data, epochs=2, callbacks=[note], verbose=0)
        assert note.rates == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])
        assert float(task.optimizer.learning_rate) == 0
        assert int(task.optimizer.iterations) == 4 * fit


def test_a_schedule_over_data_without_a_length_is_refused(task):
    task.compile()
    data = task.dataset(rows_for("single_label"), 11, training=True).repeat()
    with pytest.raises(SettingsError, match="steps_per_epoch"):
        task.fit(data)


def test_plain_keras_callbacks_work(task, tmp_path):
    path = str(tmp_path / "best.weights.h5")
    task.compile(recipe(learning_rate=0.3), **EAGER)
    data = task.dataset(rows_for("single_label"), 21, training=True)
    valid = task.dataset(rows_for("single_label"), 21)
    callbacks = [
        keras.callbacks.EarlyStopping("val_loss", 0, 1, restore_best_weights=True),
        keras.callbacks.ModelCheckpoint(
            path, "val_loss", save_best_only=True, save_weights_only=True
        ),
    ]
    options = {"validation_data": valid, "epochs": 9, "callbacks": callbacks}
    history = task.fit(data, verbose=0, **options).history
    best = min(history["val_loss"])
    assert history["val_loss"][-1] > best
    for restore in (lambda: None, lambda: task.load_weights(path)):
        restore()
        told = task.evaluate(valid, return_dict=True, verbose=0)
        assert told["loss"] == pytest.approx(best, rel=1e-5)


def test_arrays_train_as_batches_of_rows_do(folder):
    ends = []
    for as_arrays in (True, False):
        task = made(folder)
        task.compile(recipe(), **EAGER)
        data = task.dataset(rows_for("single_label"), batch_size=21)
        if as_arrays:
            ((inputs, labels),) = data
            arrays = {name: value.numpy() for name, value in inputs.items()}
            task.fit(arrays, labels.numpy(), batch_size=21, shuffle=False, verbose=0)
        else:
            task.fit(data, verbose=0)
        ends.append(weights_of(task))
    for one, other in zip(*(end.values() for end in ends), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_bits(folder):
    ends = []
    for _ in range(2):
        task = made(folder)
        task.compile(recipe(), **EAGER)
        data = task.dataset(rows_for("single_label"), 6, training=True, seed=3)
        losses = task.fit(data, epochs=2, verbose=0).history["loss"]
        ends.append((losses, *(value.tobytes() for value in weights_of(task).values())))
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    "options", [{"jit_compile": True}, {"steps_per_execution": 2}], ids=str
)
def test_keras_options_of_compile_change_nothing(folder, options):
    still = {"problem": "single_label", "labels": LABELS}
    ends = []
    for choice in (EAGER, options):
        task = made(folder, **still)
        for layer in task._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        task.compile(keras.optimizers.SGD(0.1), **choice)
        task.fit(task.dataset(rows_for("single_label"), 6), verbose=0)
        ends.append(weights_of(task))
    for path, one in ends[0].items():
        if "seed" not in path:
            np.testing.assert_allclose(ends[1][path], one, atol=1e-5)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_close_to_full_precision(folder, precision):
    losses = []
    for kind in ("float32", precision):
        task = made(folder, precision=kind)
        task.compile(recipe(learning_rate=1e-3), **EAGER)
        data = task.dataset(rows_for("single_label"), 11, training=True)
        losses += task.fit(data, verbose=0).history["loss"]
    assert losses[1] == pytest.approx(losses[0], abs=0.05)
    assert {weight.dtype for weight in task.trainable_weights} == {"float32"}
    assert task.backbone.compute_dtype == precision.removeprefix("mixed_")
    assert task.predict_rows(rows_for("single_label")).dtype == "float32"
    scaled = isinstance(task.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    "options, message",
    [
        ({"class_weight": {0: 1.0}}, "by label name"),
        ({"validation_split": 0.1}, "split the rows"),
    ],
)
def test_what_the_exact_step_cannot_honour_is_refused_by_fit(task, options, message):
    task.compile()
    with pytest.raises(SettingsError, match=message):
        task.fit(task.dataset(rows_for("single_label")), **options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"loss_weights": [2.0]}, "one output"),
        ({"weighted_metrics": ["mse"]}, "rows' weights"),
        ({"micro_batches": 0}, "at least 1"),
        ({"loss": ["mse", "mse"]}, "give one loss"),
    ],
)
def test_what_the_exact_step_cannot_honour_is_refused_by_compile(
    task, options, message
):
    with pytest.raises(SettingsError, match=message):
        task.compile(**options)


# --- checkpoints


def test_transformers_loads_what_is_saved(folder, problem, tmp_path):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    task = made(folder, problem)
    task.save_pretrained(tmp_path / "saved")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    names = dict(enumerate(LABELS if problem != "regression" else ["value"]))
    assert theirs.config.id2label == names
    assert theirs.config.label2id == {name: i for i, name in names.items()}
    assert theirs.config.problem_type.startswith(problem)
    inputs = AutoTokenizer.from_pretrained(tmp_path / "saved")(
        TEXTS, padding=True, return_tensors="np"
    )
    expected = run_torch(theirs.eval(), {**inputs}).logits
    found = task.predict_rows(kft.from_lists(TEXTS))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.fixture(scope="module")
def finetuned(folder, tmp_path_factory):
    """A folder with a head for LABELS, and what its model predicts."""
    task = made(folder)
    place = tmp_path_factory.mktemp("finetuned")
    task.save_pretrained(place)
    return place, task.predict_rows(kft.from_lists(TEXTS))


def test_a_head_is_loaded_with_its_labels_and_problem(finetuned, folder, tmp_path):
    place, logits = finetuned
    task = kft.TextClassifier.from_pretrained(place)
    assert (task.labels, task.problem, task.fresh_weights) == (
        LABELS,
        "single_label",
        (),
    )
    np.testing.assert_array_equal(task.predict_rows(kft.from_lists(TEXTS)), logits)
    made(folder, "multi_label").save_pretrained(tmp_path)
    assert kft.TextClassifier.from_pretrained(tmp_path).problem == "multi_label"


def test_a_head_of_the_same_labels_keeps_their_order(finetuned):
    task = kft.TextClassifier.from_pretrained(finetuned[0], labels=LABELS[::-1])
    assert task.labels == LABELS
    rows = kft.from_lists(["a", "b", "c"], ["meh", "bad", "good"])
    assert task.label_array(rows).tolist() == [2, 0, 1]


def test_a_head_of_other_labels_is_refused_by_both_names(finetuned):
    message = "for the labels bad, good, meh, but asked for are yes, no.*new_head=True"
    with pytest.raises(CheckpointError, match=message):
        kft.TextClassifier.from_pretrained(finetuned[0], labels=("yes", "no"))


def test_a_new_head_is_fresh_in_its_last_layer_alone(finetuned):
    keras.utils.set_random_seed(7)
    task = kft.TextClassifier.from_pretrained(
        finetuned[0], labels=("yes", "no"), new_head=True
    )
    assert task.labels == ("yes", "no")
    assert {path.split("/")[0] for path in task.fresh_weights} == {"logits"}
    assert task.predict_rows(kft.from_lists(TEXTS)).shape == (21, 2)


def test_nameless_labels_of_a_checkpoint_are_replaced(folder, tmp_path):
    made(folder, labels=[f"LABEL_{i}" for i in range(3)]).save_pretrained(tmp_path)
    task = kft.TextClassifier.from_pretrained(tmp_path, labels=LABELS)
    assert task.labels == LABELS and task.fresh_weights == ()
    with pytest.raises(CheckpointError, match="LABEL_0, LABEL_1, LABEL_2, but asked"):
        kft.TextClassifier.from_pretrained(tmp_path, labels=("yes", "no"))


def test_the_weights_of_a_head_can_be_read(task):
    shapes = {
        path.split("/", 1)[-1]: weight.shape
        for path, weight in ((w.path, w) for w in task.head.weights)
        if "seed" not in path
    }
    assert {name: tuple(shape) for name, shape in shapes.items()} == {
        "pooler/kernel": (32, 32),
        "pooler/bias": (32,),
        "logits/kernel": (32, 3),
        "logits/bias": (3,),
    }


@pytest.mark.parametrize(
    "options, message",
    [
        ({"labels": None}, "names no labels"),
        ({"labels": ["good"]}, "two or more"),
        ({"labels": ["good", "good"]}, "two or more different"),
        ({"problem": "tagging"}, "known: single_label, multi_label, regression"),
        ({"precision": "float16"}, "known: float32, mixed_bfloat16"),
    ],
)
def test_settings_outside_what_they_may_be_are_refused(folder, options, message):
    options = {"labels": LABELS} | options
    with pytest.raises(SettingsError, match=message):
        kft.TextClassifier.from_pretrained(folder, **options)


def test_longer_texts_are_cut_to_max_length(folder):
    task = made(folder, max_length=8)
    data = task.dataset(kft.from_lists(["good " * 50, "bad"]))
    assert next(iter(data))["input_ids"].shape == (2, 8)
    assert data.batches.examples.truncated == 1
    with pytest.raises(CheckpointError, match="5 to 40 tokens"):
        made(folder, max_length=41)


def test_a_tokenizer_larger_than_the_model_is_refused(tmp_path):
    save_tiny_bert(tmp_path, num_layers=1, vocab_size=60)
    with pytest.raises(CheckpointError, match=r"has \d+ ids but the model only 60"):
        made(tmp_path)
