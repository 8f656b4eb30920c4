# Two commands do everything on a machine with Python 3.11 and make:
#   make demo   fine-tune, evaluate, export and serve, on real text
#   make test   the whole test suite
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test test-slow lint format clean

demo: $(VENV)/ready
	$(BIN)/python examples/classify_news.py

test: $(VENV)/ready-test lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/ready-test
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/ready-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/ready: $(VENV)/bin/python setup.py
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/ready-test: $(VENV)/bin/python setup.py
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@ $(VENV)/ready
