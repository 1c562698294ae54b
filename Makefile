# Each target is one command that works without make as well; what it needs is set up first.
PYTHON  ?= python3
MODEL   ?= models/cifar10_cnn/cifar10_cnn.keras
BOARD   ?= nucleo_l4r5zi
SAMPLES ?=
SHARED  ?=
GRAPHS  ?= 10000
FIRST   ?= 0
TOOL    := .venv/bin/stm32-deploy

# Of a board on the desk: PORT=, PROBE= (serial number), WITH= (programmer), BAUD=; in a rack: PLACE= (labgrid)
PORT    ?=
PROBE   ?=
PLACE   ?=
WITH    ?=
BAUD    ?=
PROBED  = $(if $(PROBE),--probe $(PROBE)) $(if $(PLACE),--place $(PLACE))
TOOLED  = $(PROBED) $(if $(WITH),--with $(WITH))
LINED   = $(if $(PORT),--port $(PORT)) $(if $(BAUD),--baud $(BAUD))

.PHONY: help setup deploy analyze flash measure monitor reset erase boards doctor test fuzz check renode bench models cures clean

help:           ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -e 's/:[^#]*##/\t/'

setup:          ## Virtual environment, cross compiler and simulator, where they are missing
	@$(PYTHON) -m pipeline.bootstrap

deploy: setup   ## MODEL= BOARD= SAMPLES=: from a Keras model to a measured report
	$(TOOL) deploy $(MODEL) --board $(BOARD) $(if $(SAMPLES),--samples $(SAMPLES))

flash: setup    ## MODEL= BOARD= WITH= PROBE=: the image of a model onto a board
	$(TOOL) flash $(MODEL) --board $(BOARD) $(TOOLED) $(if $(BAUD),--baud $(BAUD)) $(if $(SAMPLES),--samples $(SAMPLES)) -v

measure: setup  ## MODEL= BOARD= PORT= PROBE=: flash unless it runs there already, and real cycles in a report
	$(TOOL) measure $(MODEL) --board $(BOARD) $(LINED) $(TOOLED) $(if $(SAMPLES),--samples $(SAMPLES))

monitor: setup  ## BOARD= PORT= PROBE=: what the board says on its serial line, until Ctrl-C
	$(TOOL) monitor --board $(BOARD) $(LINED) $(PROBED)

reset: setup    ## BOARD= PROBE= WITH=: start the board again
	$(TOOL) reset --board $(BOARD) $(TOOLED)

erase: setup    ## BOARD= PROBE= WITH=: erase the board's flash
	$(TOOL) erase --board $(BOARD) $(TOOLED)

analyze: setup  ## MODEL= BOARD=: MACC, flash, RAM and time, before anything is built
	$(TOOL) analyze $(MODEL) --board $(BOARD)

boards: setup   ## The boards this tool knows
	$(TOOL) boards

doctor: setup   ## What is installed, what is missing, how to get it
	$(TOOL) doctor

test: setup     ## All tests
	.venv/bin/python -m pytest -n 2 $(if $(SHARED),--shared=$(SHARED))

fuzz: setup     ## GRAPHS= FIRST=: random graphs in C against TFLite's reference kernels, from this seed on
	.venv/bin/python -m pytest tests/fuzz -n 2 --graphs=$(GRAPHS) --first-seed=$(FIRST)

check: setup    ## Lint, types, architecture
	.venv/bin/ruff check . && .venv/bin/mypy && .venv/bin/python -m pytest -q tests/test_architecture.py

RENODE_TEST = $(if $(RENODE_ROOT),$(RENODE_ROOT)/)renode-test

renode: setup   ## RENODE_ROOT=: images for the boards that Renode has, built and run there (renode.io)
	@command -v $(RENODE_TEST) >/dev/null || { echo "error: $(RENODE_TEST) was not found"; \
		echo "  try: install Renode from renode.io, and put it on PATH or name its folder: make renode RENODE_ROOT="; exit 2; }
	.venv/bin/python -m tests.renode.images
	$(RENODE_TEST) -r build/renode/report tests/renode/*.robot

bench: setup    ## SHARED=: instructions, RAM and flash of the benchmark models, into docs/benchmarks.md
	$(TOOL) bench $(if $(SHARED),--models $(SHARED)/models/mlperf_tiny) --write docs/benchmarks.md

models: setup   ## SHARED=: architectures proved bit-exact, and what they cost, into docs/models.md
	.venv/bin/python -m tests.architectures.table $(if $(SHARED),--shared $(SHARED))

cures: setup    ## SHARED=: what the cures of quantization gain and cost, into docs/quantization.md
	$(TOOL) bench --cures --models $(SHARED)/models/mlperf_tiny --samples $(SHARED)/data/cifar10/test.npz \
		--training $(SHARED)/data/cifar10/train.npz --write docs/quantization.md

clean:          ## Remove what was built, but not the virtual environment
	rm -rf build
