"""Fixtures of the tests of the timing core."""

from __future__ import annotations

import shutil

import pytest

from tests.timing.core import load_core


@pytest.fixture(scope="session")
def core(tmp_path_factory):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler for this computer")
    return load_core(tmp_path_factory.mktemp("core"))
