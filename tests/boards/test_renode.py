"""Renode's platform files of the boards: up to date, well formed, and of models that Renode has.

`python -m tests.boards.test_renode` rewrites them. CLASSES was read from the classes in
renode-infrastructure, OF_RENODE from the platform files in renode. Renode itself could not be installed where
this was written.
"""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import jinja2
import pytest

from pipeline.boards import Board, list_boards, load_board
from pipeline.registry import data_folder
from pipeline.targets import renode_files

PAGE = 0x1000
BOARDS = [board.name for board in list_boards() if renode_files(board)]
# The constructor's parameters, and properties, that a platform file may set.
CLASSES = {
    "CPU.CortexM": {"cpuType", "nvic", "PerformanceInMips", "numberOfMPURegions"},
    "IRQControllers.NVIC": {"systickFrequency", "priorityMask"},
    "Miscellaneous.DWT": {"frequency"},
    "Memory.MappedMemory": {"size"},
    "Timers.STM32_Timer": {"frequency", "initialLimit"},
    "UART.STM32F7_USART": {"frequency", "lowPowerMode"},
    "GPIOPort.STM32_GPIOPort": {"numberOfAFs", "modeResetValue"},
    "Python.PythonPeripheral": {"size", "initable", "script"},
}
# What the platforms that are built upon define already.
OF_RENODE = {
    "platforms/boards/nucleo_f767zi.repl": {
        "cpu": "CPU.CortexM", "nvic": "IRQControllers.NVIC", "dwt": "Miscellaneous.DWT",
        "usart3": "UART.STM32F7_USART",
    },
    "platforms/cpus/stm32h743.repl": {
        "cpu": "CPU.CortexM", "nvic": "IRQControllers.NVIC", "timer2": "Timers.STM32_Timer",
        "usart3": "UART.STM32F7_USART",
    },
}  # fmt: skip


def rendered(board: Board) -> dict[Path, str]:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder("firmware_templates")),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    folder = data_folder("board") / board.name
    return {
        folder / name: environment.get_template(template).render(variables)
        for name, (template, variables) in renode_files(board).items()
    }


def entries(text: str) -> dict[str, tuple[str | None, str, dict[str, str]]]:
    """Name -> (class, or None where an entry is only amended; where it is registered; properties)."""
    text = re.sub(r"'''.*?'''", "'''", text, flags=re.DOTALL)
    found: dict[str, tuple[str | None, str, dict[str, str]]] = {}
    for line in text.splitlines():
        if not line or line.startswith(("//", "using ", "'''")):
            continue
        head = re.fullmatch(r"(\w+):(?: ([\w.]+) @ (sysbus(?: .+)?|\{ sysbus .+ \}))?", line)
        inside = re.fullmatch(r"    (?:(\w+): (.+)|(?:\w+ )?-> \w+@\d+)", line)
        assert head or inside, f"no line of a platform file: {line!r}"
        if head:
            assert head[1] not in found, f"{head[1]} is defined twice"
            name = head[1]
            found[name] = (head[2], head[3] or "", {})
        elif inside and inside[1]:
            found[name][2][inside[1]] = inside[2]
    return found


@pytest.fixture(params=BOARDS)
def board(request):
    return load_board(request.param)


@pytest.fixture
def platform(board):
    return (data_folder("board") / board.name / f"{board.name}.repl").read_text(encoding="utf-8")


def test_there_are_platforms_of_three_families():
    assert {load_board(name).soc for name in BOARDS} == {"stm32l4", "stm32f7", "stm32h7"}


def test_the_files_are_those_of_the_templates(board):
    for path, text in rendered(board).items():
        assert path.read_text(encoding="utf-8") == text


def test_classes_and_properties_are_those_of_renode(platform):
    base = re.findall(r'^using "(.+)"$', platform, re.MULTILINE)
    known = OF_RENODE[base[0]] if base else {}
    for name, (kind, _, properties) in entries(platform).items():
        assert (kind is None) == (name in known), f"{name}: defined by {base or 'nobody'}"
        assert set(properties) <= CLASSES[kind or known[name]], name


def test_the_clocks_are_those_of_the_board(board, platform):
    found = entries(platform)
    assert found["dwt"][2]["frequency"] == str(board.hclk_hz)
    assert int(found["cpu"][2]["PerformanceInMips"]) * 1_000_000 == board.hclk_hz
    assert found[board.console.uart.lower()][2]["frequency"] == str(board.uart_hz)
    assert found["timer2"][2]["frequency"] == str(board.timer_hz)


@pytest.mark.parametrize(
    "board", [name for name in BOARDS if load_board(name).soc == "stm32l4"], indirect=True
)
def test_memory_is_that_of_the_board(board, platform):
    """On the other families it is of Renode's own platform."""
    seen: dict[int, str] = {}
    for name, (kind, where, properties) in entries(platform).items():
        if kind == "Memory.MappedMemory":
            for start in addresses(where):
                size = int(properties["size"], 0)
                seen |= {start + offset: f"{name} + {offset}" for offset in range(0, size, PAGE)}
    for region in board.memory:
        pages = range(region.origin, region.end, PAGE)
        assert seen.keys() >= set(pages), region.name
        if region.alias is not None:
            assert [seen[page] for page in pages] == [
                seen[page] for page in range(region.alias, region.alias + region.length_bytes, PAGE)
            ]


def addresses(where: str) -> list[int]:
    """Of an entry: most have one, memory on two buses has two."""
    return [int(start, 16) for start in re.findall(r"sysbus <?(0x[0-9A-F]+)", where)]


def test_no_two_peripherals_overlap(platform):
    spans = []
    for name, (kind, where, properties) in entries(platform).items():
        span = re.search(r", \+(0x[0-9A-F]+)>", where)
        size = int(span[1] if span else properties.get("size", "0x400"), 0)
        if kind:
            spans += [(start, start + size, name) for start in addresses(where)]
    spans.sort()
    for one, other in pairwise(spans):
        # The DWT and the NVIC lie in the core's own page.
        assert one[1] <= other[0], f"{one[2]} overlaps {other[2]}"


def test_the_scripts_of_registers_answer_as_the_hardware_would(platform):
    """Renode runs them in IronPython: here the same text runs in Python, with a request like Renode's."""
    scripts = re.findall(r"script: '''\n(.*?)'''", platform, re.DOTALL)
    for script in scripts:
        scope: dict[str, object] = {}

        def ask(kind, offset=0, value=0, script=script, scope=scope):
            request = type("Request", (), {"Offset": offset, "Value": value})()
            for name in ("Init", "Read", "Write"):
                setattr(request, f"Is{name}", name == kind)
            scope["request"] = request
            exec(script, scope)  # text of this repository
            return request.Value

        ask("Init")
        assert ask("Read", 0x00) & 0x2 == 0x2, "MSI is ready after reset"
        assert ask("Read", 0x00) & 0x0200_0400 == 0
        ask("Write", 0x00, 0x0100_0100)
        assert ask("Read", 0x00) == 0x0300_0500
        ask("Write", 0x08, 0x3)
        assert ask("Read", 0x08) == 0xF


if __name__ == "__main__":
    for name in BOARDS:
        for path, text in rendered(load_board(name)).items():
            path.write_text(text, encoding="utf-8")
