"""The kernels of the library for Arm cores, compiled once; and tests/property/cases.py, to draw layers."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "property"))

from arm import ArmKernels


@pytest.fixture(scope="session")
def arm_kernels(tmp_path_factory: pytest.TempPathFactory) -> ArmKernels:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    return ArmKernels(tmp_path_factory.mktemp("arm_kernels"))
