# Each target is one command that works without make as well; what it needs is set up first.
PYTHON  ?= python3
MODEL   ?= models/cifar10_cnn/cifar10_cnn.keras
BOARD   ?= nucleo_l4r5zi
SAMPLES ?=
SHARED  ?=
TOOL    := .venv/bin/stm32-deploy

.PHONY: help setup deploy analyze boards doctor test check bench format clean

help:           ## This list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -e 's/:[^#]*##/\t/'

setup:          ## Virtual environment, cross compiler and simulator, where they are missing
	@$(PYTHON) -m pipeline.bootstrap

deploy: setup   ## MODEL= BOARD= SAMPLES=: from a Keras model to a measured report
	$(TOOL) deploy $(MODEL) --board $(BOARD) $(if $(SAMPLES),--samples $(SAMPLES))

analyze: setup  ## MODEL= BOARD=: MACC, flash, RAM and time, before anything is built
	$(TOOL) analyze $(MODEL) --board $(BOARD)

boards: setup   ## The boards this tool knows
	$(TOOL) boards

doctor: setup   ## What is installed, what is missing, how to get it
	$(TOOL) doctor

test: setup     ## All tests
	.venv/bin/python -m pytest -n 2 $(if $(SHARED),--shared=$(SHARED))

check: setup    ## Lint, types, architecture
	.venv/bin/ruff check . && .venv/bin/mypy && .venv/bin/python -m pytest -q tests/test_architecture.py

bench: setup    ## SHARED=: instructions, RAM and flash of the benchmark models, into docs/benchmarks.md
	$(TOOL) bench $(if $(SHARED),--models $(SHARED)/models/mlperf_tiny) --write docs/benchmarks.md

clean:          ## Remove what was built, but not the virtual environment
	rm -rf build
