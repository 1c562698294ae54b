"""Cross-layer equalization: channels of very different size are brought to one size, the function stays.

All channels of an activation share one scale, so a channel that reaches to 0.1 beside one that reaches to
10 keeps three of its eight bits. Dividing what makes channel i by s_i > 0 and multiplying the weights that
read it by s_i changes nothing in float, as long as all between the two is homogeneous: f(s x) = s f(x).

Homogeneous are ReLU, leaky ReLU, poolings, zero padding, and a clamp whose ends are divided as well.
ReLU6 is none, and its ceiling is seldom out of reach: it becomes a ReLU and a ceiling of its own for each
channel, 6 / s_i, which is exact. On the target that is a clamp as the convolution stores its output.

With weights quantized per output channel the layer before loses nothing by any s. What remains is to
weigh the activation's channels against the weights that read them:

    s_i = sqrt(peak_i / column_i)

where peak_i is the largest magnitude of channel i on the samples and column_i the largest weight that
reads it, each relative to its output channel's largest. A depthwise convolution reads each channel with a
scale of its own, so that there column_i is 1 and the peaks are made equal: s_i = peak_i.

Source: M. Nagel, M. van Baalen, T. Blankevoort, M. Welling, "Data-Free Quantization Through Weight
Equalization and Bias Correction", ICCV 2019 (section 4.1), there for weights quantized per tensor; peaks
of activations in place of the first layer's weights after E. Meller, A. Finkelstein, U. Almog, M. Grobman,
"Same, Same But Different", ICML 2019.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.quantize.ranges import Observed
from pipeline.quantize.tflite_graph import Activation, Operator, TfliteGraph

# Operators with weights: the axis of the output's channels, and that of the input's.
OUTPUT_AXIS = {Operator.CONV_2D: 0, Operator.FULLY_CONNECTED: 0, Operator.DEPTHWISE_CONV_2D: 3}
INPUT_AXIS = {Operator.CONV_2D: 3, Operator.FULLY_CONNECTED: 1, Operator.DEPTHWISE_CONV_2D: 3}
# f(s x) = s f(x) channel by channel, whatever their attributes.
HOMOGENEOUS = frozenset(
    {Operator.RELU, Operator.LEAKY_RELU, Operator.MAX_POOL_2D, Operator.AVERAGE_POOL_2D, Operator.PAD}
)
CLAMPS = frozenset({Operator.MAXIMUM, Operator.MINIMUM})
CEILING = 6.0
MOST = 64.0
"""A channel is scaled by no more than this, and by no less than its inverse, beside the middle one."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Two layers with weights, and what lies between them."""

    first: Any
    between: tuple[Any, ...]
    second: Any
    channels: int


@dataclass(frozen=True, slots=True)
class Equalized:
    """One chain that was scaled."""

    first: str
    second: str
    spread_before: float
    """Largest by smallest peak of a channel between the two, of those that are not zero."""
    spread_after: float
    ceilings: bool
    """Whether a ReLU6 became a ceiling for each channel."""

    def __str__(self) -> str:
        words = f"{self.first} to {self.second}: channels {self.spread_before:.0f} times apart"
        words += f" brought to {self.spread_after:.1f}"
        return words + (", ReLU6 as a ceiling per channel" if self.ceilings else "")


Scales = Callable[[TfliteGraph, Chain, np.ndarray], np.ndarray]
"""(graph, chain, peaks float64 (channels,)): float64 (channels,), what each channel is divided by."""


def equalize(graph: TfliteGraph, observed: Mapping[int, Observed]) -> tuple[Equalized, ...]:
    """Scale every chain of the graph, in execution order; constants change and the function does not.

    Ranges of the activations that were scaled no longer hold: measure them again.
    """
    return scale_channels(graph, observed, _scales)


def scale_channels(
    graph: TfliteGraph, observed: Mapping[int, Observed], scales_of: Scales
) -> tuple[Equalized, ...]:
    """As `equalize`, by other scales: those that set channels apart show what it is good for."""
    done = []
    for first in graph.operators:
        chain = _chain_from(graph, first)
        if chain is None:
            continue
        held = observed.get(int(chain.between[-1].outputs[0] if chain.between else first.outputs[0]))
        if held is None:
            continue
        peaks = held.channel_peaks.reshape(-1, chain.channels).max(axis=0).astype(np.float64)
        scales = scales_of(graph, chain, peaks)
        if np.allclose(scales, 1, rtol=1e-3):
            continue
        done.append(_apply(graph, chain, peaks, scales))
    return tuple(done)


# --- where -------------------------------------------------------------------------------------------


def _chain_from(graph: TfliteGraph, first: Any) -> Chain | None:
    """From a layer with weights to the next one, if all between is homogeneous and read by nothing else."""
    kind = graph.kind(first)
    if kind not in OUTPUT_AXIS or not _has_own_constants(graph, first, (1, 2)):
        return None
    if first.builtinOptions.fusedActivationFunction not in (
        Activation.NONE, Activation.RELU, Activation.RELU6,
    ):  # fmt: skip
        return None
    channels = _weights(graph, first).shape[OUTPUT_AXIS[kind]]
    between: list[Any] = []
    tensor = int(first.outputs[0])
    while (reader := graph.only_reader(tensor)) is not None:
        if graph.kind(reader) in INPUT_AXIS:
            fits = int(reader.inputs[0]) == tensor and _reads_channels(graph, reader, channels)
            return Chain(first, tuple(between), reader, channels) if fits else None
        if not _is_homogeneous(graph, reader, tensor, channels):
            return None
        between.append(reader)
        tensor = int(reader.outputs[0])
    return None


def _weights(graph: TfliteGraph, operator: Any) -> np.ndarray:
    weights = graph.constant(int(operator.inputs[1]))
    assert weights is not None
    return weights


def _has_own_constants(graph: TfliteGraph, operator: Any, inputs: tuple[int, ...]) -> bool:
    """Whether those inputs (missing ones aside) are constants that no other operator reads."""
    named = [int(operator.inputs[i]) for i in inputs if i < len(operator.inputs)]
    return all(
        graph.constant(tensor) is not None and len(graph.readers(tensor)) == 1
        for tensor in named
        if tensor >= 0
    )


def _reads_channels(graph: TfliteGraph, reader: Any, channels: int) -> bool:
    """Whether the layer's weights tell the channels apart; flattened pictures keep them innermost."""
    if not _has_own_constants(graph, reader, (1,)):
        return False
    read: int = _weights(graph, reader).shape[INPUT_AXIS[graph.kind(reader)]]
    if graph.kind(reader) == Operator.FULLY_CONNECTED:
        return read % channels == 0
    # Fewer are groups of a convolution; more are several outputs of a depthwise one for each input.
    return read == channels


def _is_homogeneous(graph: TfliteGraph, operator: Any, tensor: int, channels: int) -> bool:
    kind = graph.kind(operator)
    fused = getattr(operator.builtinOptions, "fusedActivationFunction", Activation.NONE)
    if fused not in (Activation.NONE, Activation.RELU):
        return False
    shape = graph.shape(tensor)
    if kind in CLAMPS:
        constant = graph.constant(_other(operator, tensor))
        return (
            constant is not None
            and constant.size in (1, channels)
            and (constant.size == 1 or constant.shape[-1] == channels)
        )
    if kind == Operator.PAD:
        padding = graph.constant(int(operator.inputs[1]))
        return padding is not None and not padding[-1].any()
    if kind == Operator.MEAN:
        axes = graph.constant(int(operator.inputs[1]))
        return axes is not None and not {-1, len(shape) - 1} & {int(axis) for axis in axes.reshape(-1)}
    if kind == Operator.RESHAPE:  # of what ends in channels: to anything whose last axis is whole pictures
        return shape[-1] == channels and graph.shape(int(operator.outputs[0]))[-1] % channels == 0
    return kind in HOMOGENEOUS


def _other(operator: Any, tensor: int) -> int:
    return next((int(index) for index in operator.inputs if int(index) != tensor), -1)


# --- by how much -------------------------------------------------------------------------------------


def _scales(graph: TfliteGraph, chain: Chain, peaks: np.ndarray) -> np.ndarray:
    """float64 (channels,): what each channel is divided by; their middle is 1, dead channels keep 1."""
    columns = _columns(graph, chain)
    alive = (peaks > 0) & (columns > 0)
    scales = np.ones(chain.channels)
    if alive.any():
        scales[alive] = (
            peaks[alive]
            if graph.kind(chain.second) == Operator.DEPTHWISE_CONV_2D
            else np.sqrt(peaks[alive] / columns[alive])
        )
        scales[alive] /= np.exp(np.log(scales[alive]).mean())
    return np.clip(scales, 1 / MOST, MOST)


def _columns(graph: TfliteGraph, chain: Chain) -> np.ndarray:
    """float64 (channels,): the largest weight that reads a channel, relative to its row's largest."""
    if graph.kind(chain.second) == Operator.DEPTHWISE_CONV_2D:
        return np.ones(chain.channels)
    weights = _weights(graph, chain.second)
    rows = np.abs(weights.astype(np.float64)).reshape(weights.shape[0], -1, chain.channels)
    largest = rows.max(axis=(1, 2), keepdims=True)
    columns: np.ndarray = (rows / np.where(largest > 0, largest, 1)).max(axis=(0, 1))
    return columns


# --- doing it ----------------------------------------------------------------------------------------


def _apply(graph: TfliteGraph, chain: Chain, peaks: np.ndarray, scales: np.ndarray) -> Equalized:
    first, second = chain.first, chain.second
    weights_axis = OUTPUT_AXIS[graph.kind(first)]
    _scale(graph, int(first.inputs[1]), 1 / scales, weights_axis)
    if len(first.inputs) > 2 and int(first.inputs[2]) >= 0:
        _scale(graph, int(first.inputs[2]), 1 / scales, 0)
    ceilings = first.builtinOptions.fusedActivationFunction == Activation.RELU6
    tensor = int(first.outputs[0])
    if ceilings:
        first.builtinOptions.fusedActivationFunction = Activation.RELU
        constant = graph.add_constant(f"{graph.name(tensor)}/ceiling", CEILING / scales)
        tensor = int(graph.insert_behind(first, Operator.MINIMUM, constant).outputs[0])
    for operator in chain.between:
        if graph.kind(operator) in CLAMPS:
            place = next(i for i, index in enumerate(operator.inputs) if int(index) != tensor)
            constant_index = int(operator.inputs[place])
            held = graph.constant(constant_index)
            assert held is not None
            inputs = np.array(operator.inputs, np.int32)
            inputs[place] = graph.add_constant(f"{graph.name(constant_index)}/scaled", held / scales)
            operator.inputs = inputs
        tensor = int(operator.outputs[0])
    _scale(graph, int(second.inputs[1]), scales, INPUT_AXIS[graph.kind(second)])
    alive = peaks > 0
    after = peaks[alive] / scales[alive]
    return Equalized(
        first=graph.name(int(first.outputs[0])).split("/")[0].split(";")[0],
        second=graph.name(int(second.outputs[0])).split("/")[0].split(";")[0],
        spread_before=float(peaks[alive].max() / peaks[alive].min()),
        spread_after=float(after.max() / after.min()),
        ceilings=ceilings,
    )


def _scale(graph: TfliteGraph, tensor: int, factors: np.ndarray, axis: int) -> None:
    """Multiply along an axis; an axis that holds several pictures of channels repeats the factors."""
    held = graph.constant(tensor)
    assert held is not None
    repeated = np.tile(factors, held.shape[axis] // len(factors))
    shape = [1] * held.ndim
    shape[axis] = -1
    graph.set_constant(tensor, held.astype(np.float64) * repeated.reshape(shape))
