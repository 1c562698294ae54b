"""Fixtures of the tests around firmware."""

from __future__ import annotations

import pytest

from pipeline.boards import load_board


@pytest.fixture(scope="session")
def mps2():
    return load_board("qemu_mps2_an386")


@pytest.fixture(scope="session")
def host():
    return load_board("host")
