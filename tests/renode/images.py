"""`python -m tests.renode.images`: an image of one small model for each board that Renode has a platform of.

They are built by the tool, as anybody's are, into build/renode/<board>/firmware.elf.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from pipeline.boards import list_boards
from tests.conftest import ROOT
from tests.tflite_chains import clamped_convolution

FOLDER = ROOT / "build" / "renode"


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    model = FOLDER / "small.tflite"
    model.write_bytes(clamped_convolution(np.random.default_rng(0), 6, (2, 3), ("RELU",), (2, 2)))
    for board in list_boards():
        if "renode" in board.run:
            build = [sys.executable, "-m", "pipeline", "build", str(model), "--board", board.name]
            subprocess.run([*build, "-o", str(FOLDER)], cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
