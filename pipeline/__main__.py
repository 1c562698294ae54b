"""`python -m pipeline` is the command `stm32-deploy`."""

import sys

from pipeline.cli import main

sys.exit(main())
