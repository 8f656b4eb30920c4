"""What is written for TensorBoard is what happened."""

import html
import re

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugin_util import markdown_to_safe_html
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util.tensor_util import make_ndarray
from tiny_tasks import LABELS, tiny_rows

import kerasft as kft
from kerasft._errors import SettingsError
from kerasft.training.report import report
from kerasft.training.summaries import (
    THRESHOLDS,
    Summaries,
    counts_by_threshold,
    markdown_table,
)

ROWS, BATCH, EPOCHS = 42, 8, 2
STEPS = 6  # of an epoch


class StepRecord(keras.callbacks.Callback):
    """Loss and norm of every single step, read after it."""

    def __init__(self):
        super().__init__()
        self.losses, self.norms, self.rates = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        optimizer = self.model.optimizer
        self.losses.append(logs["loss"])  # The mean of the epoch so far.
        self.norms.append(float(optimizer.gradient_norm))
        self.rates.append(float(optimizer.learning_rate))


def read(folder):
    """{tag: {step: value}} of all of a run."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return {
        tag: {e.step: make_ndarray(e.tensor_proto) for e in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }


def plugin_of(folder, tag):
    events = EventAccumulator(str(folder)).Reload()
    return events.SummaryMetadata(tag).plugin_data.plugin_name


@pytest.fixture(scope="module")
def fitted(tiny_bert, tmp_path_factory):
    """A task after two epochs, the folder of its logs, its history and steps."""
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("logs") / "films"
    task = kft.TextClassifier.from_pretrained(tiny_bert, labels=LABELS)
    task.compile(optimizer=kft.adamw(1e-3))
    valid = tiny_rows(30, seed=1)
    record = StepRecord()
    board = kft.TensorBoard(folder, update_freq=4, validation=valid, examples=3)
    train = task.dataset(tiny_rows(ROWS), BATCH, training=True, max_shapes=2)
    history = task.fit(
        train,
        validation_data=task.dataset(valid, max_shapes=1),
        epochs=EPOCHS,
        callbacks=[board, record],
        verbose=0,
    )
    return task, folder, valid, train, history.history, record


def test_every_value_of_the_history_is_there(fitted):
    _, folder, _, _, history, _ = fitted
    runs = {"": read(folder / "train"), "val_": read(folder / "validation")}
    for name, values in history.items():
        run = runs["val_" if name.startswith("val_") else ""]
        written = run[f"epoch/{name.removeprefix('val_')}"]
        assert list(written) == [1, 2]
        np.testing.assert_allclose(list(written.values()), values, rtol=1e-6)


def test_points_are_written_every_few_steps_and_at_the_end_of_an_epoch(fitted):
    run = read(fitted[1] / "train")
    for tag in ("loss", "learning_rate", "gradient_norm"):
        assert list(run[f"step/{tag}"]) == [4, 6, 10, 12]


def test_a_point_is_the_mean_loss_since_the_last_one(fitted):
    _, folder, _, _, _, record = fitted
    written = read(folder / "train")["step/loss"]
    rows = np.array([8, 8, 8, 8, 8, 2])
    for epoch in range(EPOCHS):
        means = np.array(record.losses[epoch * STEPS : (epoch + 1) * STEPS])
        # Batches are of 8 rows but for one of 2, which may come anywhere.
        assert means.shape == (STEPS,)
        first, rest = written[epoch * STEPS + 4], written[epoch * STEPS + 6]
        done = _rows_done(fitted, epoch)
        assert done[-1] == rows.sum()
        np.testing.assert_allclose(first, means[3], rtol=1e-5)
        last = (means[5] * done[5] - means[3] * done[3]) / (done[5] - done[3])
        np.testing.assert_allclose(rest, last, rtol=1e-4)


def _rows_done(fitted, epoch):
    plan = fitted[3].batches.plan
    order = plan.order(epoch)
    return np.cumsum([len(plan.batch(order, step)[0]) for step in range(len(plan))])


def test_norm_and_rate_are_those_of_the_step(fitted):
    _, folder, _, _, _, record = fitted
    run = read(folder / "train")
    for step in (4, 6, 10, 12):
        np.testing.assert_allclose(
            run["step/gradient_norm"][step], record.norms[step - 1], rtol=1e-6
        )
        np.testing.assert_allclose(
            run["step/learning_rate"][step], record.rates[step - 1], rtol=1e-6
        )


def test_speeds_agree_with_each_other(fitted):
    _, folder, _, train, _, _ = fitted
    run = read(folder / "train")
    speeds = {
        name: run[f"speed/{name}_per_second"]
        for name in ("steps", "examples", "tokens")
    }
    assert list(speeds["steps"]) == [4, 6, 10, 12]
    batches = train.batches
    order = batches.plan.order(1)
    chosen = np.concatenate([batches.plan.batch(order, step)[0] for step in range(4)])
    examples = speeds["examples"][10] / speeds["steps"][10] * 4
    tokens = speeds["tokens"][10] / speeds["steps"][10] * 4
    np.testing.assert_allclose(examples, len(chosen), rtol=1e-4)
    np.testing.assert_allclose(
        tokens, batches.examples.lengths[chosen].sum(), rtol=1e-4
    )


def test_the_padding_share_is_written_once(fitted):
    _, folder, _, train, _, _ = fitted
    (share,) = read(folder / "train")["data/padding_share"].values()
    np.testing.assert_allclose(share, train.batches.plan.padding_share(0), rtol=1e-6)


def test_settings_and_last_values_are_there_for_the_hparams_tab(fitted):
    _, folder, _, _, history, _ = fitted
    run = folder / "final"
    written = read(run)
    for name, values in history.items():
        np.testing.assert_allclose(
            written[f"final/{name}"][EPOCHS], values[-1], rtol=1e-6
        )
    events = EventAccumulator(str(run)).Reload()
    content = events.SummaryMetadata(
        hparams_metadata.SESSION_START_INFO_TAG
    ).plugin_data.content
    start = hparams_metadata.parse_session_start_info_plugin_data(content)
    assert start.group_name == "films"
    told = {
        name: value.number_value or value.string_value
        for name, value in start.hparams.items()
    }
    assert told == {
        "model": "bert",
        "epochs": 2,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "warmup": 0.1,
        "schedule": "linear",
        "weight_decay": 0.01,
        "clip_norm": 1.0,
    }


def test_the_confusion_matrix_is_an_image(fitted):
    folder = fitted[1] / "validation"
    width, height, png = read(folder)["report/confusion_matrix"][EPOCHS]
    assert plugin_of(folder, "report/confusion_matrix") == "images"
    assert png.startswith(b"\x89PNG")
    assert int.from_bytes(png[16:20], "big") == int(width)
    assert int.from_bytes(png[20:24], "big") == int(height)


def test_curves_and_mistakes_are_those_of_the_report(fitted):
    task, folder, valid, _, _, _ = fitted
    run = read(folder / "validation")
    chances = task.probabilities(task.predict_rows(valid))
    made = report(LABELS, "single_label", task.label_array(valid), chances)
    for name, (true, scores) in made.curve_data().items():
        written = run[f"precision_recall/{name}"][EPOCHS]
        np.testing.assert_allclose(
            written, counts_by_threshold(true, scores), atol=1.01
        )
        assert (
            plugin_of(folder / "validation", f"precision_recall/{name}") == "pr_curves"
        )
    table = run["report/mistakes"][EPOCHS].item().decode()
    lines = table.splitlines()[2:]
    assert len(lines) == 3
    for line, mistake in zip(lines, made.mistakes(3), strict=True):
        text, label, predicted, score, _ = _cells(line)
        assert text == valid.texts()[mistake.row]
        assert (label, predicted, score) == (
            mistake.label,
            mistake.predicted,
            f"{mistake.score:.3f}",
        )


def _cells(line):
    cells = line.strip("| ").split(" | ")
    return [html.unescape(cell.replace("<br>", " ")) for cell in cells]


@pytest.mark.parametrize(
    "problem, labels, tags",
    [
        (
            "multi_label",
            ("bad", "good"),
            {"report/f1_by_label", "precision_recall/(micro)"},
        ),
        ("regression", ("value",), {"report/scatter", "report/residuals"}),
    ],
)
def test_other_problems_have_their_own_figures(
    problem, labels, tags, tiny_bert, tmp_path
):
    texts = tiny_rows(16).texts()
    truth = [[n for n in labels if n in t] for t in texts]
    if problem == "regression":
        truth = [float(len(t)) for t in texts]
    rows = kft.from_lists(texts, truth)
    task = kft.TextClassifier.from_pretrained(tiny_bert, labels=labels, problem=problem)
    task.compile()
    board = kft.TensorBoard(
        tmp_path, validation=rows, hparams={"peft": None, "rank": 8}
    )
    task.fit(
        task.dataset(rows, 8, training=True, max_shapes=1), callbacks=[board], verbose=0
    )
    run = read(tmp_path / "validation")
    assert tags | {"report/table", "report/mistakes"} <= set(run)


def test_a_dataset_of_the_users_own_has_no_padding_share(task, tmp_path):
    import tensorflow as tf

    ids = np.full((8, 6), 7, "int32")
    data = tf.data.Dataset.from_tensor_slices(
        ({"input_ids": ids, "attention_mask": np.ones_like(ids)}, np.zeros(8, "int32"))
    ).batch(4)
    task.compile(optimizer=keras.optimizers.SGD(0.01))
    task.fit(data, callbacks=[kft.TensorBoard(tmp_path, update_freq=1)], verbose=0)
    run = read(tmp_path / "train")
    assert {"step/loss", "step/learning_rate", "speed/steps_per_second"} <= set(run)
    absent = {"data/padding_share", "speed/tokens_per_second", "step/gradient_norm"}
    assert not absent & set(run)
    assert not (tmp_path / "validation").exists()


def test_a_process_that_is_not_the_chief_writes_nothing(tmp_path):
    run = Summaries(tmp_path / "run", writes=False)
    run.numbers({"a": 1.0}, 0)
    run.settings({"a": 1}, "name")
    run.succeeded()
    run.flush()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settings", [{"update_freq": 0}, {"examples": -1}])
def test_numbers_outside_what_they_may_be_are_refused(settings, tmp_path):
    with pytest.raises(SettingsError, match="at least"):
        kft.TensorBoard(tmp_path, **settings)


def test_counts_at_a_threshold_are_those_of_the_definition():
    random = np.random.default_rng(0)
    true, scores = random.integers(0, 2, 500), np.round(random.random(500), 2)
    counts = counts_by_threshold(true, scores)
    for i in (0, 37, 100, 160, THRESHOLDS - 1):
        chosen = scores >= np.linspace(0, 1, THRESHOLDS)[i]
        hits, alarms = (chosen & (true == 1)).sum(), (chosen & (true == 0)).sum()
        expected = [hits, alarms, 500 - true.sum() - alarms, true.sum() - hits]
        np.testing.assert_array_equal(counts[:4, i], expected)
        precision = hits / (hits + alarms) if hits + alarms else 1.0
        np.testing.assert_allclose(
            counts[4:, i], [precision, hits / true.sum()], rtol=1e-6
        )


@pytest.mark.parametrize(
    "text",
    [
        '<script>alert(1)</script> <b>bold</b> &amp; "quoted"',
        "a|b *bold* _it_ **x** `code` [link](http://x.y) ![i](http://x/y.png)",
        "# heading\n- item\n1. one\n> quote\n| pipe | \\ \\|",
        "https://example.org me@example.org ~~gone~~ {x} $5",
        "不明 مرحبا 🙂 " * 20,
    ],
)
def test_texts_are_shown_as_they_are(text):
    shown = markdown_to_safe_html(markdown_table(("text", "label"), [(text, "a|b")]))
    cells = re.findall(r"<td>(.*?)</td>", shown, re.DOTALL)
    plain = [html.unescape(re.sub(r"<br\s*/?>", " ", cell)) for cell in cells]
    assert [" ".join(cell.split()) for cell in plain] == [" ".join(text.split()), "a|b"]


def test_a_long_text_is_cut():
    table = markdown_table(("text",), [("word " * 300,)])
    assert "…" in table and len(table) < 400
