"""Cycles of a scheduled model on a board, by the kernels' cost formulas: before anything is built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.build import kernel_level
from pipeline.graph import Graph
from pipeline.kernels.costs import forecast
from pipeline.schedule import Schedule, Step
from pipeline.timing import TimingModel


@dataclass(frozen=True, slots=True)
class LayerForecast:
    """What one layer is predicted to cost; the three kinds of cycles sum to `cycles`."""

    name: str
    operator: str
    kernel: str
    """`<library>/<kernel>`"""
    macs: int
    instructions: int
    zero_wait_cycles: int
    fetch_stall_cycles: int
    data_stall_cycles: int
    median_error_percent: float | None
    """Of the formula, over the shapes that it was fitted on, each left out in turn; None: not fitted."""
    worst_error_percent: float | None

    @property
    def cycles(self) -> int:
        return self.zero_wait_cycles + self.fetch_stall_cycles + self.data_stall_cycles

    @property
    def low_cycles(self) -> int | None:
        return self._off(-1)

    @property
    def high_cycles(self) -> int | None:
        return self._off(1)

    def _off(self, sign: int) -> int | None:
        if self.worst_error_percent is None:
            return None
        return round(self.cycles * (1 + sign * self.worst_error_percent / 100))


@dataclass(frozen=True, slots=True)
class CycleForecast:
    """Predicted cycles of one inference; a layer's band is that of its kernel's worst shape."""

    board: str
    board_title: str
    clock_hz: int
    layers: tuple[LayerForecast, ...]

    @property
    def cycles(self) -> int:
        return sum(layer.cycles for layer in self.layers)

    @property
    def instructions(self) -> int:
        return sum(layer.instructions for layer in self.layers)

    @property
    def seconds(self) -> float:
        return self.cycles / self.clock_hz

    @property
    def low_cycles(self) -> int | None:
        """All layers at the lower end of their bands at once; None where one has none."""
        return _sum(layer.low_cycles for layer in self.layers)

    @property
    def high_cycles(self) -> int | None:
        return _sum(layer.high_cycles for layer in self.layers)

    @property
    def words(self) -> str:
        """What stands behind the figures, in a sentence."""
        if self.low_cycles is None:
            return (
                "Predicted by the kernels' cost formulas; of some kernels no formula was fitted, so that no "
                "error is stated."
            )
        return (
            "Predicted by the kernels' cost formulas, fitted on profiles of many shapes in the timing model; "
            "the band is each formula's worst error on shapes that it was not fitted on."
        )


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def forecast_cycles(
    schedule: Schedule, model: TimingModel, optimize: str, *, from_ram: bool = True
) -> CycleForecast:
    """Predicted cycles of each layer of a schedule on `model`'s board, compiled for the aim `optimize`.

    `from_ram`: code that asks for RAM runs from there, if the board has some that is fit.
    """
    layers = tuple(
        _forecast_layer(schedule.graph, step, position, model, optimize, from_ram)
        for step in schedule.steps
        for position in range(len(step.nodes))
    )
    return CycleForecast(model.board, model.title, model.clock_hz, layers)


def _forecast_layer(
    graph: Graph, step: Step, position: int, model: TimingModel, optimize: str, from_ram: bool
) -> LayerForecast:
    """By the kernel's formula; where it has none, by its own account and what its arrays cost in flash."""
    node, candidate = step.nodes[position], step.candidates[position]
    kernel = f"{candidate.library}/{candidate.kernel}"
    level = kernel_level(kernel, optimize)
    found = forecast(kernel, candidate.work, model.board, level, from_ram=from_ram)
    reads = candidate.flash_read_bytes / model.read_bytes
    more = step.calls_too_many(graph, position)
    return LayerForecast(
        name=node.name,
        operator=node.op.tflite_name,
        kernel=kernel,
        macs=graph.macs(node),
        instructions=round(more * (found.instructions if found else candidate.cost.instructions)),
        zero_wait_cycles=round(more * (found.zero_wait_cycles if found else candidate.cost.cycles)),
        fetch_stall_cycles=round(more * found.fetch_stall_cycles) if found else 0,
        data_stall_cycles=round(
            more * (found.data_stall_cycles if found else reads * model.data_miss_cycles)
        ),
        median_error_percent=found.band.median_percent if found else None,
        worst_error_percent=found.band.worst_percent if found else None,
    )
