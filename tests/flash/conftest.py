"""Fixtures of the tests around boards that are connected."""

from __future__ import annotations

import pytest
from desk import Desk
from racks import Labgrid

from pipeline.boards import load_board


@pytest.fixture(scope="session")
def nucleo():
    return load_board("nucleo_l4r5zi")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    return Desk(tmp_path, monkeypatch)


@pytest.fixture
def labgrid(desk, monkeypatch, tmp_path):
    return Labgrid(tmp_path, desk.bin, monkeypatch)
