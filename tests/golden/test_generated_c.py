"""Generated C beside its cause: a change of how it looks shows in a diff.

`python -m tests.golden.test_generated_c` writes the golden files again.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.boards import load_board
from pipeline.config import Settings
from pipeline.deploy import generate
from pipeline.quantize import QuantizedModel
from tests.tflite_chains import clamped_convolution

FOLDER = Path(__file__).parent
FILES = (
    "model/chain.h",
    "model/chain.c",
    "model/chain_preprocess.h",
    "model/chain_weights.h",
    "model/chain_weights.c",
    "model/deployed.c",
)


def rendered() -> dict[str, str]:
    tflite = clamped_convolution(np.random.default_rng(0), 4, (2, 3), ("MAXIMUM",), (2, 2))
    quantized = QuantizedModel("chain", tflite, None, None, "")
    return dict(generate(quantized, load_board("qemu_mps2_an386"), Settings()).tree.files)


@pytest.mark.parametrize("path", FILES)
def test_the_c_looks_as_it_did(path):
    assert rendered()[path] == (FOLDER / path).read_text(encoding="utf-8")


def test_nothing_of_this_machine_or_day_is_in_it():
    text = "".join(rendered().values())
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    assert "TODO" not in text


if __name__ == "__main__":
    (FOLDER / "model").mkdir(exist_ok=True)
    for name in FILES:
        (FOLDER / name).write_text(rendered()[name], encoding="utf-8")
