"""Options and fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# A busy machine is no failure: no test has a time limit of its own.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--shared",
        type=Path,
        default=os.environ.get("STM32_DEPLOY_SHARED"),
        help="folder with data/cifar10 and models/mlperf_tiny for the tests that measure on real data",
    )
    parser.addoption("--graphs", type=int, default=200, help="random graphs for tests/fuzz")
    parser.addoption("--first-seed", type=int, default=0, help="the seed of the first of them")


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The folder of real data and models; tests that need it are skipped where there is none."""
    folder = request.config.getoption("--shared")
    if folder is None or not Path(folder).is_dir():
        pytest.skip("no real data: name a folder with --shared=DIR or STM32_DEPLOY_SHARED")
    return Path(folder)


@pytest.fixture(scope="session")
def reference_model() -> Path:
    """The trained reference model that the project ships."""
    return ROOT / "models" / "cifar10_cnn" / "cifar10_cnn.keras"
