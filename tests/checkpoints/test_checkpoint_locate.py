"""Local folders never touch the network; what cannot be found is named."""

import socket

import huggingface_hub
import pytest
from huggingface_hub import errors

from kerasft._errors import CheckpointError, SettingsError
from kerasft.checkpoints.locate import locate


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args):
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def hub_that(monkeypatch, answer):
    asked = []

    def snapshot_download(name, **settings):
        asked.append((name, settings))
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return asked


def test_a_local_folder_is_itself(tmp_path, monkeypatch):
    asked = hub_that(monkeypatch, "nowhere")
    assert locate(tmp_path) == locate(str(tmp_path)) == tmp_path
    assert asked == []


def test_a_local_folder_has_no_revision(tmp_path):
    with pytest.raises(SettingsError, match="no revision"):
        locate(tmp_path, revision="main")


@pytest.mark.parametrize("name", ["./models/x", "/no/such", "a/b/c", "~/x", "", "a\0"])
def test_what_can_only_be_a_folder_is_not_asked_of_the_hub(name, monkeypatch):
    asked = hub_that(monkeypatch, "nowhere")
    with pytest.raises(CheckpointError, match="no such folder"):
        locate(name)
    assert asked == []


def test_the_hub_is_asked_for_safe_files_alone(tmp_path, monkeypatch):
    asked = hub_that(monkeypatch, str(tmp_path))
    assert locate("google-bert/bert-base-uncased", revision="v1") == tmp_path
    [(name, settings)] = asked
    assert (name, settings["revision"]) == ("google-bert/bert-base-uncased", "v1")
    patterns = settings["allow_patterns"]
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(patterns)
    assert not any(p.endswith((".bin", ".h5", ".py", "*")) for p in patterns)


def test_without_a_network_the_cache_is_named():
    with pytest.raises(CheckpointError, match=r"(?s)some/model.*cannot be reached"):
        locate("some/model")


@pytest.mark.parametrize(
    "answer, words",
    [
        (errors.LocalEntryNotFoundError("x"), "hf download bert-base"),
        (errors.OfflineModeIsEnabled("offline"), "no local folder 'bert-base' either"),
        (errors.HFValidationError("x"), "bert-base"),
    ],
)
def test_each_failure_says_what_to_do(answer, words, monkeypatch):
    hub_that(monkeypatch, answer)
    with pytest.raises(CheckpointError, match=words):
        locate("bert-base")
