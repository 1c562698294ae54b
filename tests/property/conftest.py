"""How many examples, and the compiled kernels."""

from __future__ import annotations

import os
import shutil

import pytest
from hypothesis import HealthCheck, settings

from tests.property.c_kernels import Kernels

COMMON = {
    "deadline": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile("default-examples", max_examples=200, **COMMON)
settings.register_profile("nightly", max_examples=3000, **{**COMMON, "derandomize": False})
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default-examples"))


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    """The portable kernels as a shared library of the host."""
    if shutil.which("gcc") is None:
        pytest.skip("no host compiler (gcc)")
    return Kernels(tmp_path_factory.mktemp("kernels"))
