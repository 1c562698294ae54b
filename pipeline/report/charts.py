"""Where everything of a chart lies; the templates only print it.

Horizontal positions are percent of the plot's width and vertical ones pixels, so that a chart fills
any page while its text keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.build import WEIGHT_PARTS
from pipeline.report import words
from pipeline.report.inspected import decibels
from pipeline.report.pareto import ParetoChart, choices_chart
from pipeline.report.schema import (
    Arena,
    ArenaTensor,
    Estimated,
    EstimatedCost,
    Image,
    InspectionSection,
    Layer,
    Range,
    Report,
    Step,
    SymbolSize,
)

# With more columns than this, a layer's name no longer fits under its own.
NAMED_STEPS = 12
STEP_WIDTH, NAMED_STEP_WIDTH = 36, 64
# A tensor of a few bytes is drawn this tall, in pixels, so that it can be seen at all.
THINNEST_BOX = 2.5
SYMBOLS_SHOWN = 16
ARENA_HEIGHT = 300
TICKS = 5

# The order of parts in a bar and their colors in style.css: one color means one origin in flash and RAM.
PARTS = {
    "weights": "part0",
    "weights in RAM": "part0",
    "arena": "part0",
    "model code": "part1",
    "model data": "part1",
    "kernels": "part2",
    "code in RAM": "part2",
    "stack": "part2",
    "harness": "part3",
    "startup and HAL": "part4",
    "C library": "part5",
    "other": "part6",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One horizontal bar and the text behind it."""

    kind: str
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class LayerBars:
    """A layer's shares, one bar a series."""

    index: int
    name: str
    operator: str
    bars: tuple[Bar, ...]


def layer_bars(layers: Sequence[Layer]) -> tuple[LayerBars, ...]:
    """Each layer's share of MACs, of predicted and of measured work, on one common scale."""
    series = ("macs_share", "predicted_share", "share")
    kinds = dict(zip(series, ("macs", "predicted", "measured"), strict=True))
    shown = [s for s in series if any(getattr(layer, s) is not None for layer in layers)]
    top = max((getattr(layer, s) or 0 for layer in layers for s in shown), default=0) or 1
    return tuple(
        LayerBars(
            layer.index,
            layer.name,
            layer.operator,
            tuple(
                Bar(kinds[s], 100 * (getattr(layer, s) or 0) / top, words.share(getattr(layer, s)))
                for s in shown
            ),
        )
        for layer in layers
    )


def cost_bars(found: InspectionSection) -> tuple[LayerBars, ...]:
    """What each layer's own error adds to the noise at the model's output; empty where nobody knows."""
    known = [(index, layer) for index, layer in enumerate(found.layers) if layer.cost is not None]
    top = max((layer.cost or 0 for _, layer in known), default=0) or 1
    return tuple(
        LayerBars(
            index,
            layer.name,
            layer.operator,
            (
                Bar(
                    "cost",
                    100 * (layer.cost or 0) / top,
                    f"{words.share(layer.cost)}; own {decibels(layer.own)}, total {decibels(layer.total)}",
                ),
            ),
        )
        for index, layer in known
    )


@dataclass(frozen=True, slots=True)
class CycleKind:
    """A kind of cycles over one bar, from `x` over `width` percent."""

    name: str
    css: str
    cycles: int
    share: float
    x: float = 0.0
    width: float = 0.0


@dataclass(frozen=True, slots=True)
class CycleBar:
    """A layer's estimated cycles."""

    index: int
    name: str
    segments: tuple[CycleKind, ...]
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class CycleChart:
    """Every layer's cycles by kind, on one scale."""

    kinds: tuple[CycleKind, ...]
    rows: tuple[CycleBar, ...]


def cycle_chart(estimated: Estimated) -> CycleChart:
    """What the core needs, and what flash adds, layer by layer."""
    top = max((layer.cycles for layer in estimated.layers), default=0) or 1
    rows = []
    for layer in estimated.layers:
        width = 100 * layer.cycles / top
        text = f"{1000 * layer.seconds:.3g} ms, {words.share(layer.share)}"
        rows.append(CycleBar(layer.index, layer.name, _cycle_kinds(layer, width), width, text))
    return CycleChart(_cycle_kinds(estimated, 100.0), tuple(rows))


def _cycle_kinds(cost: EstimatedCost, width: float) -> tuple[CycleKind, ...]:
    kinds, x = [], 0.0
    for name, css, cycles in (
        ("zero-wait cycles", "part0", cost.zero_wait_cycles),
        ("fetch stalls", "part4", cost.fetch_stall_cycles),
        ("data stalls", "part1", cost.data_stall_cycles),
    ):
        share = cycles / (cost.cycles or 1)
        part = width * max(0.0, share)
        kinds.append(CycleKind(name, css, cycles, share, x, part))
        x += part
    return tuple(kinds)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a stacked bar, from `x` over `width` percent."""

    name: str
    kind: str
    x: float
    width: float
    bytes: int
    share: float
    """Of the image's, not of the bar's."""


def _segments(parts: dict[str, int], scale_bytes: int) -> tuple[Segment, ...]:
    total, x, made = sum(parts.values()) or 1, 0.0, []
    names = [*(n for n in PARTS if n in parts), *sorted(n for n in parts if n not in PARTS)]
    for name in names:
        if parts[name]:
            width = 100 * parts[name] / (scale_bytes or 1)
            made.append(
                Segment(name, PARTS.get(name, PARTS["other"]), x, width, parts[name], parts[name] / total)
            )
            x += width
    return tuple(made)


@dataclass(frozen=True, slots=True)
class SizeBar:
    """What one kind of memory holds, against what the board has."""

    title: str
    used_bytes: int
    scale_bytes: int
    segments: tuple[Segment, ...]

    @property
    def fill(self) -> float:
        return self.used_bytes / self.scale_bytes if self.scale_bytes else 0.0


def flash_bar(image: Image, scale_bytes: int = 0) -> SizeBar:
    """The image's flash by part; the bar is `scale_bytes` long, or as long as the image."""
    scale = max(scale_bytes, image.flash_bytes)
    return SizeBar("Flash", image.flash_bytes, scale, _segments(image.flash_parts, scale))


def ram_bar(image: Image, scale_bytes: int = 0) -> SizeBar:
    """The image's RAM by part."""
    scale = max(scale_bytes, image.ram_bytes)
    return SizeBar("RAM", image.ram_bytes, scale, _segments(image.ram_parts, scale))


def code_bar(image: Image) -> SizeBar:
    """Flash without the weights, enlarged: beside them the code would be a line."""
    parts = {name: size for name, size in image.flash_parts.items() if name not in WEIGHT_PARTS}
    used = sum(parts.values())
    return SizeBar("Code", used, used, _segments(parts, used))


@dataclass(frozen=True, slots=True)
class SymbolBar:
    """One symbol of the image; the bar is relative to the largest of its list."""

    name: str
    part: str
    kind: str
    width: float
    bytes: int
    share: float


def symbol_bars(image: Image, *, weights: bool, prefix: str) -> tuple[SymbolBar, ...]:
    """The largest symbols in flash, `prefix` left out: the constants of the model, or everything else."""
    stored = [
        s for s in image.symbols if "flash" in s.region and (s.part in WEIGHT_PARTS) is weights and s.bytes
    ]
    top = max((s.bytes for s in stored), default=1)
    return tuple(_symbol(s, top, image.flash_bytes, prefix) for s in stored[:SYMBOLS_SHOWN])


def _symbol(symbol: SymbolSize, top: int, flash_bytes: int, prefix: str) -> SymbolBar:
    return SymbolBar(
        symbol.name.removeprefix(prefix),
        symbol.part,
        PARTS.get(symbol.part, PARTS["other"]),
        100 * symbol.bytes / top,
        symbol.bytes,
        symbol.bytes / flash_bytes if flash_bytes else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Box:
    """A tensor's rectangle: x and width in percent, y and height in pixels from the top."""

    tensor: ArenaTensor
    label: str
    """The layer that writes it: names of tensors are long in TFLite files."""
    x: float
    width: float
    y: float
    height: float
    shade: int
    """0 to 2, so that neighbors can be told apart."""

    @property
    def title(self) -> str:
        t = self.tensor
        names = " = ".join((t.tensor, *t.aliases))
        steps = f"step {t.first}" if t.first == t.last else f"steps {t.first} to {t.last}"
        return (
            f"{names}: {words.shape(t.shape)} {t.dtype}, {words.count(t.bytes)} B "
            f"at {words.count(t.offset)}, {steps}"
        )


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class ArenaChart:
    """The arena over time: a column a step, the arena's start at the bottom."""

    height: int
    boxes: tuple[Box, ...]
    steps: tuple[Tick, ...]
    """The layers' indices, at the left of each column."""
    names: tuple[str, ...]
    """The layers' names where there is room for them, else empty."""
    column: float
    """Width of one step."""
    least_width: int
    """In pixels; on a narrower page the chart scrolls."""
    offsets: tuple[Tick, ...]
    peak_x: float | None
    bound_y: float
    gap_bytes: int


def arena_chart(arena: Arena, steps: Sequence[Step], layers: Sequence[Layer]) -> ArenaChart:
    """Every buffer over its lifetime.

    Where one is written over another in place, both live during that step; the older one is drawn to
    the step's middle and the newer one from there.
    """
    count = max(1, len(steps))
    column, scale = 100 / count, ARENA_HEIGHT / (arena.bytes or 1)
    boxes: list[Box] = []
    for number, tensor in enumerate(arena.tensors):
        left = tensor.first + (0.5 if any(_overwrites(tensor, other) for other in arena.tensors) else 0.0)
        right = tensor.last + (0.5 if any(_overwrites(other, tensor) for other in arena.tensors) else 1.0)
        boxes.append(
            Box(
                tensor,
                tensor.tensor if tensor.written_by is None else layers[tensor.written_by].name,
                x=left * column,
                width=max(right - left, 0.25) * column,
                y=ARENA_HEIGHT - tensor.offset * scale - max(tensor.bytes * scale, THINNEST_BOX),
                height=max(tensor.bytes * scale, THINNEST_BOX),
                shade=number % 3,
            )
        )
    return ArenaChart(
        height=ARENA_HEIGHT,
        boxes=tuple(boxes),
        steps=tuple(Tick(i * column, str(step.index)) for i, step in enumerate(steps)),
        names=tuple(step.name for step in steps) if len(steps) <= NAMED_STEPS else (),
        column=column,
        least_width=count * (NAMED_STEP_WIDTH if len(steps) <= NAMED_STEPS else STEP_WIDTH),
        offsets=tuple(Tick(ARENA_HEIGHT - value * scale, words.size(value)) for value in _marks(arena.bytes)),
        peak_x=None if arena.peak_step is None else arena.peak_step * column,
        bound_y=ARENA_HEIGHT - arena.lower_bound_bytes * scale,
        gap_bytes=arena.bytes - arena.lower_bound_bytes,
    )


def _overwrites(new: ArenaTensor, old: ArenaTensor) -> bool:
    """Whether `new` begins, during the last step of `old`, on some of its bytes."""
    began = -1 if old.role == "input" else old.first
    return (
        began < new.first == old.last
        and new.role != "input"
        and new.offset < old.offset + old.bytes
        and old.offset < new.offset + new.bytes
    )


def _marks(total: int) -> list[int]:
    """0, about TICKS values a power of two apart, and `total` itself in place of one too near to it."""
    step = 1
    while total > step * TICKS:
        step *= 2
    return [*(value for value in range(0, total, step) if total - value >= step / 2), total]


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the layers."""

    weights_bytes: int
    predicted_instructions: int | None
    count: int | None
    count_per_mac: float | None
    difference_percent: float | None


def totals(report: Report) -> Totals:
    """What the last row of the layers' table says; sums of figures that every layer has."""
    predicted = _sum([layer.predicted_instructions for layer in report.layers])
    count = _sum([step.count for step in report.steps])
    instructions = report.measured is not None and report.measured.unit == "instructions"
    return Totals(
        weights_bytes=sum(layer.weights_bytes for layer in report.layers),
        predicted_instructions=predicted,
        count=count,
        count_per_mac=count / report.model.macs if count is not None and report.model.macs else None,
        difference_percent=(
            100 * (count - predicted) / predicted
            if instructions and count is not None and predicted
            else None
        ),
    )


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


@dataclass(frozen=True, slots=True)
class Charts:
    """All that a page draws, and the few figures that it adds up."""

    totals: Totals
    fused: tuple[Layer, ...]
    """Layers that do the work of further operators."""
    together: tuple[Step, ...]
    """Steps of several layers."""
    most_saturated: Range | None
    layers: tuple[LayerBars, ...]
    costs: tuple[LayerBars, ...]
    """Of the layers that were inspected beside a float model."""
    cycles: CycleChart | None
    arena: ArenaChart
    flash: SizeBar | None
    ram: SizeBar | None
    parts: SizeBar | None
    code: SizeBar | None
    choices: ParetoChart | None
    weight_symbols: tuple[SymbolBar, ...]
    code_symbols: tuple[SymbolBar, ...]


def draw(report: Report) -> Charts:
    """Lay out every chart of a report."""
    image = report.linked
    prefix = f"{report.model.name}_"
    ranges = report.quantization.ranges if report.quantization else ()
    inspection = report.quantization.inspection if report.quantization else None
    return Charts(
        totals=totals(report),
        fused=tuple(layer for layer in report.layers if layer.fused),
        together=tuple(step for step in report.steps if len(step.layers) > 1),
        most_saturated=max(ranges, key=lambda r: r.saturated, default=None),
        layers=layer_bars(report.layers),
        costs=cost_bars(inspection) if inspection else (),
        cycles=cycle_chart(report.estimated) if report.estimated else None,
        arena=arena_chart(report.arena, report.steps, report.layers),
        flash=flash_bar(image, report.board.flash_bytes) if image else None,
        ram=ram_bar(image, report.board.ram_bytes) if image else None,
        parts=flash_bar(image) if image else None,
        code=code_bar(image) if image else None,
        choices=choices_chart(report.choices) if report.choices else None,
        weight_symbols=symbol_bars(image, weights=True, prefix=prefix) if image else (),
        code_symbols=symbol_bars(image, weights=False, prefix=prefix) if image else (),
    )
