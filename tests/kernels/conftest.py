"""The cortex_m4 kernels in one image, and how many examples each is tried with."""

from __future__ import annotations

import os
import shutil

import pytest
from arm import ArmKernels
from hypothesis import HealthCheck, settings

COMMON = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile("arm-kernels", max_examples=200, **COMMON)
settings.register_profile("nightly", max_examples=3000, **{**COMMON, "derandomize": False})
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "arm-kernels"))


@pytest.fixture(scope="session")
def arm(tmp_path_factory: pytest.TempPathFactory) -> ArmKernels:
    """The kernels of the cortex_m4 library."""
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("no compiler for the target (arm-none-eabi-gcc)")
    return ArmKernels(tmp_path_factory.mktemp("arm"))
