# Every target does its own set-up: Python 3.11 or newer, g++, make and perl are all that a machine needs.
PYTHON ?= python3
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable

.PHONY: help demo test coverage lint bench table map large arrays boards budgets docs gatesim formal checkpoints caches lines signals fuzz array front-end clean
.DELETE_ON_ERROR:

help:
	@echo "make demo    train the digits on the virtual board (RTL) and compare with the golden model"
	@echo "make test    all tests, pure Python and RTL"
	@echo "make coverage  branches of state machines that no bench takes (some minutes)"
	@echo "make lint    style and types"
	@echo "make bench   speed of golden model, virtual board and RTL; what size costs; sweeps on one core, two and a cluster; traces; a real array; measured devices"
	@echo "make table   the table of learning results in docs"
	@echo "make map     where progressive leaves software, over rate, width and depth, in docs (goes on where it was stopped)"
	@echo "make large   Fashion-MNIST and ten layers of digits, every schedule, in docs (a quarter of an hour of one core; goes on where it was stopped)"
	@echo "make arrays  what a physical array does to training, for the table in docs (two hours of one core; goes on where it was stopped)"
	@echo "make boards  train the digits on the virtual board of each board's configuration, for the table in docs"
	@echo "make budgets build bitstreams and compare them with their budgets (BOARDS=name: only that one; ARGS=--quick: synthesis only)"
	@echo "make docs    the documentation as a site in build/docs, its notebooks executed"
	@echo "make gatesim train XOR on the netlist of iCE40 synthesis, and compare with the golden model (some minutes)"
	@echo "make formal  prove the properties of docs/proofs.md (some minutes; ARGS=--quick: the quick ones)"
	@echo "make checkpoints  flip every bit of a small run's checkpoint, and cut it everywhere (some minutes)"
	@echo "make caches  damage, fill, lock and move the caches of real runs (a quarter of an hour; the mounts as root only)"
	@echo "make lines   freeze the line at 20 places, and try 15 latencies; speed at 0.2 s each way (some minutes)"
	@echo "make signals interrupt train, sim, infer and build at 50 moments (a quarter of an hour)"
	@echo "make fuzz    500 random bad command lines, 500 damaged data files, 9000 programs on RTL and golden model (ten minutes; RANDOM_SEED=1: others)"
	@echo "make array   the conformance bench on virtual boards with one faulty tile each, front ends' too, and docs/array.md whole (an hour)"
	@echo "make front-end  iris through a front end, for the table in docs (a quarter of an hour of one core; goes on where it was stopped)"
	@echo "make clean   remove builds and the environment"

demo: .venv/installed-sim
	$(BIN)/python -m backpulse.host.demo

test: .venv/installed-dev
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

coverage: .venv/installed-dev
	rm -rf build/coverage
	BRANCHES=1 $(BIN)/python -m pytest --numprocesses auto --dist worksteal cocotb_tests -k "not broken" $(ARGS)
	$(BIN)/python -m cocotb_tests.coverage

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports --cache-dir build/imports
	$(BIN)/python -m pytest -q -p no:xdist tests/test_house.py

bench: .venv/installed-dev
	$(BIN)/python -m benchmarks.speed $(ARGS)
	$(BIN)/python -m benchmarks.sizes
	$(BIN)/python -m benchmarks.sweeps
	$(BIN)/python -m benchmarks.trace
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.measured

table: .venv/installed-sim
	$(BIN)/python -m benchmarks.table $(ARGS)

map: .venv/installed-dev
	$(BIN)/python -m benchmarks.learning_map

large: .venv/installed-dev
	$(BIN)/python -m benchmarks.large

arrays: .venv/installed-dev
	$(BIN)/python -m benchmarks.arrays $(ARGS)

boards: .venv/installed-sim
	$(BIN)/python -m benchmarks.boards
	$(BIN)/python -m backpulse.gateware.bitstream.page

budgets: .venv/installed-build .venv/installed-dev
	$(BIN)/python -m backpulse.gateware.bitstream.budgets $(ARGS) $(BOARDS)
	$(BIN)/python -m pytest -s -m "slow or not slow" tests/test_analog_budget.py

docs: .venv/installed-dev
	$(BIN)/python -m sphinx --fail-on-warning --keep-going docs build/docs

gatesim: .venv/installed-dev
	$(BIN)/python -m pytest -s -m "slow or not slow" tests/test_gatesim.py cocotb_tests/test_gates.py $(ARGS)

formal: .venv/installed-build
	$(BIN)/python -m formal $(ARGS)

checkpoints: .venv/installed-dev
	$(BIN)/python -m pytest -s -m "slow or not slow" tests/test_checkpoint_damage.py tests/test_checkpoint_fields.py $(ARGS)

caches: .venv/installed-dev
	$(BIN)/python -m pytest -s -m "slow or not slow" tests/test_cache.py tests/test_board_cache.py tests/test_real_caches.py $(ARGS)

lines: .venv/installed-dev
	$(BIN)/python -m pytest -s -m "slow or not slow" tests/test_lines.py $(ARGS)

signals: .venv/installed-dev .venv/installed-build
	$(BIN)/python -m pytest -s -m "slow or not slow" tests/test_signals.py $(ARGS)

fuzz: .venv/installed-dev
	$(BIN)/python -m pytest -m "slow or not slow" tests/test_fuzz.py cocotb_tests/test_differential.py $(ARGS)

array: .venv/installed-dev
	$(BIN)/python -m pytest -s -m "slow or not slow" tests/test_array_tiles.py tests/test_front_end_board.py tests/test_front_end_faults.py tests/test_array_page.py $(ARGS)

front-end: .venv/installed-dev
	$(BIN)/python -m benchmarks.front_end

clean:
	rm -rf .venv build out *.egg-info

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Backpulse needs Python 3.11 or newer: call make PYTHON=python3.11"; exit 1; }
	@echo "Making the environment in .venv (once)"
	$(PYTHON) -m venv .venv

.venv/installed-sim: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing Backpulse and its simulator into .venv (once, a minute or two)"
	$(INSTALL) '.[sim]'
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing Backpulse, its simulator and the test tools into .venv (once, a few minutes)"
	$(INSTALL) '.[sim,sweep,runs,live,docs,dev]'
	touch $@

.venv/installed-build: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing Backpulse and the tools that build bitstreams into .venv (once, some 650 MB)"
	$(INSTALL) '.[build]'
	touch $@
