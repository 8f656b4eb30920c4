"""The contract of a task, for every entry of TASKS.

A new task adds its rows and arguments here; all else is asked of it as of the others.
"""

import gc
import inspect
import json
import weakref

import keras
import numpy as np
import pytest
from tiny_encoders import save_torch, torch_model
from tiny_tasks import (
    LABELS,
    TAGS,
    save_tiny_bert,
    tiny_choices,
    tiny_documents,
    tiny_masked,
    tiny_pairs,
    tiny_questions,
    tiny_relations,
    tiny_rows,
    tiny_tagged,
    tiny_triples,
)
from tiny_tokenizers import save_tokenizer

import kerasft as kft
from kerasft._errors import CheckpointError, KerasftError
from kerasft.models import FAMILIES
from kerasft.tasks import TASKS
from kerasft.tasks.task import Task

# Of each task: rows, what `from_pretrained` needs, and what is asked of rows.
ROWS = {
    "text_classifier": tiny_rows,
    "token_classifier": tiny_tagged,
    "question_answerer": tiny_questions,
    "masked_lm": tiny_masked,
    "causal_lm": tiny_documents,
    "text_embedder": tiny_pairs,
    "multiple_choice": tiny_choices,
    "pretraining": tiny_documents,
    "few_shot_classifier": tiny_rows,
    "replaced_token_detection": tiny_documents,
    "relation_extractor": tiny_relations,
    "triple_extractor": tiny_triples,
}
ARGUMENTS = {
    "text_classifier": {"labels": LABELS},
    "token_classifier": {"labels": TAGS, "scheme": "IOB2", "crf": True},
    "question_answerer": {},
    "masked_lm": {},
    "causal_lm": {},
    "text_embedder": {"pooling": "mean"},
    "multiple_choice": {},
    "pretraining": {},
    "few_shot_classifier": {"labels": LABELS},
    "replaced_token_detection": {},
    "relation_extractor": {"labels": LABELS, "no_relation": "meh"},
    "triple_extractor": {"labels": ("dislikes", "of")},
}
QUESTIONS = {
    "text_classifier": lambda rows: rows.texts(),
    "token_classifier": lambda rows: rows.column("words"),
    "question_answerer": lambda rows: [rows[i] for i in range(len(rows))],
    "masked_lm": lambda rows: rows.texts(),
    "causal_lm": lambda rows: rows.texts(),
    "text_embedder": lambda rows: rows.texts(),
    "multiple_choice": lambda rows: [rows[i] for i in range(len(rows))],
    "pretraining": lambda rows: list(zip(rows.texts(), rows.texts(), strict=True)),
    "few_shot_classifier": lambda rows: rows.texts(),
    "replaced_token_detection": lambda rows: rows.texts(),
    "relation_extractor": lambda rows: [rows[i] for i in range(len(rows))],
    "triple_extractor": lambda rows: rows.texts(),
}


def assert_same_answers(one, other, **tolerance):
    """Arrays, or of each row a tuple of arrays."""
    if isinstance(one, np.ndarray):
        one, other = [(one,)], [(other,)]
    for left, right in zip(one, other, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_allclose(a, b, **tolerance)


@pytest.fixture(params=TASKS)
def name(request):
    return request.param


def tiny_models(make_folder, **options):
    """Random models without a head: model type -> folder."""
    keras.utils.set_random_seed(0)
    return {
        model_type: save_tiny_bert(make_folder(model_type), model_type, **options)
        for model_type in ("bert", "electra", "gpt2")
    }


def served(name, folders):
    task = TASKS[name]
    return next(folders[m] for m in folders if task.serves(FAMILIES[m]))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return tiny_models(tmp_path_factory.mktemp)


@pytest.fixture(scope="module")
def folders_without_dropout(tmp_path_factory):
    parts = ("hidden", "attention", "projection")
    still = {f"{part}_dropout": 0.0 for part in parts}
    return tiny_models(tmp_path_factory.mktemp, **still)


@pytest.fixture
def folder(name, folders):
    return served(name, folders)


@pytest.fixture
def task(name, folder):
    return made(name, folder)


def made(name, folder, **options):
    keras.utils.set_random_seed(1)
    return TASKS[name].from_pretrained(folder, **ARGUMENTS[name], **options)


def files_of(folder):
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def traced_graphs():
    """How many graphs of TensorFlow are alive; each holds the weights it reads."""
    gc.collect()
    return sum(type(one).__name__ == "FuncGraph" for one in gc.get_objects())


def test_a_task_that_nobody_holds_any_more_frees_its_weights(name, folder):
    before, rows = traced_graphs(), ROWS[name]()
    task = made(name, folder)
    task.compile()
    task.fit(task.dataset(rows, 4, training=True, seed=0), verbose=0)
    task.evaluate(task.dataset(rows, 4), verbose=0)
    weights = [weakref.ref(one) for one in (*task.weights, *task.optimizer.variables)]
    del task
    assert traced_graphs() <= before
    assert not [one for one in weights if one() is not None]


def test_it_is_public_and_described(name):
    task = TASKS[name]
    assert issubclass(task, Task) and not inspect.isabstract(task)
    assert getattr(kft, task.__name__) is task
    for method in ("from_pretrained", "label_array", "described", "export"):
        assert inspect.getdoc(getattr(task, method))


def test_it_is_fed_trained_and_asked(name, task):
    rows = ROWS[name](20)
    batches = task.dataset(rows, batch_size=8, training=True)
    task.compile(kft.adamw(1e-3, total_steps=3, warmup=0), run_eagerly=True)
    before = [weight.numpy() for weight in task.trainable_weights]
    history = task.fit(batches, validation_data=task.dataset(rows), verbose=0).history
    assert {"loss", "val_loss"} < set(history)
    assert np.isfinite(list(history.values())).all()
    moved = [
        not np.array_equal(old, weight.numpy())
        for old, weight in zip(before, task.trainable_weights, strict=True)
    ]
    assert np.mean(moved) > 0.9
    told = task.evaluate(task.dataset(rows), verbose=0, return_dict=True)
    assert set(told) == {key for key in history if not key.startswith("val_")}
    questions = QUESTIONS[name](rows)
    answers = task.predict_text(questions)
    assert len(answers) == len(questions)
    json.dumps(answers)


def test_its_whole_step_is_one_program_for_xla(name, folder):
    """What a TPU asks for: no shape but a static one, and nothing done by the host."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("JAX compiles every step")
    task = made(name, folder, precision="mixed_bfloat16")
    data = task.dataset(ROWS[name](11), 8, training=True, static_shapes=True)
    task.compile(kft.adamw(1e-3, total_steps=3), run_eagerly=True)
    batch = next(iter(data))
    task.train_on_batch(*batch)  # Makes the variables.
    for step in (task.train_step, task.test_step):
        lowered = tf.function(step, jit_compile=True)
        program = lowered.experimental_get_compiler_ir(batch)(stage="hlo")
        assert "ENTRY" in program and "bf16" in program


def test_a_last_batch_filled_up_to_the_shape_of_all_changes_no_number(
    name, folders_without_dropout
):
    folder, told = served(name, folders_without_dropout), []
    for options in ({"max_shapes": 1}, {"static_shapes": True}):
        keras.utils.set_random_seed(0)
        task = made(name, folder)
        task.compile(keras.optimizers.SGD(0.1))
        data = task.dataset(ROWS[name](11), 4, **options)
        values = task.evaluate(data, return_dict=True, verbose=0)
        task.fit(data, epochs=2, verbose=0)
        weights = [keras.ops.convert_to_numpy(w).ravel() for w in task.weights]
        told.append((values, np.concatenate(weights), data))
    (plain, before, few), (filled, after, data) = told
    assert filled == pytest.approx(plain, rel=1e-5, abs=1e-6)
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-5)
    shapes = {str(keras.tree.map_structure(np.shape, batch)) for batch in data}
    assert len(shapes) == 1 and len(data) == len(few)


def test_what_is_saved_loads_with_the_same_numbers(name, task, tmp_path):
    task.save_pretrained(tmp_path / "saved")
    again = TASKS[name].from_pretrained(tmp_path / "saved")
    assert again.fresh_weights == ()
    rows = ROWS[name](9)
    answers = task.predict_rows(rows), again.predict_rows(rows)
    assert_same_answers(*answers, rtol=0, atol=0)


def test_its_archive_gives_the_same_task_and_its_adapter_trains_on(
    name, folder, tmp_path
):
    rows, task = ROWS[name](9), made(name, folder)
    task.add_adapter(kft.LoRA(rank=2, targets="all-linear"), "mine")
    task.compile(kft.AdamW(1e-2), run_eagerly=True)
    task.train_on_batch(*next(iter(task.dataset(rows, 9, training=True))))
    task.save(tmp_path / "task.keras")
    again = keras.saving.load_model(tmp_path / "task.keras")
    assert type(again) is type(task) and again.active_adapter == "mine"
    assert_same_answers(
        task.predict_rows(rows), again.predict_rows(rows), rtol=1e-5, atol=1e-6
    )
    before = [keras.ops.convert_to_numpy(w) for w in again.trainable_weights]
    again.compile(kft.AdamW(1e-2), run_eagerly=True)
    again.train_on_batch(*next(iter(again.dataset(rows, 9, training=True))))
    moved = [
        abs(keras.ops.convert_to_numpy(w) - old).max() > 0
        for w, old in zip(again.trainable_weights, before, strict=True)
        if "lora" in w.path
    ]
    assert moved and all(moved)


def test_saving_again_gives_the_same_bytes(name, task, tmp_path):
    task.save_pretrained(tmp_path / "one")
    again = TASKS[name].from_pretrained(tmp_path / "one")
    again.save_pretrained(tmp_path / "two")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    task.save_pretrained(tmp_path / "two")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_it_reads_back_what_it_wrote(name, task, tmp_path):
    rows = ROWS[name](9)
    answers, weights = task.predict_rows(rows), [w.numpy() for w in task.weights]
    task.save_pretrained(tmp_path / "saved")
    for weight in task.weights:
        weight.assign(weight * 2 + 0.1)
    task.load_saved(tmp_path / "saved")
    for weight, old in zip(task.weights, weights, strict=True):
        np.testing.assert_array_equal(weight, old, weight.path)
    assert_same_answers(answers, task.predict_rows(rows), rtol=0, atol=0)


def test_a_failed_save_leaves_the_earlier_one(name, task, tmp_path, monkeypatch):
    task.save_pretrained(tmp_path / "saved")
    before = files_of(tmp_path / "saved")

    def full(*_):
        raise OSError(28, "No space left on device")

    task.weights[0].assign(task.weights[0] + 1)
    monkeypatch.setattr(type(task.tokenizer), "save", full)
    with pytest.raises(OSError, match="No space left"):
        task.save_pretrained(tmp_path / "saved")
    assert files_of(tmp_path / "saved") == before
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def pairs_of_task_and_family():
    """All pairs; quick are so many that each task and each family is in one."""
    for i, name in enumerate(TASKS):
        for j, family in enumerate(FAMILIES):
            quick = name == "text_classifier" or i % len(FAMILIES) == j
            marks = () if quick else pytest.mark.slow
            yield pytest.param(name, family, marks=marks)


@pytest.mark.parametrize("name, family", pairs_of_task_and_family())
def test_it_runs_on_every_family_that_has_a_head_for_it(name, family, tmp_path):
    save_torch(torch_model(family), tmp_path)
    save_tokenizer(tmp_path, typed="roberta" not in family)
    if not TASKS[name].serves(FAMILIES[family]):
        with pytest.raises(CheckpointError, match="has no head"):
            made(name, tmp_path)
        return
    task = made(name, tmp_path)
    assert task.fresh_weights or not task.head.weights
    task.compile(kft.adamw(1e-3, total_steps=1, warmup=0), run_eagerly=True)
    rows = ROWS[name](5)
    loss = task.fit(task.dataset(rows, training=True), verbose=0).history["loss"]
    assert np.isfinite(loss).all()


@pytest.mark.parametrize("broken", ["nowhere", "empty", "no weights", "no tokenizer"])
def test_a_folder_that_is_no_checkpoint_is_refused(name, folder, broken, tmp_path):
    kept = {
        "nowhere": None,
        "empty": (),
        "no weights": ("config.json", "tokenizer.json"),
        "no tokenizer": ("config.json", "model.safetensors"),
    }[broken]
    place = tmp_path / "checkpoint"
    if kept is not None:
        place.mkdir()
        for file in kept:
            (place / file).write_bytes((folder / file).read_bytes())
    with pytest.raises(KerasftError, match="checkpoint"):
        made(name, str(place))


def test_its_logits_do_not_depend_on_padding_or_neighbours(name, task):
    rows = ROWS[name](9)
    together = task.predict_rows(rows, batch_size=9)
    alone = [task.predict_rows(rows.select([i]))[0] for i in range(3)]
    if isinstance(together, np.ndarray):
        alone = np.array(alone)
    assert_same_answers(together[:3], alone, atol=1e-5)
