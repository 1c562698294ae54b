"""What of a source tree depends on the board: HAL, start-up code, and where the linker puts what."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pipeline.boards import Board, Memory
from pipeline.chips import CHIPS, MHZ
from pipeline.errors import UsageError
from pipeline.registry import data_folder, nearest

# Cores whose MPU can deny access altogether (PMSAv7), and cores that know the lowest address of the stack.
MPU_DENIES = ("cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7")
STACK_LIMIT = ("cortex-m33", "cortex-m55")
# What a template is told of a board: the file it makes, the template, the variables.
TargetFiles = dict[str, tuple[str, dict[str, Any]]]
# Sections that sources may ask for: functions that run from RAM, and constants that are read there.
RAM_CODE, RAM_WEIGHTS = ".ramcode", ".ramweights"
# Code in RAM that is worth a place between the data: less than that stays in flash with the rest.
LEAST_CODE_BYTES = 8192
# Room for it where data that take all that they are given lie on both sides.
MOST_CODE_BYTES = 20 << 10
SPLIT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class RamNeeded:
    """What an image keeps in RAM besides code: bytes, rather too many than too few."""

    data: int = 0
    """Stack and data."""
    arena: int = 0
    weights: int = 0
    """Constants that are copied to RAM."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The linker's memory regions: no byte of the chip is in two of them."""

    regions: tuple[Memory, ...]
    data: str
    """Region of stack and data."""
    arena: str
    weights: str
    """Region of constants in RAM."""
    code: str | None
    """Region of code in RAM; None: it stays in flash."""


NOTHING_NEEDED = RamNeeded()


def plan_layout(
    board: Board, needed: RamNeeded, *, code_in_ram: bool = True, weights_region: str | None = None
) -> Layout:
    """Give code in RAM the memory that fetches without waiting, where the data leave enough of it.

    Where that memory is a part of `ram` under a second address, the linker is given what lies before it,
    as much of it as the data leave for code, and what lies behind it, as regions of their own. Code and data
    share its bus only where code would have too little room; data that leave none have all RAM in one
    piece. Fast memory takes the arena before constants: these lie in it too where there is room, else in
    `ram`; or in `weights_region`, one of `weights_regions`.
    """
    data = board.data_region.name
    first = needed.data + needed.arena
    arena = board.arena_region(first + (needed.weights if weights_region == data else 0)).name
    weights = weights_region or board.arena_region(first + needed.weights).name
    own = tuple(region for region in board.memory if region.alias is None)
    code = next((region for region in board.memory if region.zero_wait_fetch), None) if code_in_ram else None
    if code is None or code.alias is None:
        return Layout(own, data, arena, weights, code.name if code else None)
    whole = next(r for r in own if r.origin <= code.alias < r.end)
    others = tuple(region for region in own if region is not whole)
    start = code.alias - whole.origin
    end = start + code.length_bytes
    large = needed.arena + (needed.weights if weights == whole.name else 0)

    def cut(front_bytes: int, code_from: int, code_to: int) -> tuple[Memory, Memory, Memory]:
        """The whole as front, code and what lies behind the code: offsets into it."""
        return (
            replace(whole, length_bytes=front_bytes),
            replace(code, origin=code.origin + code_from - start, length_bytes=code_to - code_from),
            replace(
                whole, name=f"{whole.name}_behind", origin=whole.origin + code_to,
                length_bytes=whole.length_bytes - code_to,
            ),
        )  # fmt: skip

    split = max(start, -(-(needed.data + large) // SPLIT_BYTES) * SPLIT_BYTES)
    if split == start:  # all data before the code
        front, rest, _ = cut(start, start, end)
        return Layout((*others, front, rest), data, arena, weights, code.name)
    # By bytes that are left for code.
    found: list[tuple[int, Layout]] = []
    # Stack and data before the code, the large part behind it and perhaps into its memory.
    to = min(end, (whole.length_bytes - large) // SPLIT_BYTES * SPLIT_BYTES)
    if needed.data <= start:
        front, rest, behind = cut(start, start, max(start, to))
        far = behind.name if weights == whole.name else weights
        found.append((to - start, Layout((*others, front, rest, behind), data, behind.name, far, code.name)))
    # All data before the code, and into its memory.
    front, rest, _ = cut(min(split, end), min(split, end), end)
    found.append((end - split, Layout((*others, front, rest), data, arena, weights, code.name)))
    # The arena with the data before it, the constants behind it.
    split = end - MOST_CODE_BYTES
    front, rest, behind = cut(split, split, end)
    apart = weights == whole.name and needed.weights <= behind.length_bytes
    if apart and needed.data + needed.arena <= split:
        far_layout = Layout((*others, front, rest, behind), data, arena, behind.name, code.name)
        found.append((MOST_CODE_BYTES, far_layout))
    room, layout = max(found, key=lambda each: min(each[0], MOST_CODE_BYTES))
    return layout if room >= LEAST_CODE_BYTES else Layout(own, data, arena, weights, None)


def largest_piece(board: Board) -> int:
    """Bytes of RAM that are left in one piece where code in RAM lies in the middle of it."""
    code = next((region for region in board.memory if region.zero_wait_fetch), None)
    if code is None or code.alias is None:
        return board.ram_bytes
    whole = next(r for r in board.memory if r.alias is None and r.origin <= code.alias < r.end)
    return max(code.alias - whole.origin, whole.end - code.alias - code.length_bytes)


def weights_regions(board: Board) -> tuple[str, ...]:
    """The regions that constants can be copied into when the target starts."""
    return tuple(r.name for r in board.memory if "w" in r.access and r.alias is None)


def check_weights_region(board: Board, name: str) -> None:
    """UsageError E_WEIGHTS_REGION where constants cannot be copied into this region of the board."""
    possible = weights_regions(board)
    if name in possible:
        return
    region = next((region for region in board.memory if region.name == name), None)
    if region is None:
        problem = f"{board.name} has no memory region {name!r}"
    elif region.alias is not None:
        problem = f"{name} of {board.name} is a part of its other memory, under a second address"
    else:
        problem = f"{name} of {board.name} cannot be written when the target starts"
    near = nearest(name, possible)
    raise UsageError(
        problem,
        code="E_WEIGHTS_REGION",
        hint=(f"did you mean {near}? " if near else "")
        + f"weights can be copied into: {', '.join(possible)}",
    )


def sections_in_ram(sources: Iterable[str]) -> frozenset[str]:
    """Those of RAM_CODE and RAM_WEIGHTS that the texts of C and assembly place something in."""
    return frozenset(
        section
        for text in sources
        for section in (RAM_CODE, RAM_WEIGHTS)
        if re.search(rf"{re.escape(section)}\b", text)
    )


def hal_sources(board: Board) -> dict[str, str]:
    """The C of a board's HAL, by path in the source tree: its family's file, and what that includes.

    A header brings the C file of its name along.
    """
    folder = data_folder("board")
    wanted = [f"soc/{board.soc}.c"]
    sources: dict[str, str] = {}
    while wanted:
        name = wanted.pop()
        if f"board/{name}" in sources:
            continue
        text = sources[f"board/{name}"] = (folder / name).read_text(encoding="utf-8")
        for header in re.findall(r'^#include "board/(soc/\w+\.h)"', text, re.MULTILINE):
            wanted.append(header)
            if (folder / header).with_suffix(".c").is_file():
                wanted.append(header.removesuffix(".h") + ".c")
    return dict(sorted(sources.items()))


def target_files(
    board: Board,
    needed: RamNeeded = NOTHING_NEEDED,
    in_ram: frozenset[str] = frozenset(),
    *,
    code_in_ram: bool = True,
    weights_region: str | None = None,
) -> TargetFiles:
    """What of the source tree depends on the board: path -> (template, its variables).

    `in_ram`: the sections in RAM that the other sources use. `code_in_ram`: whether code may be there.
    `weights_region`: where constants in RAM go, if not where plan_layout has room.
    """
    files: TargetFiles = {
        "target/board.h": ("target/board.h.j2", {"board": board, "defines": _defines(board)})
    }
    if board.cpu != "native":
        code = code_in_ram and RAM_CODE in in_ram
        layout = plan_layout(board, needed, code_in_ram=code, weights_region=weights_region)
        sections = {"code_in_ram": layout.code is not None, "weights_in_ram": RAM_WEIGHTS in in_ram}
        files["target/link.ld"] = ("target/link.ld.j2", {"board": board, "layout": layout, **sections})
        files["target/startup.c"] = (
            "target/startup.c.j2",
            {
                "board": board,
                "mpu_denies": board.cpu in MPU_DENIES,
                "has_stack_limit": board.cpu in STACK_LIMIT,
                **sections,
            },
        )
    return files


def renode_files(board: Board) -> TargetFiles:
    """Renode's description of a board, for its folder: path -> (template, variables); or nothing."""
    template = f"renode/{board.soc}.repl.j2"
    if not board.is_stm32 or not (data_folder("firmware_templates") / template).is_file():
        return {}
    variables = {
        "board": board,
        "uart": board.console.uart.lower(),
        "mips": board.hclk_hz // MHZ,
        "timer_hz": board.timer_hz,
        "memory": _renode_memory(board),
    }
    return {
        f"{board.name}.repl": (template, variables),
        f"{board.name}.resc": ("renode/platform.resc.j2", variables),
    }


def _renode_memory(board: Board) -> list[dict[str, Any]]:
    """All memory, each byte once: what has two addresses is cut out of the region that it is a part of."""
    pieces = []
    for whole in (region for region in board.memory if region.alias is None):
        name, start = whole.name, whole.origin
        for other in board.memory:
            if other.alias is not None and whole.origin <= other.alias < whole.end:
                pieces += _renode_piece(name, other.alias - start, start)
                pieces += _renode_piece(other.name, other.length_bytes, other.alias, other.origin)
                name, start = f"{whole.name}_behind", other.alias + other.length_bytes
        pieces += _renode_piece(name, whole.end - start, start)
    return pieces


def _renode_piece(name: str, length_bytes: int, *addresses: int) -> list[dict[str, Any]]:
    """One entry of a platform file; none where nothing is left."""
    at = "; ".join(f"sysbus 0x{address:08X}" for address in addresses)
    where = f"{{ {at} }}" if len(addresses) > 1 else at
    return [{"name": name, "where": where, "length_bytes": length_bytes}] if length_bytes else []


def _defines(board: Board) -> dict[str, int]:
    """The numbers of a board that its HAL needs, by the names of their macros."""
    defines = {"BOARD_HCLK_HZ": board.hclk_hz, "BOARD_BAUD": board.console.baud}
    if board.chip:
        defines |= {f"BOARD_CHIP_{board.chip}": 1}
    if board.chip not in CHIPS:
        return defines
    defines |= {
        f"BOARD_SOC_{board.soc.upper()}": 1,
        f"BOARD_{board.cpu.upper().replace('-', '_')}": 1,
        **{f"BOARD_PLL_{letter.upper()}": factor for letter, factor in board.clock.pll.items()},
        "BOARD_FLASH_LATENCY": board.clock.flash_latency,
        "BOARD_AHB_DIVIDER": board.clock.ahb_divider,
        "BOARD_APB1_DIVIDER": board.clock.apb1_divider,
        "BOARD_APB2_DIVIDER": board.clock.apb2_divider,
        f"BOARD_UART_{board.console.uart}": 1,
        "BOARD_UART_FUNCTION": board.console.alternate_function,
    }
    if CHIPS[board.chip].uart_fifo:
        defines["BOARD_UART_FIFO"] = 1
    for role, pin in (("TX", board.console.tx), ("RX", board.console.rx)):
        defines |= {f"BOARD_{role}_PORT": ord(pin[1]) - ord("A"), f"BOARD_{role}_PIN": int(pin[2:])}
    return defines
