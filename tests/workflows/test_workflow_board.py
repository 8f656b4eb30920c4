"""`kerasft board` finds the logs of a run and serves them."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import kerasft as kft
from kerasft.workflows.board import log_folder


def test_the_logs_of_a_run_are_served_until_ctrl_c(here, run_folder):
    source = {"PYTHONPATH": str(Path(kft.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "kerasft", "board", str(run_folder), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | source
    ) as process:
        try:
            told = process.stdout.readline()
            assert told.startswith("TensorBoard shows tb_logs/one at http://localhost:")
            address = told.split(" at ")[1].split(" (")[0]
            with urllib.request.urlopen(f"{address}data/plugins_listing") as answer:
                assert json.load(answer)["hparams"]["enabled"]
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()


def test_logs_are_found_by_run_by_folder_and_by_default(here, run_folder):
    assert str(log_folder("runs/one")) == "tb_logs/one"
    assert str(log_folder("tb_logs/one")) == "tb_logs/one"
    assert str(log_folder(kft.BoardSettings().run)) == "tb_logs"
    other = here / "runs/elsewhere"
    other.mkdir(exist_ok=True)
    (other / "recipe.yaml").write_text("tensorboard: tb_logs/one\n")
    assert str(log_folder(str(other))) == "tb_logs/one"


def test_without_logs_it_says_where_it_looked(here, refused):
    assert "no TensorBoard logs in tiny" in refused("board", "tiny")
    assert "port is 70000" in refused("board", "--port", "70000")


@pytest.mark.usefixtures("run_folder")
def test_a_port_that_is_taken_is_told(here, refused):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = refused("board", "tb_logs", "--port", port)
    assert port in told and "--port" in told
