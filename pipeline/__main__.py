"""`python -m pipeline` is the command `stm32-deploy`."""

import sys

try:
    from pipeline.cli import entry
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is not installed here: run `make setup`, then .venv/bin/python -m pipeline")

sys.exit(entry())
