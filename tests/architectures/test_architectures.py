"""Architectures that people deploy, from Keras to bit-exact integers on the host and in a simulator.

`python -m tests.architectures.table` keeps what these cost in docs/models.md.
"""

from __future__ import annotations

import pytest

from tests.architectures.prove import RUNNERS, Proof, prove_architecture, prove_shipped
from tests.architectures.shipped import FILES, RESNET, accuracies
from tests.architectures.zoo import ARCHITECTURES
from tests.conftest import ROOT

pytestmark = [pytest.mark.tensorflow, pytest.mark.simulator, pytest.mark.toolchain, pytest.mark.slow]


def check(proof: Proof) -> None:
    """Nothing differs, and there was something to differ: the outputs depend on the input.

    Every layer can be inspected.
    """
    assert proof.differing == (0,) * len(RUNNERS)
    assert proof.elements > 0
    assert (proof.reference[0] != proof.reference[1]).any()
    assert proof.unmatched == ()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_bit_exact(name, tmp_path):
    check(prove_architecture(name, tmp_path))


@pytest.mark.parametrize("file", FILES)
def test_a_trained_model_is_bit_exact(shared, tmp_path, file):
    check(prove_shipped(shared, file, tmp_path))


def test_resnet8_is_as_accurate_from_keras_as_from_tflite(shared):
    found = accuracies(shared)
    assert found[RESNET[0]] == pytest.approx(found[RESNET[1]], abs=0.003)
    assert found[RESNET[0]] == pytest.approx(found["float"], abs=0.005)


def test_the_table_lists_every_architecture():
    table = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    listed = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    assert listed[1:] == [*ARCHITECTURES, *FILES]
