"""Batches of seeds: so many graphs share one compilation."""

from __future__ import annotations

import pytest

BATCH = 50
ARM_SHARE = 5
"""Of so many graphs, one also runs on the simulated core, at least one."""
KERAS_SHARE = 10
"""One damaged Keras file for so many graphs."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    first, count = (int(metafunc.config.getoption(name)) for name in ("--first-seed", "--graphs"))
    for fixture, share in (("seeds", 1), ("arm_seeds", ARM_SHARE), ("keras_seeds", KERAS_SHARE)):
        if fixture in metafunc.fixturenames:
            seeds = range(first, first + -(-count // share))
            batches = [seeds[at : at + BATCH] for at in range(0, len(seeds), BATCH)]
            metafunc.parametrize(fixture, batches, ids=lambda batch: f"{batch[0]}-{batch[-1]}")
