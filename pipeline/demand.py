"""What an image is expected to take, and whether its board has that, before the compiler runs."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.boards import Board, boards_that_fit
from pipeline.build import kernel_level
from pipeline.compare import Prediction
from pipeline.errors import DoesNotFit
from pipeline.forecast import forecast_cycles
from pipeline.kernels import predicted_code_bytes, predicted_ram_code_bytes
from pipeline.lower import Program, place_bytes
from pipeline.schedule import Schedule
from pipeline.timing import TimingModel

HARNESS_RAM_BYTES = 512
"""Of the image besides arena, input copy and stack: command buffer, counters, C library (measured)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the image of a program is expected to take."""

    weights_bytes: int
    code_bytes: int
    ram_bytes: int
    code_in_ram_bytes: int
    """Of the RAM, code that is copied there. Where there is no room for it, it stays in flash."""

    @property
    def flash_bytes(self) -> int:
        return self.weights_bytes + self.code_bytes


def runs_from_ram(board: Board, optimize: str, code_in_ram: str = "auto") -> bool:
    """Whether kernels that ask for it run from RAM, where the board has some that is fetched without waiting.

    It wins little where the smallest scratch is wanted (its loops fit a cache), and is RAM itself.
    """
    fast = any(region.zero_wait_fetch for region in board.memory)
    return fast and code_in_ram == "auto" and optimize != "ram"


def sizes_of(program: Program, board: Board, optimize: str, code_in_ram: str = "auto") -> Sizes:
    """Expected sizes, from the plan and the kernels' own figures.

    Flash holds constants and code in RAM as well.
    """
    kernels = {f"{layer.library}/{layer.kernel}" for layer in program.layers}
    levels = {kernel: kernel_level(kernel, optimize) for kernel in kernels}
    input_bytes = sum(place_bytes(place) for place in program.inputs)
    ram_code = predicted_ram_code_bytes(levels) if runs_from_ram(board, optimize, code_in_ram) else 0
    return Sizes(
        weights_bytes=sum(constant.data.nbytes for constant in program.constants),
        code_bytes=predicted_code_bytes(levels, len(program.layers), board.is_stm32),
        ram_bytes=program.arena_bytes
        + program.weights_in_ram_bytes
        + input_bytes
        + ram_code
        + board.stack_bytes
        + HARNESS_RAM_BYTES,
        code_in_ram_bytes=ram_code,
    )


def predict(
    program: Program,
    schedule: Schedule,
    board: Board,
    model: TimingModel | None,
    optimize: str,
    code_in_ram: str = "auto",
) -> Prediction:
    """What the image is expected to need, from the plan and the kernels' own figures.

    Cycles are predicted for `model`'s board, where that has the image's core and a single figure is given.
    """
    forecast = None
    if model is not None and model.cpu == board.cpu and not model.is_bracket:
        from_ram = runs_from_ram(board, optimize, code_in_ram)
        forecast = forecast_cycles(schedule, model, optimize, from_ram=from_ram)
    sizes = sizes_of(program, board, optimize, code_in_ram)
    instructions = tuple(layer.predicted_instructions for layer in program.layers)
    if forecast:
        instructions = tuple(layer.instructions for layer in forecast.layers)
    return Prediction(
        weights_bytes=sizes.weights_bytes,
        code_bytes=sizes.code_bytes,
        flash_bytes=sizes.flash_bytes,
        arena_bytes=program.arena_bytes,
        ram_bytes=sizes.ram_bytes,
        code_in_ram_bytes=sizes.code_in_ram_bytes,
        instructions=sum(instructions),
        layer_instructions=instructions,
        one_macc_per_cycle_seconds=program.macs / board.hclk_hz,
        board=board.name,
        clock_hz=board.hclk_hz,
        cycles=forecast,
        basis={
            "weights_bytes": "all constants of the graph",
            "code_bytes": "sizes of the kernels in use on Cortex-M4, a table kept in pipeline/kernels",
            "flash_bytes": "weights and code",
            "arena_bytes": "the memory plan",
            "ram_bytes": "arena, weights and code in RAM, the harness's copy of the input, "
            f"{board.stack_bytes} bytes of stack, {HARNESS_RAM_BYTES} of harness and C library",
            "instructions": "cost formulas of the kernels, fitted on Cortex-M4 instruction counts",
            "layer_instructions": "cost formulas of the kernels, fitted on Cortex-M4 instruction counts",
            "one_macc_per_cycle_seconds": "a convention: one multiply-accumulate a clock cycle",
        },
    )


def refuse_what_cannot_fit(
    prediction: Prediction, board: Board, program: Program, weights_region: str | None = None
) -> None:
    """Raise DoesNotFit before the compiler runs, where the prediction already says so."""
    apart = program.weights_in_ram_bytes if weights_region not in {None, "ram"} else 0
    ram_bytes = prediction.ram_bytes - prediction.code_in_ram_bytes - apart
    demands = [
        ("flash", prediction.flash_bytes, board.flash_bytes),
        ("RAM", ram_bytes, board.ram_bytes),
    ]
    if weights_region and apart:
        demands.append((weights_region, apart, board.region(weights_region).length_bytes))
    for kind, needed, available in demands:
        if needed <= available:
            continue
        # Weights may lie in the flash of a board that has more of it.
        least_ram = prediction.ram_bytes - prediction.code_in_ram_bytes - program.weights_in_ram_bytes
        fitting = boards_that_fit(prediction.flash_bytes, least_ram, board)
        if kind != "RAM":
            largest = sorted(((call.weights_bytes, call.name) for call in program.calls), reverse=True)
        else:
            largest = sorted(((place_bytes(p), p.tensor) for p in program.tensors.values()), reverse=True)
        raise DoesNotFit(
            f"the model needs {needed:,} bytes of {kind}, {board.name} has {available:,}: "
            f"{needed - available:,} over",
            where=program.name,
            details=[f"{name}: {size:,} bytes" for size, name in largest[:5]],
            hint=f"boards that would fit: {', '.join(fitting) or 'none known'}; or make the model smaller",
        )
