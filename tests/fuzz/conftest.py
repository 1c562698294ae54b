"""Batches of seeds: so many graphs share one compilation."""

from __future__ import annotations

import pytest

BATCH = 50


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        first, count = (int(metafunc.config.getoption(name)) for name in ("--first-seed", "--graphs"))
        seeds = range(first, first + count)
        batches = [seeds[at : at + BATCH] for at in range(0, count, BATCH)]
        metafunc.parametrize("seeds", batches, ids=lambda batch: f"{batch[0]}-{batch[-1]}")
