# Every target makes .venv first when it is missing or older than what it is made from.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test verify attacks conformance bench profile pictures lint build schema clean

demo: .venv  ## grade a small class and show the scores
	$(BIN)/python examples/demo.py

test: .venv  ## run the tests: attacks on real runs by themselves, since they look at what a run uses
	$(BIN)/python -m pytest tests/attacks/test_attacks.py --deselect=tests/attacks/test_attacks.py::test_wins_without_confinement
	$(BIN)/python -m pytest --ignore=tests/attacks/test_attacks.py --numprocesses=3 --dist=loadfile

verify: .venv  ## prove all graders, with mutants; writes .tensorgrade/verify.html
	$(BIN)/tensorgrade verify --mutants --html .tensorgrade/verify.html

attacks: .venv  ## attack real grading runs, in each tier and unconfined (test leaves out the latter, which wait for minutes)
	$(BIN)/python -m pytest tests/attacks

conformance: .venv  ## run PyTorch's operator database on virtual accelerators, against the CPU
	$(BIN)/python -m conformance --json conformance/results.json

profile: .venv  ## say where the time of one submission goes, part by part
	$(BIN)/python bench/parts.py

bench: .venv  ## measure, side by side with stock nbgrader; writes bench/results.json
	$(BIN)/python bench/confinement.py
	$(BIN)/python bench/verdicts.py
	$(BIN)/python -m bench.pipeline
	$(BIN)/python bench/autograde.py
	$(BIN)/python bench/virtual_cuda.py

pictures: .venv  ## write docs/images/feedback.png from the demo class (needs Chromium)
	$(BIN)/python examples/feedback_picture.py

lint: .venv  ## check style, types, and that generated files are current
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/tensorgrade build --check
	$(BIN)/tensorgrade schema --check

build: .venv  ## write release/ from assignments/
	$(BIN)/tensorgrade build

schema: .venv  ## write the JSON Schemas of the YAML files
	$(BIN)/tensorgrade schema

clean:  ## remove what was generated, but no submissions and no gradebook
	rm -rf .venv source .mypy_cache .pytest_cache .ruff_cache

.venv: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]' || { touch -t 200001010000 .venv; exit 1; }  # made again
	touch .venv
