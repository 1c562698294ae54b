"""The portable kernels compile without a warning, for the host and for the target, and stay small."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "firmware_templates" / "kernels" / "portable"
FLAGS = (
    "-std=c11 -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes "
    "-Wdouble-promotion -Werror"
).split()
TARGET = "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -ffreestanding".split()
DS_CNN = "conv_2d depthwise_conv_2d average_pool_2d fully_connected softmax reshape".split()


def compiled(compiler: str, flags: list[str], source: Path, folder: Path) -> Path:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    made = folder / f"{source.stem}.o"
    run = subprocess.run(
        [compiler, *FLAGS, *flags, "-c", str(source), "-o", str(made)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return made


@pytest.mark.parametrize("source", sorted(SOURCES.glob("*.c")), ids=lambda path: path.stem)
@pytest.mark.parametrize("optimize", ["-O0", "-O2"])
def test_host(source: Path, optimize: str, tmp_path: Path) -> None:
    compiled("gcc", [optimize], source, tmp_path)


@pytest.mark.toolchain
@pytest.mark.parametrize("source", sorted(SOURCES.glob("*.c")), ids=lambda path: path.stem)
@pytest.mark.parametrize("optimize", ["-Os", "-O2"])
def test_target(source: Path, optimize: str, tmp_path: Path) -> None:
    compiled("arm-none-eabi-gcc", [*TARGET, optimize], source, tmp_path)


@pytest.mark.toolchain
def test_kernels_of_ds_cnn_are_small(tmp_path: Path) -> None:
    objects = [
        compiled("arm-none-eabi-gcc", [*TARGET, "-O2"], SOURCES / f"{name}.c", tmp_path) for name in DS_CNN
    ]
    rows = subprocess.run(
        ["arm-none-eabi-size", *map(str, objects)], capture_output=True, text=True, check=True
    ).stdout.splitlines()[1:]
    assert len(rows) == len(DS_CNN)
    assert sum(int(row.split()[0]) for row in rows) < 6 * 1024
