"""Bottleneck adapters against the `adapters` library: logits, steps, files."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import load_file, save_file
from tensorflow_or_skip import tf
from tiny_tasks import LABELS, save_tiny_bert
from tiny_tokenizers import save_tokenizer
from transformers import AutoModelForCausalLM

import kerasft as kft
from kerasft._errors import CheckpointError, SettingsError
from kerasft.layers.packing import packed_tokens
from kerasft.peft import METHODS, Houlsby, Parallel, Pfeiffer
from kerasft.peft.adapters_config import factor_for
from kerasft.peft.quantised import quantise
from kerasft.workflows.inspect_adapter import adapter_in

sys.path.insert(0, str(Path(__file__).parent / "golden"))
import make_bottleneck as golden  # noqa: E402

EXACT = {"rtol": 0, "atol": 1e-5}
KINDS = (Houlsby, Pfeiffer, Parallel)
STEPPED = [
    ("bert", "houlsby"),
    ("distilbert", "pfeiffer"),
    ("gpt2", "parallel"),
    ("llama", "channel"),
]
FILES = {
    "adapter.safetensors",
    "adapter_config.json",
    "head_config.json",
    "kerasft_adapter.json",
    "model_head.safetensors",
}


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Folder of the base of a family, made when it is first asked for."""
    made = {}

    def folder_of(model_type):
        if model_type not in made:
            made[model_type] = tmp_path_factory.mktemp(model_type)
            golden.base_model(model_type).save_pretrained(made[model_type])
            save_tokenizer(made[model_type])
        return made[model_type]

    return folder_of


@pytest.fixture(scope="module")
def headless(tmp_path_factory):
    """Folder of a tiny BERT of two layers without a head."""
    keras.utils.set_random_seed(0)
    return save_tiny_bert(tmp_path_factory.mktemp("headless"))


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    """The same without dropout."""
    keras.utils.set_random_seed(0)
    none = {"hidden_dropout": 0.0, "attention_dropout": 0.0}
    return save_tiny_bert(tmp_path_factory.mktemp("still"), **none)


def classifier(bases, model_type):
    task = kft.TextClassifier.from_pretrained(bases(model_type))
    task.run_eagerly = True
    return task


def told(model_type, settings):
    """The library's folder of a case, and what it computed."""
    case = golden.HERE / f"{model_type}-{settings}"
    return case, load_file(f"{case}.safetensors")


def logits(task, model_type):
    return np.asarray(task(golden.batch_for(model_type)))


def every_case(quick=golden.CASES):
    """Run a test for each case; those that are not quick with the long proofs."""
    return pytest.mark.parametrize(
        ("model_type", "settings"),
        [
            pytest.param(*case, marks=() if case in quick else pytest.mark.slow)
            for case in golden.CASES
        ],
    )


def shaken(task, seed=3):
    """Move all that is trained, so that a fresh adapter's zeros are gone."""
    random = np.random.RandomState(seed)
    for weight in task.trainable_variables:
        weight.assign(weight + random.normal(0, 0.2, weight.shape))


def changed_config(folder, target, **changes):
    """A copy of an adapter's folder with other fields in its config."""
    shutil.copytree(folder, target)
    path = target / "adapter_config.json"
    content = json.loads(path.read_text())
    content["config"] |= changes
    path.write_text(json.dumps(content))
    return target


# --- against the library


@every_case()
def test_the_librarys_adapter_gives_its_logits(bases, model_type, settings):
    folder, found = told(model_type, settings)
    task = classifier(bases, model_type)
    assert_allclose(logits(task, model_type), found["plain"], **EXACT)
    task.load_adapter(folder, name="mine")
    assert_allclose(logits(task, model_type), found["logits"], **EXACT)
    task.set_adapter(None)
    assert_allclose(logits(task, model_type), found["plain"], **EXACT)


@every_case()
def test_saved_again_its_files_are_the_same(bases, model_type, settings, tmp_path):
    folder, _ = told(model_type, settings)
    task = classifier(bases, model_type)
    task.load_adapter(folder, name="tuned")
    task.save_adapter(tmp_path / "ours")
    assert {path.name for path in (tmp_path / "ours").iterdir()} == FILES
    for name in ("adapter_config.json", "head_config.json"):
        ours, theirs = (
            json.loads((place / name).read_text())
            for place in (tmp_path / "ours", folder)
        )
        assert ours.pop("model_name") == str(bases(model_type))
        del theirs["model_name"]
        assert ours == theirs
    for name in ("adapter.safetensors", "model_head.safetensors"):
        ours, theirs = load_file(tmp_path / "ours" / name), load_file(folder / name)
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert_array_equal(ours[key], value)


@every_case(quick=STEPPED)
def test_three_steps_of_sgd_are_the_librarys(bases, model_type, settings, tmp_path):
    folder, found = told(model_type, settings)
    task = classifier(bases, model_type)
    task.load_adapter(folder, name="tuned")
    task.compile(keras.optimizers.SGD(golden.RATE), run_eagerly=True)
    batch, labels = golden.batch_for(model_type), np.array(golden.LABELS)
    history = task.fit(batch, labels, epochs=golden.STEPS, shuffle=False, verbose=0)
    assert_allclose(history.history["loss"], found["losses"], **EXACT)
    task.save_adapter(tmp_path / "ours")
    ours = load_file(tmp_path / "ours" / "adapter.safetensors")
    ours |= load_file(tmp_path / "ours" / "model_head.safetensors")
    after = {
        key.removeprefix("after."): value
        for key, value in found.items()
        if key.startswith("after.")
    }
    assert ours.keys() == after.keys()
    for key, value in after.items():
        assert_allclose(ours[key], value, **EXACT, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", golden.CONFIGS)
def test_the_library_gives_our_adapters_logits(bases, model_type, tmp_path):
    python = os.environ.get("KERASFT_ADAPTERS_PYTHON")
    if python is None:
        pytest.skip("KERASFT_ADAPTERS_PYTHON names no Python with the library")
    task, ours = classifier(bases, model_type), {}
    for kind in KINDS:
        task.add_adapter(kind(width=3, activation="gelu", scaling="learned"), kind.kind)
        shaken(task)
        ours[kind.kind] = logits(task, model_type)
        task.save_adapter(tmp_path / kind.kind)
    script = golden.HERE.parent / "make_bottleneck.py"
    folders = [tmp_path / name for name in ours]
    command = [python, script, "logits", model_type, *folders]
    subprocess.run(command, check=True, capture_output=True)
    for name, found in ours.items():
        theirs = load_file(tmp_path / name / "logits.safetensors")["logits"]
        assert_allclose(found, theirs, **EXACT, err_msg=name)


# --- in the model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model_type", ["bert", "gpt2", "llama", "deberta-v2"])
def test_a_fresh_adapter_changes_next_to_nothing(bases, model_type, kind):
    keras.utils.set_random_seed(0)
    task = classifier(bases, model_type)
    before = logits(task, model_type)
    task.add_adapter(kind())
    bound = 1e-6 if kind is Parallel else 1e-3
    assert_allclose(logits(task, model_type), before, rtol=0, atol=bound)


def test_matrices_begin_as_they_are_asked_to(headless):
    keras.utils.set_random_seed(0)
    task = kft.TextClassifier.from_pretrained(headless, LABELS)
    spread = {}
    for init in ("bert", "houlsby", "mam_adapter"):
        task.add_adapter(Houlsby(init=init, width=32), name=init)
        layers = [part.layer for part in task._stack.named(init).parts]
        both = [
            [np.asarray(getattr(layer, name)) for layer in layers]
            for name in ("down", "up")
        ]
        assert not np.array_equal(both[0][0], both[0][1])
        spread[init] = [(np.std(some), np.abs(some).max()) for some in both]
        for layer in layers:
            assert not np.any(layer.down_bias) and not np.any(layer.up_bias)
    for deviation, _ in spread["bert"]:
        assert deviation == pytest.approx(0.02, rel=0.05)
    for deviation, largest in spread["houlsby"]:
        assert deviation == pytest.approx(0.0088, rel=0.05)  # Of N(0, 1), cut at 2.
        assert largest <= 0.02
    (deviation, largest), second = spread["mam_adapter"]
    assert deviation == pytest.approx(1 / np.sqrt(3 * 32), rel=0.05)
    assert largest <= 1 / np.sqrt(32) and second == (0, 0)


def test_only_the_first_tokens_and_packed_tokens_go_the_same_way(bases):
    task = classifier(bases, "bert")
    task.load_adapter(golden.HERE / "bert-houlsby")
    batch = golden.batch_for("bert")
    every = np.asarray(task.backbone(batch))
    assert_allclose(task.backbone(batch, readers=1), every[:, :1], **EXACT)
    with packed_tokens():
        packed = np.asarray(task.backbone(batch))
    real = batch["attention_mask"] == 1
    assert_allclose(packed[real], every[real], **EXACT)


def test_a_text_is_continued_by_the_adapted_model(tmp_path):
    config = golden.AutoConfig.for_model(
        "gpt2", vocab_size=101, **golden.CONFIGS["gpt2"], eos_token_id=None
    )
    model = AutoModelForCausalLM.from_config(config)
    golden.draw(model.named_parameters(), 0.5, 0)
    model.save_pretrained(tmp_path)
    task = kft.CausalLM.from_pretrained(save_tokenizer(tmp_path))
    ids = task.tokenizer.backend.encode("a great film").ids
    ((plain,),) = task.generate_ids([ids], max_new_tokens=6)
    task.add_adapter(Houlsby(width=4))
    shaken(task)
    expected = list(ids)
    for _ in range(6):  # Without a cache.
        step = task({"input_ids": np.array([expected], "int32")})
        expected.append(int(np.argmax(np.asarray(step)[0, -1])))
    ((found,),) = task.generate_ids([ids], max_new_tokens=6)
    assert found == expected[len(ids) :]
    assert found != plain


def test_dropout_is_for_training_alone(headless):
    task = kft.TextClassifier.from_pretrained(headless, LABELS)
    task.backbone.trainable = False
    task.add_adapter(Parallel(dropout=0.5, width=4))
    shaken(task)
    layer = task._stack.named(None).parts[0].layer
    inputs = keras.random.normal((2, 3, 32))
    still = np.asarray(layer(keras.ops.zeros_like(inputs), inputs=inputs))
    moved = layer(keras.ops.zeros_like(inputs), inputs=inputs, training=True)
    moved = np.asarray(moved)
    dropped = moved == 0
    assert 0.3 < dropped.mean() < 0.7
    assert_allclose(moved[~dropped], 2 * still[~dropped], rtol=1e-5)


def test_blocks_are_left_out_and_widths_differ(headless):
    task = kft.TextClassifier.from_pretrained(headless, LABELS)
    method = Houlsby(leave_out=(0,), reduction_factor={"1": 5, "default": 2})
    task.add_adapter(method)
    parts = task._stack.named("default").parts
    assert [(part.path, part.layer.down.shape) for part in parts] == [
        ("block_1", (32, 6)),
        ("block_1", (32, 6)),
    ]
    for leave_out in ((2,), (0, 1)):
        with pytest.raises(SettingsError, match="of 2 blocks"):
            task.add_adapter(Houlsby(leave_out=leave_out), name="more")
    with pytest.raises(SettingsError, match="none for block 0"):
        task.add_adapter(Pfeiffer(reduction_factor={"1": 4}), name="more")
    assert task.adapters == ("default",)


def test_settings_that_cannot_be_are_told_together():
    with pytest.raises(SettingsError) as error:
        Houlsby(reduction_factor=0, activation="bend", scaling="much", dropout=1)
    for word in ("reduction_factor", "'bend'", "'much'", "dropout"):
        assert word in str(error.value)
    assert all(METHODS[kind.kind] is kind for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_stays_near(bases, kind):
    folder = golden.HERE / f"bert-{kind.kind}"
    exact = classifier(bases, "bert")
    exact.load_adapter(folder)
    half = kft.TextClassifier.from_pretrained(bases("bert"), precision="mixed_bfloat16")
    half.load_adapter(folder)
    layer = half._stack.named(None).parts[0].layer
    assert (layer.down.dtype, layer.compute_dtype) == ("float32", "bfloat16")
    found = logits(half, "bert")
    assert_allclose(found, logits(exact, "bert"), rtol=0, atol=0.1)


def test_it_works_on_a_quantised_base(bases):
    task = classifier(bases, "bert")
    task.load_adapter(golden.HERE / "bert-houlsby")
    exact = logits(task, "bert")
    quantise(task.backbone, "int8")
    near = logits(task, "bert")
    assert 0 < np.abs(near - exact).max() < 0.1
    task.load_adapter(golden.HERE / "bert-pfeiffer", name="other")
    assert np.abs(logits(task, "bert") - near).max() > 0.1


def test_an_adapter_is_not_merged(bases, tmp_path):
    task = classifier(bases, "bert")
    task.add_adapter(Pfeiffer())
    before = logits(task, "bert")
    with pytest.raises(SettingsError, match="Pfeiffer cannot be merged"):
        task.merge_adapter()
    with pytest.raises(SettingsError, match="save_adapter"):
        task.save_pretrained(tmp_path / "whole")
    assert not (tmp_path / "whole").exists()
    assert_array_equal(logits(task, "bert"), before)


# --- training, and back


def trained(task, steps):
    """Train on one batch; give the losses."""
    task.compile(keras.optimizers.SGD(0.5), run_eagerly=True)
    batch, labels = golden.batch_for("bert"), np.array(golden.LABELS)
    run = task.fit(batch, labels, epochs=steps, shuffle=False, verbose=0)
    return run.history["loss"]


@pytest.mark.parametrize("kind", KINDS)
def test_fit_moves_adapter_and_head_alone_and_goes_on(still, kind, tmp_path):
    keras.utils.set_random_seed(0)
    task = kft.TextClassifier.from_pretrained(still, LABELS)
    task.add_adapter(kind())
    frozen = [np.asarray(weight) for weight in task.backbone.weights]
    moving = {w.path: np.asarray(w) for w in task.trainable_variables}
    adapter = task._stack.named(None)
    assert len(moving) == len(adapter.weights_of_parts) + 4  # Pooler and logits.
    losses = trained(task, 2)
    for weight, value in zip(task.backbone.weights, frozen, strict=True):
        assert_array_equal(weight, value)
    for weight in task.trainable_variables:
        assert not np.array_equal(weight, moving[weight.path]), weight.path
    task.save_adapter(tmp_path)
    again = kft.TextClassifier.from_pretrained(still, LABELS)
    again.load_adapter(tmp_path)
    more = trained(again, 2)
    assert_allclose(trained(task, 2), more, rtol=0, atol=1e-6)
    assert losses[0] > losses[1] > more[0] > more[1]
    batch = golden.batch_for("bert")
    assert_allclose(again(batch), task(batch), rtol=0, atol=1e-6)


def test_a_saved_model_has_the_adapter_in_it(bases, tmp_path):
    task = classifier(bases, "bert")
    task.load_adapter(golden.HERE / "bert-houlsby")
    task.export(tmp_path / "made", signature="tokens")
    serve = tf.saved_model.load(str(tmp_path / "made")).signatures["serving_default"]
    batch = golden.batch_for("bert")
    batch["token_type_ids"] = np.zeros_like(batch["input_ids"])
    served = serve(**{key: tf.constant(value) for key, value in batch.items()})
    _, found = told("bert", "houlsby")
    assert_allclose(served["logits"], found["logits"], **EXACT)


# --- files


def test_a_width_is_told_as_a_reduction_factor(headless, tmp_path):
    task = kft.TextClassifier.from_pretrained(headless, LABELS)
    task.add_adapter(Houlsby(width=11))
    task.save_adapter(tmp_path)
    content = json.loads((tmp_path / "adapter_config.json").read_text())
    assert 32 // content["config"]["reduction_factor"] == 11
    task.load_adapter(tmp_path, name="again")
    for size in (32, 384, 768, 1024):
        for width in range(1, 2 * size):
            assert size // factor_for(size, width) == width


def test_a_task_is_loaded_from_the_adapters_folder_alone(still, tmp_path):
    keras.utils.set_random_seed(0)
    task = kft.TextClassifier.from_pretrained(still, LABELS)
    task.add_adapter(Parallel())
    shaken(task)
    task.save_adapter(tmp_path)
    again = kft.TextClassifier.from_pretrained(tmp_path)
    assert (again.labels, again.adapters) == (task.labels, ("default",))
    batch = golden.batch_for("bert")
    assert_array_equal(again(batch), task(batch))


def test_inspect_tells_what_the_librarys_folder_holds():
    told = adapter_in(golden.HERE / "bert-learned")
    assert (told["kind"], told["parameters"], told["tensors"]) == ("adapter", 613, 12)
    assert told["settings"] == {
        "reduction_factor": 2,
        "non_linearity": "gelu",
        "scaling": "learned",
    }


def test_a_file_of_a_model_without_a_head_fits_one_with_a_head(bases, tmp_path):
    embedder = kft.TextEmbedder.from_pretrained(bases("bert"))
    embedder.load_adapter(golden.HERE / "bert-pfeiffer", strict=False)
    embedder.save_adapter(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "adapter.safetensors",
        "adapter_config.json",
        "kerasft_adapter.json",
    }
    keys = load_file(tmp_path / "adapter.safetensors").keys()
    assert all(key.startswith("encoder.layer.") for key in keys)
    task = classifier(bases, "bert")
    misfits = task.load_adapter(tmp_path, strict=False)
    assert [misfit.split(":")[0] for misfit in misfits] == [
        "classifier.weight",
        "classifier.bias",
    ]
    batch = golden.batch_for("bert")
    other = classifier(bases, "bert")
    other.load_adapter(golden.HERE / "bert-pfeiffer")
    assert_allclose(task.backbone(batch), other.backbone(batch), **EXACT)


def test_a_copy_of_the_token_table_is_read_over(bases, tmp_path):
    config = golden.AutoConfig.for_model(
        "gpt2", vocab_size=101, **golden.CONFIGS["gpt2"]
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path / "base")
    save_tokenizer(tmp_path / "base")
    task = kft.CausalLM.from_pretrained(tmp_path / "base")
    task.add_adapter(Parallel())
    task.save_adapter(tmp_path / "ours")
    table = np.asarray(task.backbone.token_table)
    head = tmp_path / "ours" / "model_head.safetensors"
    save_file({"lm_head.weight": table}, head)
    task.load_adapter(tmp_path / "ours", name="same")
    save_file({"lm_head.weight": table + 1}, head)
    with pytest.raises(CheckpointError, match="lm_head.weight: another matrix"):
        task.load_adapter(tmp_path / "ours", name="other")


def test_more_of_a_head_in_the_file_is_loaded(bases, tmp_path):
    shutil.copytree(golden.HERE / "bert-houlsby", tmp_path / "more")
    head = load_file(tmp_path / "more" / "model_head.safetensors")
    random = np.random.RandomState(0)
    head["bert.pooler.dense.weight"] = random.normal(size=(16, 16)).astype("float32")
    head["bert.pooler.dense.bias"] = random.normal(size=16).astype("float32")
    save_file(head, tmp_path / "more" / "model_head.safetensors")
    task = classifier(bases, "bert")
    task.load_adapter(tmp_path / "more")
    kernel = task.head.pooler.kernel
    assert_array_equal(np.asarray(kernel).T, head["bert.pooler.dense.weight"])
    assert kernel.trainable


def test_every_misfit_is_told_and_nothing_is_changed(bases, tmp_path):
    shutil.copytree(golden.HERE / "bert-houlsby", tmp_path / "odd")
    path = tmp_path / "odd" / "adapter.safetensors"
    tensors = load_file(path)
    first, second, *_ = sorted(tensors)
    del tensors[first]
    tensors[second] = np.zeros((3, 3), "float32")
    tensors["bert.encoder.layer.9.output.adapters.tuned.adapter_up.bias"] = np.zeros(16)
    save_file(tensors, path)
    task = classifier(bases, "bert")
    before = logits(task, "bert")
    with pytest.raises(CheckpointError) as error:
        task.load_adapter(tmp_path / "odd", name="tuned")
    assert f"{first}: missing" in str(error.value)
    assert f"{second}: has shape (3, 3)" in str(error.value)
    assert "layer.9.output" in str(error.value)
    assert task.adapters == ()
    assert_array_equal(logits(task, "bert"), before)


def test_an_adapter_of_another_base_is_refused(bases, headless, tmp_path):
    task = kft.TextClassifier.from_pretrained(headless, LABELS)
    task.add_adapter(Pfeiffer())
    task.save_adapter(tmp_path / "ours")
    task.backbone.block_1.attention.q_proj.kernel.assign_add(
        keras.ops.ones_like(task.backbone.block_1.attention.q_proj.kernel)
    )
    with pytest.raises(CheckpointError, match="made for another base"):
        task.load_adapter(tmp_path / "ours", name="again")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"phm_layer": True}, "phm_layer is True"),
        ({"use_gating": True}, "use_gating is True"),
        ({"inv_adapter": "nice"}, "inv_adapter is 'nice'"),
        ({"cross_adapter": True}, "cross_adapter is True"),
        ({"ln_before": True, "ln_after": True}, "ln_after is True .*ln_before is True"),
        ({"residual_before_ln": "post_add"}, "residual_before_ln is 'post_add'"),
        ({"stochastic_depth": 0.1}, "stochastic_depth is 0.1"),
        ({"novelty": 3}, "novelty is set"),
        ({"is_parallel": True}, "'is_parallel': True.*Houlsby.*Pfeiffer.*par_bn"),
        ({"output_adapter": False}, "'output_adapter': False"),
        ({"original_ln_before": True}, "'original_ln_before': True"),
        ({"architecture": "lora"}, "'lora' of the adapters library"),
        ({"non_linearity": "leakyrelu"}, "activation is 'leakyrelu'; known: gelu"),
        ({"non_linearity": None}, "does not tell non_linearity"),
        ({"reduction_factor": -1}, "reduction_factor is -1; at least 0.0625"),
        ({"reduction_factor": {"0": "8"}}, "reduction_factor is {'0': '8'}; at least"),
        ({"leave_out": [[0]], "dropout": None}, "dropout is None.*leave_out is"),
        ({"scaling": "odd"}, "scaling is 'odd'"),
    ],
)
def test_another_formula_is_refused_by_its_name(bases, tmp_path, changes, words):
    folder = changed_config(golden.HERE / "bert-houlsby", tmp_path / "odd", **changes)
    task = classifier(bases, "bert")
    with pytest.raises(CheckpointError, match=words):
        task.load_adapter(folder)
    assert task.adapters == ()


def test_files_that_cannot_be_read_are_refused_with_the_reason(bases, tmp_path):
    task = classifier(bases, "bert")
    for name, pickle in (
        ("adapter.safetensors", "pytorch_adapter.bin"),
        ("model_head.safetensors", "pytorch_model_head.bin"),
    ):
        folder = tmp_path / pickle
        shutil.copytree(golden.HERE / "bert-houlsby", folder)
        (folder / name).rename(folder / pickle)
        with pytest.raises(CheckpointError, match=f"{pickle}, a pickle.*run code"):
            task.load_adapter(folder)
    old = changed_config(golden.HERE / "bert-houlsby", tmp_path / "old")
    content = json.loads((old / "adapter_config.json").read_text())
    del content["version"]
    (old / "adapter_config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="no version is told"):
        task.load_adapter(old)
    several = tmp_path / "several"
    shutil.copytree(golden.HERE / "bert-houlsby", several)
    tensors = load_file(several / "adapter.safetensors")
    tensors |= {k.replace(".tuned.", ".two."): v for k, v in tensors.items()}
    save_file(tensors, several / "adapter.safetensors")
    with pytest.raises(CheckpointError, match=r"several adapters \(tuned, two\)"):
        task.load_adapter(several)


def test_one_format_is_saved_over_the_other(headless, tmp_path):
    task = kft.TextClassifier.from_pretrained(headless, LABELS)
    task.add_adapter(METHODS["lora"](), name="first")
    task.save_adapter(tmp_path)
    task.add_adapter(Pfeiffer(), name="second")
    task.save_adapter(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    task.save_adapter(tmp_path, name="first")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "kerasft_adapter.json",
    }
