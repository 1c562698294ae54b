"""A chip that does not do its part: each wait ends, its reason is told, and the board answers all the same.

Every wait of board/soc/ is broken once on every family that has it, on the virtual board: the flag reads as
it would if the hardware were dead, and nothing else changes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.boards import list_boards, load_board
from pipeline.build import build_firmware
from pipeline.registry import data_folder
from pipeline.runners import Stimulus
from pipeline.runners.unicorn import Unicorn
from pipeline.targets import hal_sources
from pipeline.virtual.peripherals.base import Peripheral
from tests.firmware.small_model import small_layers, small_tree

SAMPLES = np.random.default_rng(3).integers(0, 256, (1, 24), dtype=np.uint8)
HAL = "board/soc/stm32.c"
# Polls until a wait is given up: on the board a hundred times as many.
PATIENCE, LESS_PATIENCE = "#define PATIENCE 100000u", "#define PATIENCE 1000u"


@dataclass(frozen=True)
class Dead:
    """Bits of a register that read as `stuck`, whatever happens, and what the board then says."""

    peripheral: str
    register: str
    bits: int
    reason: str
    stuck: int = 0
    after: tuple[str, str, int] | None = None
    """Only once these bits of another register have been set."""
    slow: bool = True
    """Whether the board stays at its reset clock."""

    def __str__(self) -> str:
        return self.reason.split(" (")[0]


HSI = Dead("RCC", "CR", 1 << 1, "HSI did not start (HSIRDY)")
HSI16 = Dead("RCC", "CR", 1 << 10, "HSI16 did not start (HSIRDY)")
PLL = Dead("RCC", "CR", 1 << 25, "the PLL did not lock (PLLRDY)")
SWITCH = Dead("RCC", "CFGR", 3 << 2, "the core did not switch to the PLL (SWS)")
PLL1 = Dead("RCC", "CR", 1 << 25, "PLL1 did not lock (PLL1RDY)")
LATENCY = Dead("FLASH", "ACR", 15, "the flash wait states were not taken (FLASH_ACR)")
L4_G4 = (
    Dead("PWR", "SR2", 1 << 10, "voltage range 1 was not reached (VOSF)", stuck=1 << 10),
    HSI16, LATENCY, PLL, SWITCH,
)  # fmt: skip
F4_F7 = (
    HSI,
    Dead("PWR", "CSR", 1 << 16, "over-drive did not come up (ODRDY)"),
    Dead("PWR", "CSR", 1 << 17, "over-drive did not take over (ODSWRDY)"),
    LATENCY, PLL,
    Dead("PWR", "CSR", 1 << 14, "the regulator did not reach its scale (VOSRDY)"),
    SWITCH,
)  # fmt: skip


def acknowledge(uart: str) -> Dead:
    return Dead(uart, "ISR", 3 << 21, "the UART did not answer (TEACK, REACK)", slow=False)


# A board of each family, MHz of its reset clock, and what can be dead there.
DEAD = {
    "nucleo_l4r5zi": (4, (*L4_G4, acknowledge("LPUART1"))),
    "nucleo_g474re": (16, (*L4_G4, acknowledge("LPUART1"))),
    "nucleo_f446re": (16, F4_F7),
    "nucleo_f767zi": (16, (*F4_F7, acknowledge("USART3"))),
    "nucleo_h743zi2": (64, (
        Dead("PWR", "CSR1", 1 << 13, "the supply is not ready (ACTVOSRDY)"),
        Dead("PWR", "D3CR", 1 << 13, "voltage scale 1 was not reached (VOSRDY)"),
        Dead("PWR", "D3CR", 1 << 13, "voltage scale 0 was not reached (VOSRDY)",
             after=("SYSCFG", "PWRCR", 1)),
        Dead("RCC", "CR", 1 << 2, "HSI did not start (HSIRDY)"),
        PLL1, LATENCY,
        Dead("RCC", "CFGR", 7 << 3, "the core did not switch to PLL1 (SWS)"),
        acknowledge("USART3"),
    )),
    "nucleo_u575zi_q": (4, (
        Dead("PWR", "VOSR", 1 << 15, "voltage range 1 was not reached (VOSRDY)"),
        HSI16, PLL1,
        Dead("PWR", "VOSR", 1 << 14, "the regulator's booster is not ready (BOOSTRDY)"),
        LATENCY,
        Dead("RCC", "CFGR1", 3 << 2, "the core did not switch to PLL1 (SWS)"),
        Dead("ICACHE", "SR", 1, "the instruction cache stays busy (BUSYF)", stuck=1, slow=False),
        acknowledge("USART1"),
    )),
}  # fmt: skip
CASES = [(name, dead) for name, (_, parts) in DEAD.items() for dead in parts]


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The small model's image of a board, built once, that gives up sooner."""
    built = {}

    def build(name):
        if name not in built:
            board = load_board(name)
            hal = small_tree(board).files[HAL]
            assert PATIENCE in hal
            tree = small_tree(board, extra={HAL: hal.replace(PATIENCE, LESS_PATIENCE)})
            built[name] = build_firmware(tree, board, tmp_path_factory.mktemp(name))
        return built[name]

    return build


@pytest.mark.toolchain
@pytest.mark.simulator
@pytest.mark.parametrize(("name", "dead"), CASES, ids=lambda value: str(value))
def test_a_wait_that_nothing_ends(name, dead, image, monkeypatch):
    read, asked = Peripheral.read, []

    def read_dead(self, offset):
        value = read(self, offset)
        if self.name != dead.peripheral or offset != self.registers[dead.register].offset:
            return value
        if dead.after:
            other, register, bits = dead.after
            if not self.chip.named[other].values[register] & bits:
                return value
        asked.append(value)
        return value & ~dead.bits | dead.stuck

    monkeypatch.setattr(Peripheral, "read", read_dead)
    board = load_board(name)
    transcript = Unicorn(patient=True).run(image(name), board, Stimulus(SAMPLES))
    assert asked, "the firmware never looked"
    assert transcript.outputs[0].tobytes() == small_layers(SAMPLES[0].tobytes())[-1]
    assert [note for note in transcript.notes if "start-up reports" in note] == [
        f"the board's start-up reports: {dead.reason}"
    ]
    mhz = DEAD[name][0] if dead.slow else board.hclk_hz / 1e6
    assert transcript.counter == f"DWT CYCCNT at {mhz:g} MHz"


def test_no_wait_of_any_family_is_forgotten():
    assert {load_board(name).soc for name in DEAD} == {b.soc for b in list_boards() if b.is_stm32}
    for name, (_, parts) in DEAD.items():
        sources = hal_sources(load_board(name))
        said = [
            reason
            for path, text in sources.items()
            for reason in re.findall(r'stm32_wait\([^;{]*?"([^"]+)"\)', text)
            # F4's UART is of the kind that does not acknowledge.
            if not (path.endswith("stm32_uart.c") and load_board(name).soc == "stm32f4")
        ]
        assert sorted(said) == sorted(dead.reason for dead in parts)


def test_every_poll_has_a_limit():
    """A loop without a body that looks at a register counts down as well."""
    for path in sorted((data_folder("board") / "soc").glob("*.c")):
        for loop in re.findall(r"\b(?:while|for) ?\((.*)\)\n? *;", path.read_text(encoding="utf-8")):
            assert "wait != 0" in loop, f"{path.name}: {loop}"
