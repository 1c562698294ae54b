"""Virtual boards: every STM32 board boots at full clock and answers; what hardware would not do is an error.

The mutations are of the firmware's sources, so that the register models are held against mistakes that are
really compiled, linked and executed.
"""

from __future__ import annotations

import socket
import threading
from dataclasses import replace

import numpy as np
import pytest

from pipeline.boards import list_boards, load_board
from pipeline.build import build_firmware
from pipeline.errors import TargetFailed, UsageError
from pipeline.runners import Source, Stimulus
from pipeline.runners.protocol import Limits
from pipeline.runners.unicorn import Unicorn, family_of
from pipeline.virtual import machine
from tests.firmware.small_model import small_layers, small_tree

pytestmark = [pytest.mark.toolchain, pytest.mark.simulator]
STM32 = [board.name for board in list_boards() if board.is_stm32]
SAMPLES = np.random.default_rng(5).integers(0, 256, (2, 24), dtype=np.uint8)
ONE = Stimulus(SAMPLES[:1], timed_runs=2)
L4 = "nucleo_l4r5zi"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("firmware")


@pytest.fixture
def run(folder):
    """Build the small model for a board, with parts of its sources replaced, and run it."""

    def build_and_run(name=L4, changes=(), last="", stimulus=ONE, runner=None, **options):
        board = load_board(name)
        files = small_tree(board, last=last).files
        changed = {}
        for path, old, new in changes:
            text = changed.get(path, files[path])
            assert old in text, f"{old!r} is not in {path}"
            changed[path] = text.replace(old, new)
        firmware = build_firmware(small_tree(board, last=last, extra=changed), board, folder / name)
        return (runner or Unicorn()).run(firmware, board, stimulus, **options)

    yield build_and_run
    assert "virtual board" not in [thread.name for thread in threading.enumerate()], "it still runs"


def fail(run, *arguments, **options):
    with pytest.raises(TargetFailed) as raised:
        run(*arguments, **options)
    return raised.value


# ---- every board ----


def test_every_stm32_board_has_a_virtual_one():
    assert len(STM32) >= 9
    assert all(load_board(name).simulators[0] == "unicorn" for name in STM32)


@pytest.mark.parametrize("name", STM32)
def test_a_board_boots_at_its_full_clock_and_answers(run, name):
    transcript = run(name, stimulus=Stimulus(SAMPLES, layer_dumps=(1,)))
    assert [row.tobytes() for row in transcript.outputs] == [
        small_layers(row.tobytes())[-1] for row in SAMPLES
    ]
    assert transcript.board == name
    assert transcript.counter == f"DWT CYCCNT at {load_board(name).hclk_hz / 1e6:g} MHz"
    assert transcript.source is Source.INSTRUCTIONS
    assert transcript.notes == (), "no problem at start-up, no retry, an exact count"
    state = transcript.state
    assert (state.wait_states, state.interrupts) == (load_board(name).clock.flash_latency, ())
    # What each family has of its own; all of it is on.
    assert dict(state.accelerators) == dict.fromkeys(ACCELERATORS[load_board(name).soc], True)


def test_what_is_off_is_told(run):
    """The state is read from the registers while measuring, not repeated from what start-up meant to do."""
    only_instructions = (CLOCK, "(FLASH_ACR & ~15u) | BOARD_FLASH_LATENCY | BIT(8) | BIT(9) | BIT(10);",
                         "BOARD_FLASH_LATENCY | BIT(9);")  # fmt: skip
    state = run(changes=[only_instructions, (HAL, "core_hz = raised", MASKED)]).state
    assert dict(state.accelerators) == {"prefetch": False, "instruction cache": True, "data cache": False}
    assert state.interrupts_masked


HEADER = "target/board.h"
CLOCK, HAL, UART = "board/soc/stm32l4_g4.c", "board/soc/stm32.c", "board/soc/stm32_uart.c"
MASKED = '__asm volatile("cpsid i"); core_hz = raised'
ART = ("prefetch", "instruction cache", "data cache")
L1 = ("instruction cache", "data cache")
ACCELERATORS = {
    "stm32f4": ART, "stm32g4": ART, "stm32l4": ART, "stm32u5": ART[:2], "stm32h7": L1,
    "stm32f7": ("prefetch of itcm bus", "art of itcm bus", *L1),
}  # fmt: skip


@pytest.mark.parametrize("name", STM32)
def test_one_wait_state_too_few_is_noticed_on_every_board(run, name):
    latency = load_board(name).clock.flash_latency
    change = (HEADER, f"BOARD_FLASH_LATENCY  {latency}u", f"BOARD_FLASH_LATENCY  {latency - 1}u")
    error = fail(run, name, [change])
    assert error.code == "E_VIRTUAL_LATENCY"
    assert f"with {latency - 1} flash wait states" in error.problem
    assert "clock_init" in error.problem


# ---- mistakes in the firmware ----

MISTAKES = {
    "PLL out of range": ((HEADER, "BOARD_PLL_N          30u", "BOARD_PLL_N          50u"), "E_VIRTUAL_PLL",
                         "VCO output is 400 MHz"),
    "PLL's input out of range": ((HEADER, "BOARD_PLL_M          2u", "BOARD_PLL_M          1u"),
                                 "E_VIRTUAL_PLL", "PLLM is 16 MHz"),
    "PLL configured while on": ((CLOCK, "RCC_CR |= BIT(24);", "RCC_CR |= BIT(24); RCC_PLLCFGR ^= BIT(8);"),
                                "E_VIRTUAL_PLL", "while it runs"),
    "PLL not waited for": ((CLOCK, "stm32_wait(&RCC_CR, BIT(25), BIT(25)", "stm32_wait(&RCC_CR, 0u, 0u"),
                           "E_VIRTUAL_CLOCK", "before its ready flag"),
    "HSI not turned on": ((CLOCK, "RCC_CR |= BIT(8);", "(void)0;"), "E_VIRTUAL_WAIT",
                          "RCC at 0x40021000 is polled"),
    "not boosted": ((CLOCK, "PWR_CR5 &= ~BIT(8);", "(void)0;"), "E_VIRTUAL_VOLTAGE", "range 1 allows 80 MHz"),
    "too large a step": ((CLOCK, "(boosted ? 8u << 4 : 0u) |", ""), "E_VIRTUAL_CLOCK", "half of it"),
    "too short a step": ((CLOCK, "wait = 100u", "wait = 1u"), "E_VIRTUAL_CLOCK", "at least 1 us"),
    "PWR without clock": ((CLOCK, "RCC_APB1ENR1 |= BIT(28);", "(void)0;"), "E_VIRTUAL_GATED", "PWR"),
    "GPIO without clock": ((HAL, "*stm32_family.gpio_enable |= BIT(port);", "(void)0;"),
                           "E_VIRTUAL_GATED", "GPIOG"),
    "VddIO2 not enabled": (("board/soc/stm32l4.c", "PWR_CR2 |= BIT(9);", "(void)0;"),
                           "E_VIRTUAL_SUPPLY", "IOSV"),
    "wrong function": ((HEADER, "BOARD_UART_FUNCTION  8u", "BOARD_UART_FUNCTION  7u"), "E_VIRTUAL_PIN",
                       "PG7 is not the TX of LPUART1: its alternate function is AF7, expected AF8"),
    "wrong mode": ((HAL, "2u * pin, 3u, 2u", "2u * pin, 3u, 1u"), "E_VIRTUAL_PIN", "its mode is output"),
    "wrong baud": ((UART, "BOARD_BAUD * 256u", "BOARD_BAUD * 264u"), "E_VIRTUAL_BAUD", "at 115200"),
    "baud of another clock": ((HAL, "core_hz / stm32_family.uart.bus_divider", "4000000u"), "E_VIRTUAL_BAUD",
                              "its clock is 120 MHz"),
    "UART without clock": ((UART, "*stm32_family.uart.enable |=", "(void)"),
                           "E_VIRTUAL_GATED", "LPUART1"),
    "transmitter off": ((UART, "CR1_FIFOEN | CR1_TE", "CR1_FIFOEN"), "E_VIRTUAL_UART", "TE is 0"),
    "reserved bits": ((CLOCK, "BIT(8) | BIT(9) | BIT(10);", "BIT(8) | BIT(31);"), "E_VIRTUAL_RESERVED",
                      "FLASH_ACR"),
    "no such register": ((HAL, "core_hz = raised", "REGISTER(0x40013000u) = 1u; core_hz = raised"),
                         "E_VIRTUAL_UNMAPPED", "0x40013000"),
    "an interrupt": ((HAL, "core_hz = raised", "REGISTER(0xE000E010u) = 7u; core_hz = raised"),
                     "E_VIRTUAL_INTERRUPT", "SysTick"),
    "a line of the NVIC": ((HAL, "core_hz = raised", "REGISTER(0xE000E108u) = BIT(6); core_hz = raised"),
                           "E_VIRTUAL_INTERRUPT", "line 70 of the NVIC"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed_and_its_function_named(run, mistake):
    change, code, words = MISTAKES[mistake]
    error = fail(run, changes=[change])
    assert error.code == code
    assert words in error.problem
    assert " at 0x080" in error.problem
    assert any(name in error.problem for name in ("init", "uart", "hal_", "stm32_wait"))


OTHER_FAMILIES = {
    "F4: a clock that is used at once": ("nucleo_f446re", HAL, "(void)*stm32_family.gpio_enable;", "",
                                         "E_VIRTUAL_GATED"),
    "G4: too large a step": ("nucleo_g474re", CLOCK, "(boosted ? 8u << 4 : 0u) |", "", "E_VIRTUAL_CLOCK"),
    "F4: over-drive": ("nucleo_f446re", "board/soc/stm32f4.c", "OVERDRIVE_ABOVE_HZ 168000000u",
                       "OVERDRIVE_ABOVE_HZ 180000000u", "E_VIRTUAL_VOLTAGE"),
    "F4: scale": ("nucleo_f446re", "board/soc/stm32f4.c", "#define SCALE 3u", "#define SCALE 2u",
                  "E_VIRTUAL_VOLTAGE"),
    "F4: APB1": ("nucleo_f446re", HEADER, "BOARD_APB1_DIVIDER   4u", "BOARD_APB1_DIVIDER   2u",
                 "E_VIRTUAL_CLOCK"),
    "F7: over-drive": ("nucleo_f767zi", "board/soc/stm32f7.c", "OVERDRIVE_ABOVE_HZ 180000000u",
                       "OVERDRIVE_ABOVE_HZ 216000000u", "E_VIRTUAL_VOLTAGE"),
    "G4: function": ("nucleo_g474re", HEADER, "BOARD_UART_FUNCTION  12u", "BOARD_UART_FUNCTION  8u",
                     "E_VIRTUAL_PIN"),
    "H7: scale 0": ("nucleo_h743zi2", "board/soc/stm32h7.c", "SYSCFG_PWRCR |= BIT(0);", ";",
                    "E_VIRTUAL_VOLTAGE"),
    "H7: PLL's input range": ("nucleo_h743zi2", "board/soc/stm32h7.c", "PLL1RGE << 2", "0u << 2",
                              "E_VIRTUAL_PLL"),
    "H7: write delay": ("nucleo_h743zi2", "board/soc/stm32h7.c", "WRHIGHFREQ << 4", "1u << 4",
                        "E_VIRTUAL_LATENCY"),
    "U5: booster": ("nucleo_u575zi_q", "board/soc/stm32u5.c", "PWR_VOSR |= BIT(18);", "(void)0;",
                    "E_VIRTUAL_WAIT"),
    "U5: range": ("nucleo_u575zi_q", "board/soc/stm32u5.c", "VOSR, 16u, 3u, 3u", "VOSR, 16u, 3u, 2u",
                  "E_VIRTUAL_VOLTAGE"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", OTHER_FAMILIES)
def test_a_mistake_in_another_family_is_noticed(run, mistake):
    name, path, old, new, code = OTHER_FAMILIES[mistake]
    assert fail(run, name, [(path, old, new)]).code == code


def test_a_counter_that_stays_locked_is_not_used(run):
    """An M7 ignores writes to its DWT until it is unlocked: the firmware has to fall back to SysTick."""
    change = ("board/soc/stm32_counter.c", "DWT_LAR = 0xC5ACCE55u;", "(void)0;")
    transcript = run("nucleo_f767zi", [change])
    assert transcript.counter == "SysTick at 216 MHz"
    assert transcript.totals == run("nucleo_f767zi").totals


# ---- faults ----

FAULTS = {
    "null read": (
        '__asm volatile("mov r0, #0\\n ldr r0, [r0, #4]" ::: "r0");',
        "reads 0x00000004, through a null pointer",
    ),
    "null write": ("*(volatile uint32_t *)0u = 1u;", "writes 0x00000000, through a null pointer"),
    "null call": ("((void (*)(void))1u)();", "executes 0x00000000, through a null pointer"),
    "hole": ("*(volatile uint32_t *)0x60000000u = 1u;", "writes 0x60000000"),
    "flash": ("*(volatile uint32_t *)0x08000000u = 1u;", "writes 0x08000000, which is not allowed there"),
    "beyond RAM": ("(void)*(volatile uint32_t *)0x200A0000u;", "reads 0x200a0000"),
    "undefined": ('__asm volatile("udf #0");', "undefined instruction"),
    "stack overflow": ('__asm volatile("1: push {r0-r7}\\n b 1b");', "stack overflow"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_names_address_function_and_layer(run, fault):
    last, words = FAULTS[fault]
    error = fail(run, last=last)
    assert error.code == "E_TARGET_FAULT"
    assert "in layer 2" in error.problem
    assert words in error.problem
    if fault != "null call":  # a tail call leaves no trace of its function
        assert "negate" in error.problem
    assert "pc=" in error.details[0]


@pytest.mark.parametrize("name", ["nucleo_h743zi2", "nucleo_u575zi_q", "nucleo_g474re"])
def test_the_stack_is_guarded_by_limit_or_mpu_too(run, name):
    error = fail(run, name, last='__asm volatile("1: push {r0-r7}\\n b 1b");')
    assert error.code == "E_TARGET_FAULT"
    assert "stack overflow" in error.problem


WORD = "*(volatile uint32_t *)"
REGION = f"{WORD}0xE000ED9Cu = 0x20001011u; {WORD}0xE000EDA0u = 1u << 28 | 11u << 1 | 1u;"


def test_a_region_of_a_running_mpu_is_enforced_at_once(run):
    """4 KB at 0x20001000, written while the MPU is on; what lies before it may still be read."""
    error = fail(run, last=f"{REGION} (void){WORD}0x20000FFCu; (void){WORD}0x20001000u;")
    assert "reads 0x20001000, which is not allowed there" in error.problem


@pytest.mark.parametrize("name", ["nucleo_h743zi2", "nucleo_f767zi"])
def test_a_null_pointer_is_noticed_where_ram_lies_at_0(run, name):
    assert "null pointer" in fail(run, name, last="(void)*(volatile uint32_t *)0u;").problem


def test_a_sleep_without_end_is_told(run):
    error = fail(run, last='__asm volatile("wfi");')
    assert error.code == "E_VIRTUAL_HALTED"


# ---- counting ----

LOOP = '{{ uint32_t n = {}u; __asm volatile("1: subs %0, #1\\n bne 1b" : "+r"(n) :: "cc"); }}'
SKIPS = '{{ uint32_t n = {}u; __asm volatile("1: cmp %0, #0\\n it eq\\n moveq r1, #1\\n subs %0, #1\\n bne 1b" : "+r"(n) :: "cc", "r1"); }}'  # noqa: E501


@pytest.mark.parametrize(("loop", "turn"), [(LOOP, 2), (SKIPS, 5)])
def test_counts_are_exact_to_the_instruction(run, loop, turn):
    short, long = (run(last=loop.format(turns)) for turns in (1000, 101_007))
    assert long.totals[0] - short.totals[0] == turn * 100_007
    assert long.layers[0][2] - short.layers[0][2] == turn * 100_007
    assert len({*long.totals}) == len({*long.layers}) == 1


def test_without_a_compiler_the_count_is_unicorns_and_says_so(run, monkeypatch):
    """What an IT skips is then not counted: one instruction a turn here."""
    exact = [run(last=SKIPS.format(turns)).totals[0] for turns in (1000, 2000)]
    with monkeypatch.context() as patch:
        patch.setattr(machine, "build_library", no_compiler)
        rough = [run(last=SKIPS.format(turns)) for turns in (1000, 2000)]
    assert exact[1] - exact[0] == 5 * 1000
    assert rough[1].totals[0] - rough[0].totals[0] == 4 * 1000
    assert any("IT skips" in note for note in rough[0].notes)


def no_compiler(*arguments):
    from pipeline.errors import BuildFailed

    raise BuildFailed("no compiler here", code="E_HOST_COMPILER")


# ---- the runner ----


def test_an_endless_layer_is_given_up(run):
    limits = Limits(reply_s=0.5, inference_s=0.5, drain_s=0.2)
    error = fail(run, last="for (volatile int on = 1; on != 0;) ;", runner=Unicorn(limits=limits))
    assert error.code == "E_TARGET_SILENT"


def test_a_keyboard_interrupt_leaves_nothing_running(run):
    def interrupt(stage, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=interrupt)


def test_a_busy_port_is_told_and_left_in_peace(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        error = fail(run, runner=Unicorn(port=taken.getsockname()[1]))
    assert error.code == "E_PORT_BUSY"


def test_a_port_that_was_asked_for_is_used(run):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    assert len(run(runner=Unicorn(port=number)).outputs) == 1


def test_a_board_without_a_virtual_one():
    with pytest.raises(UsageError) as raised:
        family_of(load_board("qemu_mps2_an386"))
    assert raised.value.code == "E_RUNNER_UNFIT"


def test_another_chip_of_a_known_family():
    with pytest.raises(UsageError) as raised:
        family_of(replace(load_board(L4), chip="STM32L4P5"))
    assert raised.value.code == "E_RUNNER_UNFIT"
    assert "STM32L4R5" in raised.value.problem
