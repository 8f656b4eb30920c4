"""The folder layout of sentence-transformers: what is read, written and refused."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from kerasft._errors import CheckpointError
from kerasft.checkpoints.sentence_layout import (
    ACTIVATIONS,
    POOLINGS,
    SentenceLayout,
    write_layout,
)
from kerasft.checkpoints.sentence_modules import read_layout

WIDTH = 6
KERNEL = np.arange(WIDTH * 4, dtype="float32").reshape(WIDTH, 4)
OLD = "sentence_transformers.models."
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}


def written(folder, **settings):
    write_layout(folder, SentenceLayout(**settings), WIDTH)
    return folder


def edited(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("dense", ["none", "with bias", "without bias"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_is_written_reads_back(pooling, dense, normalise, tmp_path):
    layout = SentenceLayout(
        pooling,
        normalise,
        kernel=None if dense == "none" else KERNEL,
        bias=np.ones(4, "float32") if dense == "with bias" else None,
        activation=None if dense == "none" else "tanh",
        max_length=17,
        prompts={"query": "find: "},
    )
    write_layout(tmp_path, layout, WIDTH)
    found = read_layout(tmp_path)
    for name, value in vars(layout).items():
        np.testing.assert_array_equal(vars(found)[name], value)


def test_the_files_are_those_of_sentence_transformers(tmp_path):
    written(tmp_path, normalise=True, kernel=KERNEL, activation=None, max_length=9)
    modules = json.loads((tmp_path / "modules.json").read_text())
    assert [(m["idx"], m["path"], m["type"]) for m in modules] == [
        (0, "", OLD + "Transformer"),
        (1, "1_Pooling", OLD + "Pooling"),
        (2, "2_Dense", OLD + "Dense"),
        (3, "3_Normalize", OLD + "Normalize"),
    ]
    pooling = json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    assert pooling == {
        "word_embedding_dimension": WIDTH,
        "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    tensors = load_file(tmp_path / "2_Dense" / "model.safetensors")
    np.testing.assert_array_equal(tensors["linear.weight"], KERNEL.T)
    about = json.loads((tmp_path / "sentence_bert_config.json").read_text())
    assert about == {"max_seq_length": 9, "do_lower_case": False}


def test_a_plain_checkpoint_is_the_mean_of_its_tokens(tmp_path):
    assert read_layout(tmp_path) == SentenceLayout()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_what_newer_versions_write_is_read(pooling, tmp_path):
    written(tmp_path, normalise=True, kernel=KERNEL, activation="gelu")

    def renew(modules):
        for module in modules:
            module["type"] = NEW[module["type"].rpartition(".")[2]]

    edited(tmp_path / "modules.json", renew)
    about = {"embedding_dimension": WIDTH, "pooling_mode": POOLINGS[pooling][1]}
    about |= {"include_prompt": True}
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(about))
    names = {"module_input_name": "sentence_embedding", "module_output_name": None}
    edited(tmp_path / "2_Dense" / "config.json", lambda c: c.update(names))
    (tmp_path / "3_Normalize" / "config.json").unlink()
    about = {"transformer_task": "feature-extraction"}
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps(about))
    found = read_layout(tmp_path)
    assert (found.pooling, found.normalise) == (pooling, True)
    assert (found.activation, found.max_length) == ("gelu", None)


def test_a_backbone_in_a_folder_of_its_own_is_found(tmp_path):
    written(tmp_path)
    edited(tmp_path / "modules.json", lambda m: m[0].update(path="0_Transformer"))
    (tmp_path / "0_Transformer").mkdir()
    about = {"max_seq_length": 5}
    path = tmp_path / "0_Transformer" / "sentence_bert_config.json"
    path.write_text(json.dumps(about))
    found = read_layout(tmp_path)
    assert (found.backbone, found.max_length) == ("0_Transformer", 5)


@pytest.mark.parametrize(
    "kind",
    [
        "os.system",
        "sentence_transformers.models.CNN",
        "sentence_transformers.models.Pooling.evil",
        "evil.sentence_transformers.models.Pooling",
        "sentence_transformersXmodels.Pooling",
        "sentence_transformers.models.Pooling\n",
        None,
        7,
    ],
)
def test_a_type_of_module_that_is_not_known_is_refused(kind, tmp_path):
    written(tmp_path)
    edited(tmp_path / "modules.json", lambda m: m[1].update(type=kind))
    with pytest.raises(CheckpointError, match="not known here"):
        read_layout(tmp_path)


@pytest.mark.parametrize(
    "path", ["..", "../other", "/etc", "a/b", ".hidden", "1_Pooling/../..", "~", "a\0"]
)
@pytest.mark.parametrize("module", [0, 1, 2, 3])
def test_a_path_out_of_the_folder_is_refused(module, path, tmp_path):
    written(tmp_path, normalise=True, kernel=KERNEL)
    edited(tmp_path / "modules.json", lambda m: m[module].update(path=path))
    with pytest.raises(CheckpointError, match="plain names"):
        read_layout(tmp_path)


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    folder = tmp_path / "one"
    folder.mkdir()
    written(folder)
    (folder / "1_Pooling").rename(tmp_path / "elsewhere")
    (folder / "1_Pooling").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckpointError, match="outside the checkpoint's folder"):
        read_layout(folder)


def test_the_links_of_the_hubs_cache_are_followed(tmp_path):
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    written(snapshot, pooling="max", normalise=True, kernel=KERNEL)
    for i, path in enumerate([p for p in snapshot.rglob("*") if p.is_file()]):
        path.rename(blobs / str(i))
        path.symlink_to(blobs / str(i))
    assert read_layout(snapshot).pooling == "max"
    path = snapshot / "1_Pooling" / "config.json"
    path.unlink()
    path.symlink_to("/etc/hostname")
    with pytest.raises(CheckpointError, match="outside the checkpoint's folder"):
        read_layout(snapshot)


def drop(content, key):
    del content[key]


BROKEN = {
    "no list": ("modules.json", lambda c: c.clear(), "lists"),
    "no path": ("modules.json", lambda c: c[1].update(path=""), "has no path"),
    "a number as path": ("modules.json", lambda c: c[1].update(path=3), "no path"),
    "other order": ("modules.json", lambda c: c.reverse(), "lists Normalize"),
    "twice": ("modules.json", lambda c: c.insert(1, c[1]), "each once"),
    "two poolings": (
        "1_Pooling/config.json",
        lambda c: c.update(pooling_mode_cls_token=True),
        "pools by",
    ),
    "unknown pooling": (
        "1_Pooling/config.json",
        lambda c: c.update(pooling_mode="weightedmean"),
        "pools by.*weightedmean",
    ),
    "unknown flag": (
        "1_Pooling/config.json",
        lambda c: c.update(
            pooling_mode_mean_tokens=False, pooling_mode_mean_sqrt_len_tokens=True
        ),
        "pools by.*mean_sqrt_len",
    ),
    "prompts not pooled": (
        "1_Pooling/config.json",
        lambda c: c.update(include_prompt=False),
        "include_prompt",
    ),
    "foreign activation": (
        "2_Dense/config.json",
        lambda c: c.update(activation_function="os.system"),
        "activation is 'os.system'",
    ),
    "residual": (
        "2_Dense/config.json",
        lambda c: c.update(use_residual=True),
        "residual",
    ),
    "other size": (
        "2_Dense/config.json",
        lambda c: c.update(out_features=5),
        r"linear.weight has shape \(4, 6\), by config.json it is \(5, 6\)",
    ),
    "missing bias": (
        "2_Dense/config.json",
        lambda c: drop(c, "bias"),
        "no linear.bias",
    ),
    "of tokens": (
        "3_Normalize/config.json",
        lambda c: c.update(module_input_name="token_embeddings"),
        "only 'sentence_embedding'",
    ),
    "lower case": (
        "sentence_bert_config.json",
        lambda c: c.update(do_lower_case=True),
        "lower case",
    ),
    "odd length": (
        "sentence_bert_config.json",
        lambda c: c.update(max_seq_length="x"),
        "max_seq_length is 'x'",
    ),
    "a default prompt": (
        "config_sentence_transformers.json",
        lambda c: c.update(prompts={"q": "find: "}, default_prompt_name="q"),
        "default_prompt_name",
    ),
    "prompts that are no texts": (
        "config_sentence_transformers.json",
        lambda c: c.update(prompts={"q": 1}),
        "prompts are not texts",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_known_is_refused(case, tmp_path):
    file, change, words = BROKEN[case]
    written(tmp_path, normalise=True, kernel=KERNEL)
    edited(tmp_path / file, change)
    with pytest.raises(CheckpointError, match=words):
        read_layout(tmp_path)


def test_the_activations_are_layers_of_torch():
    import torch

    for name, theirs in ACTIVATIONS.items():
        module, _, kind = theirs.rpartition(".")
        assert module.startswith("torch.nn.modules.")
        made = getattr(torch.nn, kind)()
        found = type(made).__module__ + "." + type(made).__name__
        assert found == theirs, name


def test_a_pickle_in_place_of_the_dense_weights_is_never_opened(tmp_path):
    written(tmp_path, kernel=KERNEL)
    (tmp_path / "2_Dense" / "model.safetensors").rename(
        tmp_path / "2_Dense" / "pytorch_model.bin"
    )
    with pytest.raises(CheckpointError, match="never does"):
        read_layout(tmp_path)
    save_file({"linear.weight": KERNEL}, tmp_path / "2_Dense" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"shape \(6, 4\)"):
        read_layout(tmp_path)
