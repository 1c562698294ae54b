"""Where int8 differs from float, layer by layer: how much, in which direction, and what it costs at the end.

With q the real values of a tensor of the int8 model, f those of the float model that it was made of, and g
what the float layer makes of the very inputs that the int8 layer read (their real values):

- a layer's **own** error is q - g: its rounded weights, its rounding, what it saturates, and nothing else;
- the **total** error is q - f: its own and all that arrived from the layers before it;
- its **cost** is what its own error, added to its output in the float model, changes at the model's output.
  The model's outputs are judged before a last SOFTMAX or LOGISTIC, which flatten what they are given.

To first order the changes that all layers cause add up to the int8 model's error; `explained` says how
nearly they do. An error is told as SQNR = 10 log10(sum f^2 / sum (q - f)^2), the cosine between q and f,
and the bias, the mean of q - f.

Integers are those of TFLite's reference kernels, which the target has to reproduce. Samples are run one
by one: memory holds the activations of one sample, a few times over, however many samples there are. Of
a model that takes long, fewer samples are run (`PRODUCTS`, `COST_PRODUCTS`).

TensorFlow's own `QuantizationDebugger` is not used: it inspects a file of its own making, by kernels that
are not the reference ones, and knows no cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.load.samples import spread
from pipeline.metrics import predicted_classes
from pipeline.progress import Progress
from pipeline.quantize.predict import dequantize, make_interpreter, quantize_input
from pipeline.quantize.tflite_graph import Activation, Operator, TfliteGraph
from pipeline.quantize.twins import (
    BETWEEN,
    KIND_NAMES,
    WEIGHTED,
    Pair,
    clamped,
    cut_apart,
    pair_layers,
    perturbable,
    products,
)

INPUT = "INPUT"
"""In an operator's place."""
SAMPLES, FEWEST_SAMPLES = 64, 4
COSTED_SAMPLES, FEWEST_COSTED = 32, 2
PRODUCTS = 2e10
"""Multiplications of all inferences by the reference kernels: about half a minute."""
COST_PRODUCTS = 2e11
"""Of all inferences by the fast float kernels."""
FLATTENING = frozenset({Operator.SOFTMAX, Operator.LOGISTIC, Operator.LOG_SOFTMAX})
FEWEST_CHANNELS = 4
"""Below that no channel is told from the others."""
SPOILING_SHARE, MOST_SPOILING = 1 / 8, 8
SPOILING_FACTOR = 2.0
"""So many channels at most, without which the range would shrink by this, spoil it for the others."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far real values are from those that they stand for."""

    sqnr_db: float | None
    """Signal to quantization noise; None where nothing differs, or where there is no signal."""
    cosine: float | None
    """Between the two, as vectors; None where either is zero throughout."""
    bias: float
    """Mean of the difference."""
    rms: float
    """Root of its mean square."""


@dataclass(frozen=True, slots=True)
class ChannelRange:
    """What one channel of a tensor held."""

    channel: int
    minimum: float
    maximum: float


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A tensor whose one scale is set by a few of its channels."""

    by: tuple[ChannelRange, ...]
    factor: float
    """How many times wider the range is than without them."""


@dataclass(frozen=True, slots=True)
class InspectedLayer:
    """An input, or the output of an operator, in int8 and in float; ranges are of real values."""

    name: str
    """As in the user's model."""
    tensor: str
    operator: str
    """TFLite's name, or INPUT."""
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    low: float
    high: float
    """The smallest and the largest value that its integers can stand for."""
    minimum: float
    maximum: float
    """Seen: in float where there is a float model, else in int8."""
    unused: float
    """Share of the integers' range, 0 to 1, that lies outside of those that were seen."""
    at_low: float
    at_high: float
    """Shares of integers that are the smallest one, and the largest one."""
    floor: bool
    ceiling: bool
    """Whether the layer itself clamps there (ReLU, ReLU6, SOFTMAX, ...), or where its values came from."""
    clipped: float | None
    """Share of float values beyond what the integers can stand for, by more than half a step."""
    own: Deviation | None
    total: Deviation | None
    channel_bias: float | None
    """The largest own bias of a channel, by magnitude: what a correction of its bias would take back."""
    weights_db: float | None
    """SQNR of the int8 weights against the float ones; None without weights."""
    cost: float | None
    """Share of the noise at the model's output that is this layer's, 0 to 1. None where that is unknown: the
    layer's error alone leads to what is no number."""
    cost_db: float | None
    """SQNR of the model's output if this layer's were the only error; None where it makes none."""
    changed: int | None
    """Of the costed samples, those whose predicted class this layer's own error changes."""
    channels: int
    constant_channels: int
    """That hold one integer, for all samples and positions."""
    lost_channels: int | None
    """Of these, those that vary in float: by two steps, or a tenth as much as the one that varies most."""
    spoiled: Spoiled | None


@dataclass(frozen=True, slots=True)
class Inspection:
    """An int8 model, layer by layer."""

    samples: int
    costed_samples: int
    """On which costs were measured."""
    layers: tuple[InspectedLayer, ...]
    """In order of execution; the inputs first."""
    judged: tuple[str, ...]
    """The tensors whose errors the costs are."""
    output_db: float | None
    """SQNR there, of the int8 model as it is."""
    explained: float | None
    """Share of the int8 model's error there, 0 to 1, that the layers' own errors add up to."""
    predicted: tuple[int, ...]
    """The class of each sample by the int8 model; empty where the model names no class."""
    predicted_float: tuple[int, ...]
    """By the float model; empty where there is none."""
    without_float: str
    """Why nothing is held against float; empty where it is."""
    unmatched: tuple[str, ...]
    """Layers that the float model does not have."""


NO_FLOAT = (
    "The model was given as int8, so there is no float model to hold it against: only ranges are known. "
    "Give the Keras model to see what int8 costs."
)


def inspect_quantization(
    tflite: bytes,
    float_tflite: bytes | None,
    inputs: Sequence[np.ndarray],
    *,
    names: Mapping[str, str],
    labelled: bool = False,
    progress: Progress | None = None,
) -> Inspection:
    """Run the int8 file beside the float one that it was made of, on float32 inputs (N, *shape) each.

    `names` are the layers' names by the tensors that they write. `labelled`: the largest value of the
    output is a class, also where no SOFTMAX says so. At most SAMPLES are run, evenly spaced; fewer of a
    model that takes long.
    """
    integers = TfliteGraph(tflite)
    real = TfliteGraph(float_tflite) if float_tflite else None
    pairs = pair_layers(integers, real) if real else ()
    count = _affordable(PRODUCTS, products(integers), SAMPLES, FEWEST_SAMPLES)
    chosen = spread(len(inputs[0]), count)
    run = _Int8(tflite, integers, [tensor for pair in pairs for _, tensor in pair.sources])
    scores = _scores(integers, labelled)
    predicted, predicted_float = [], []
    tallies = {tensor: _Tally(integers, tensor) for tensor in run.watched}
    beside = _Beside(float_tflite, integers, run, pairs) if float_tflite else None
    if beside:
        layers = len(beside.deltas) + len(inputs)
        costed = _affordable(
            COST_PRODUCTS, products(integers) * layers, min(COSTED_SAMPLES, len(chosen)), FEWEST_COSTED
        )
    for number, index in enumerate(chosen):
        sample = tuple(array[index] for array in inputs)
        held = run.run(sample)
        floats = beside.run(sample) if beside else {}
        alone = beside.run_apart(held) if beside else {}
        for tensor, tally in tallies.items():
            tally.add(held[tensor], floats.get(tensor), alone.get(tensor))
        if scores in held:
            predicted += predicted_classes(dequantize(held[scores], run.details[scores])).tolist()
        if scores in floats:
            predicted_float += predicted_classes(floats[scores]).tolist()
        if beside and number in set(spread(len(chosen), costed).tolist()):
            beside.cost(sample, held, alone)
        if progress:
            progress("inspecting layers", number + 1, len(chosen))
    costs = beside.costs() if beside else {}
    weights = _weights_db(integers, real, pairs) if real else {}
    return Inspection(
        samples=len(chosen),
        costed_samples=beside.costed if beside else 0,
        layers=tuple(
            _inspected(tallies[tensor], integers, run, names, weights, costs, scores is not None)
            for tensor in run.watched
        ),
        judged=tuple(integers.name(tensor) for tensor in beside.judged) if beside else (),
        output_db=beside.output_db if beside else None,
        explained=beside.explained if beside else None,
        predicted=tuple(predicted),
        predicted_float=tuple(predicted_float),
        without_float="" if beside else NO_FLOAT,
        unmatched=tuple(
            run.name(tensor, names) for tensor in run.watched if beside and tensor not in beside.matched
        ),
    )


def _affordable(budget: float, each: int, most: int, fewest: int) -> int:
    """How many samples a budget allows, `each` costing so much; never fewer than `fewest` or `most`."""
    return max(min(fewest, most), min(most, int(budget / max(each, 1))))


def _scores(graph: TfliteGraph, labelled: bool) -> int | None:
    """The output that names a class: that of a SOFTMAX, one value of a LOGISTIC, or any that has labels."""
    writers = _writers(graph)
    outputs = [_before(graph, writers, int(tensor), BETWEEN) for tensor in graph.subgraph.outputs]
    if len(outputs) != 1:
        return None
    shape, writer = graph.shape(outputs[0]), writers.get(outputs[0])
    maker = None if writer is None else graph.kind(writer)
    if math.prod(shape) == 1:
        return outputs[0] if maker == Operator.LOGISTIC else None
    is_softmax = maker == Operator.SOFTMAX
    return outputs[0] if (labelled or is_softmax) and math.prod(shape) == shape[-1] else None


def _writers(graph: TfliteGraph) -> dict[int, Any]:
    return {int(tensor): operator for operator in graph.operators for tensor in operator.outputs}


def _before(graph: TfliteGraph, writers: Mapping[int, Any], tensor: int, kinds: frozenset[int]) -> int:
    """The tensor from which operators of these kinds alone make this one."""
    while tensor in writers and graph.kind(writers[tensor]) in kinds:
        tensor = int(writers[tensor].inputs[0])
    return tensor


# --- running ---------------------------------------------------------------------------------------


def entries(graph: TfliteGraph) -> dict[int, int]:
    """By the integer tensor that stands for an input, itself or what a QUANTIZE makes of it: the input."""
    quantized = {
        int(operator.inputs[0]): int(operator.outputs[0])
        for operator in graph.operators
        if graph.kind(operator) == Operator.QUANTIZE
    }
    inputs = [int(tensor) for tensor in graph.subgraph.inputs]
    return {
        tensor if graph.is_integer(tensor) else quantized.get(tensor, tensor): tensor for tensor in inputs
    }


class _Int8:
    """The int8 file under TFLite's reference kernels, every activation kept.

    `watched` are the tensors between layers, `read` these and what `also` names (values that stay float32
    in an int8 file), `entries` those of them that stand for inputs, `operators` what
    writes each of them, `heads` the first tensor of a layer of several operators, by its last one, `fixed`
    those whose scale is TFLite's and no calibration's.
    """

    def __init__(self, tflite: bytes, graph: TfliteGraph, also: Sequence[int]) -> None:
        self.interpreter = make_interpreter(tflite, reference=True, keep_all=True)
        self.details = {detail["index"]: detail for detail in self.interpreter.get_tensor_details()}
        self.sources = self.interpreter.get_input_details()
        self.graph = graph
        inner = clamped(graph)
        self.entries = entries(graph)
        rescaled = {
            int(operator.outputs[0])
            for operator in graph.operators
            if graph.kind(operator) == Operator.QUANTIZE
        }
        made = (tensor for tensor in graph.made() if graph.is_integer(tensor))
        self.watched = [
            tensor
            for tensor in made
            if tensor in self.entries or (tensor not in inner and tensor not in rescaled)
        ]
        self.operators = {
            int(tensor): KIND_NAMES[graph.kind(operator)]
            for operator in graph.operators
            for tensor in operator.outputs
        }
        self.fixed = {
            int(tensor)
            for operator in graph.operators
            if graph.kind(operator) in {*FLATTENING, Operator.TANH}
            for tensor in operator.outputs
        }
        self.heads: dict[int, int] = {}
        self.read = list(dict.fromkeys([*self.watched, *also]))
        self.clamped = _natural_ends(graph, self.watched)
        for tensor, clamp in inner.items():
            behind = int(clamp.outputs[0])
            self.operators[behind] = f"{self.operators[tensor]} {self.operators[behind]}"
            self.heads[behind] = self.heads.get(tensor, tensor)

    def name(self, tensor: int, names: Mapping[str, str]) -> str:
        """What the user calls the layer that writes a tensor."""
        own = self.graph.name(self.entries.get(tensor, self.heads.get(tensor, tensor)))
        return names.get(own, own)

    def run(self, sample: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """The values of every tensor that is read, as they are."""
        for source, values in zip(self.sources, sample, strict=True):
            (quantized,) = quantize_input(values[None], source)
            self.interpreter.set_tensor(source["index"], quantized[None])
        self.interpreter.invoke()
        return {tensor: self.interpreter.get_tensor(tensor) for tensor in self.read}


# What the values of a layer are bounded by, whatever its range: (from below, from above).
NO_BOUNDS, FROM_BELOW, BOTH = (False, False), (True, False), (True, True)
FUSED_BOUNDS = {Activation.RELU: FROM_BELOW, Activation.RELU6: BOTH, Activation.RELU_N1_TO_1: BOTH}
OPERATOR_BOUNDS = {
    Operator.RELU: FROM_BELOW,
    Operator.MAXIMUM: FROM_BELOW,
    Operator.MINIMUM: (False, True),
    **dict.fromkeys((Operator.RELU6, Operator.RELU_N1_TO_1, *FLATTENING, Operator.TANH), BOTH),
}
ROUNDING = frozenset({*WEIGHTED, Operator.ADD, Operator.SUB, Operator.MUL, Operator.BATCH_MATMUL})
"""Operators that compute values anew; others pass on what may have saturated before them."""


def _natural_ends(graph: TfliteGraph, watched: Sequence[int]) -> dict[int, tuple[bool, bool]]:
    """(below, above) of each tensor: whether its integers may well stand at that end."""
    found = dict.fromkeys(watched, BOTH)
    for operator in graph.operators:
        kind = graph.kind(operator)
        for tensor in (int(index) for index in operator.outputs):
            if kind in ROUNDING:
                fused = getattr(operator.builtinOptions, "fusedActivationFunction", Activation.NONE)
                found[tensor] = FUSED_BOUNDS.get(fused, NO_BOUNDS)
            elif kind in OPERATOR_BOUNDS:
                below, above = found.get(int(operator.inputs[0]), NO_BOUNDS)
                bounds = OPERATOR_BOUNDS[kind]
                found[tensor] = (below or bounds[0], above or bounds[1])
    return found


class _Beside:
    """The float model beside the int8 one: whole, with its operators cut apart, and with errors put in."""

    def __init__(
        self,
        float_tflite: bytes,
        integers: TfliteGraph,
        run: _Int8,
        pairs: tuple[Pair, ...],
    ) -> None:
        cut, perturbed = cut_apart(float_tflite, pairs), perturbable(float_tflite)
        self.details = run.details
        twin = {integer: tensor for pair in pairs for integer, tensor in pair.made}
        self.inputs = list(entries(integers))
        self.whole = make_interpreter(perturbed.content, reference=False)
        self.apart = make_interpreter(cut.content, reference=False)
        slots = self.whole.get_input_details()
        self.x_slots, delta_slots = slots[: perturbed.inputs], slots[perturbed.inputs :]
        deltas = dict(zip(perturbed.tensors, delta_slots, strict=True))
        outputs = dict(zip(perturbed.tensors, self.whole.get_output_details(), strict=True))
        self.outputs = {integer: outputs[tensor] for integer, tensor in twin.items() if tensor in outputs}
        self.matched = {*self.outputs, *self.inputs}
        for slot in delta_slots:
            self._clear(slot)
        self.fed = list(zip(self.apart.get_input_details(), cut.fed, strict=True))
        self.made = list(zip(self.apart.get_output_details(), cut.made, strict=True))
        self.judged = _judged(integers, self.outputs)
        writers = _writers(integers)
        ends = {_before(integers, writers, int(tensor), BETWEEN) for tensor in integers.subgraph.outputs}
        behind = ends - {*self.judged}
        self.deltas = {
            integer: deltas[tensor]
            for integer, tensor in twin.items()
            if tensor in deltas and integer in run.watched and integer not in behind
        }
        self.costed = 0
        self.beyond: set[int] = set()
        """Tensors whose own error leads the float model to what is no number, as a root of less than 0."""
        self.signal = [0.0] * len(self.judged)
        self.noise = [0.0] * len(self.judged)
        self.unexplained = [0.0] * len(self.judged)
        self.noises: dict[int, list[float]] = {}
        self.changes: dict[int, int] = {}

    def _real(self, tensor: int, held: Mapping[int, np.ndarray]) -> np.ndarray:
        return dequantize(held[tensor], self.details[tensor]).astype(np.float32)

    def _clear(self, slot: Any) -> None:
        self.whole.set_tensor(slot["index"], np.zeros(slot["shape"], np.float32))

    def run(self, sample: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """The float model's values of every tensor that the int8 model has as well, by int8 tensors."""
        for slot, values in zip(self.x_slots, sample, strict=True):
            self.whole.set_tensor(slot["index"], values[None])
        self.whole.invoke()
        found = {tensor: self.whole.get_tensor(slot["index"]) for tensor, slot in self.outputs.items()}
        return found | dict(zip(self.inputs, (values[None] for values in sample), strict=True))

    def run_apart(self, held: Mapping[int, np.ndarray]) -> dict[int, np.ndarray]:
        """What each float operator makes of the real values that the int8 one read.

        Where that is no number, such as the inverse root of a variance that int8 rounds to 0, what the
        int8 operator made stands in its place: no error can be told there.
        """
        for slot, tensor in self.fed:
            self.apart.set_tensor(slot["index"], self._real(tensor, held))
        self.apart.invoke()
        found = {}
        for slot, tensor in self.made:
            values = self.apart.get_tensor(slot["index"])
            finite = np.isfinite(values)
            found[tensor] = values if finite.all() else np.where(finite, values, self._real(tensor, held))
        return found

    def cost(
        self, sample: Sequence[np.ndarray], held: Mapping[int, np.ndarray], alone: Mapping[int, np.ndarray]
    ) -> None:
        """Put each layer's own error into the float model, one after the other, and see what comes out.

        Has to follow `run` of the same sample.
        """
        before = self._outcome()
        added = [np.zeros_like(values) for values in before]
        for tensor, values, slot in zip(self.inputs, sample, self.x_slots, strict=True):
            real = self._real(tensor, held)
            self._note(tensor, slot, real - values[None], real, values[None], before, added)
        for tensor, slot in self.deltas.items():
            error = self._real(tensor, held) - alone[tensor]
            self._note(tensor, slot, error, error, np.zeros_like(error), before, added)
        after = [self._real(tensor, held) for tensor in self.judged]
        for place, (first, last) in enumerate(zip(before, after, strict=True)):
            difference = last.astype(np.float64) - first
            self.signal[place] += _square(first)
            self.noise[place] += _square(difference)
            self.unexplained[place] += _square(difference - added[place])
        self.costed += 1

    def _note(
        self,
        tensor: int,
        slot: Any,
        error: np.ndarray,
        value: np.ndarray,
        usual: np.ndarray,
        before: list[np.ndarray],
        added: list[np.ndarray],
    ) -> None:
        """What comes of `value` in a slot of the float model in place of the usual one."""
        noises = self.noises.setdefault(tensor, [0.0] * len(before))
        self.changes.setdefault(tensor, 0)
        if not error.any():
            return
        self.whole.set_tensor(slot["index"], value.astype(np.float32))
        self.whole.invoke()
        self.whole.set_tensor(slot["index"], usual.astype(np.float32))
        outcome = self._outcome()
        if not all(np.isfinite(each).all() for each in outcome):
            self.beyond.add(tensor)
            return
        for place, (first, last) in enumerate(zip(before, outcome, strict=True)):
            difference = last.astype(np.float64) - first
            noises[place] += _square(difference)
            added[place] = added[place] + difference
        self.changes[tensor] += _differ(before, outcome)

    def _outcome(self) -> list[np.ndarray]:
        return [self.whole.get_tensor(self.outputs[tensor]["index"]) for tensor in self.judged]

    @property
    def output_db(self) -> float | None:
        return _decibels(1.0, self._relative(self.noise))

    @property
    def explained(self) -> float | None:
        noise = self._relative(self.noise)
        return max(0.0, 1 - self._relative(self.unexplained) / noise) if noise else None

    def _relative(self, noises: Sequence[float]) -> float:
        """Noise over signal, of several outputs their mean."""
        ratios = [noise / signal for noise, signal in zip(noises, self.signal, strict=True) if signal]
        return sum(ratios) / len(ratios) if ratios else 0.0

    def costs(self) -> dict[int, tuple[float | None, float | None, int]]:
        """(share, SQNR, changed classes) of each layer before the judged outputs."""
        known = self.noises.keys() - self.beyond
        noises = {tensor: self._relative(noise) for tensor, noise in self.noises.items() if tensor in known}
        total = sum(noises.values())
        return {
            tensor: (noise / total if total else None, _decibels(1.0, noise), self.changes[tensor])
            for tensor, noise in noises.items()
        } | {tensor: (None, None, self.changes[tensor]) for tensor in self.beyond}


def _judged(integers: TfliteGraph, outputs: Mapping[int, Any]) -> list[int]:
    """Every int8 output of the model, or what goes into its SOFTMAX or LOGISTIC."""
    writers = _writers(integers)
    found = []
    for output in (int(tensor) for tensor in integers.subgraph.outputs):
        flat = _before(integers, writers, output, BETWEEN)
        tensor = _before(integers, writers, flat, FLATTENING | BETWEEN)
        # A model that is nothing but a softmax is judged behind it.
        found.append(tensor if tensor in outputs else flat)
    return [tensor for tensor in dict.fromkeys(found) if tensor in outputs]


def _square(values: np.ndarray) -> float:
    # Not a dot product: BLAS would start threads for it, and wait for them.
    return float(np.square(values, dtype=np.float64).sum())


def _differ(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> int:
    """1 where what a last SOFTMAX or LOGISTIC reads (1, ...) names another class than before."""
    classes = ([predicted_classes(each, half=0.0) for each in values] for values in (before, after))
    return int(any(a != b for a, b in zip(*classes, strict=True)))


def _decibels(signal: float, noise: float) -> float | None:
    return 10 * math.log10(signal / noise) if signal > 0 and noise > 0 else None


# --- counting --------------------------------------------------------------------------------------


class _Sums:
    """Of two tensors that should be alike: what their deviation is made of."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        self.signal = self.held = self.product = self.noise = 0.0
        self.channel_errors = np.zeros(channels)

    def add(self, held: np.ndarray, wanted: np.ndarray) -> None:
        """Both float64 (elements, channels)."""
        error = held - wanted
        self.count += len(held)
        self.signal += _square(wanted)
        self.held += _square(held)
        self.product += float(np.multiply(held, wanted).sum())
        self.noise += _square(error)
        self.channel_errors += error.sum(axis=0)

    def deviation(self) -> Deviation | None:
        if not self.count:
            return None
        elements = self.count * len(self.channel_errors)
        length = math.sqrt(self.signal * self.held)
        return Deviation(
            sqnr_db=_decibels(self.signal, self.noise),
            cosine=min(1.0, self.product / length) if length else None,
            bias=float(self.channel_errors.sum()) / elements,
            rms=math.sqrt(self.noise / elements),
        )

    @property
    def channel_bias(self) -> float | None:
        if not self.count:
            return None
        biases = self.channel_errors / self.count
        return float(biases[np.abs(biases).argmax()])


class _Tally:
    """What one int8 tensor held over all samples, and what it should have held."""

    def __init__(self, graph: TfliteGraph, tensor: int) -> None:
        quantization = graph.subgraph.tensors[tensor].quantization
        self.tensor = tensor
        self.shape = graph.shape(tensor)
        self.scale = float(quantization.scale[0])
        self.zero_point = int(quantization.zeroPoint[0])
        self.channels = self.shape[-1] if self.shape else 1
        self.limits = np.iinfo(np.int8)
        self.count = self.lows = self.highs = self.beyond = 0
        self.lowest = np.full(self.channels, np.iinfo(np.int32).max)
        self.highest = np.full(self.channels, np.iinfo(np.int32).min)
        self.minima = np.full(self.channels, np.inf)
        self.maxima = np.full(self.channels, -np.inf)
        self.own, self.total = _Sums(self.channels), _Sums(self.channels)

    @property
    def low(self) -> float:
        return self.scale * (int(self.limits.min) - self.zero_point)

    @property
    def high(self) -> float:
        return self.scale * (int(self.limits.max) - self.zero_point)

    def add(self, integers: np.ndarray, real: np.ndarray | None, alone: np.ndarray | None) -> None:
        self.limits = np.iinfo(integers.dtype)
        flat = integers.reshape(-1, self.channels)
        self.count += flat.size
        self.lows += int((flat == self.limits.min).sum())
        self.highs += int((flat == self.limits.max).sum())
        np.minimum(self.lowest, flat.min(axis=0), out=self.lowest)
        np.maximum(self.highest, flat.max(axis=0), out=self.highest)
        # Rounded as float32, in which all others compute: what is only moved then differs by nothing.
        held = (
            (self.scale * (flat.astype(np.float64) - self.zero_point)).astype(np.float32).astype(np.float64)
        )
        if alone is not None:
            self.own.add(held, alone.reshape(held.shape).astype(np.float64))
        if real is None:
            return
        wanted = real.reshape(held.shape).astype(np.float64)
        self.total.add(held, wanted)
        np.minimum(self.minima, wanted.min(axis=0), out=self.minima)
        np.maximum(self.maxima, wanted.max(axis=0), out=self.maxima)
        slack = self.scale / 2
        self.beyond += int(((wanted < self.low - slack) | (wanted > self.high + slack)).sum())

    @property
    def has_float(self) -> bool:
        return self.total.count > 0

    def ranges(self) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest real value of each channel: in float, or of the integers."""
        if self.has_float:
            return self.minima, self.maxima
        ends = [
            self.scale * (seen.astype(np.float64) - self.zero_point) for seen in (self.lowest, self.highest)
        ]
        return ends[0], ends[1]


def _inspected(
    tally: _Tally,
    graph: TfliteGraph,
    run: _Int8,
    names: Mapping[str, str],
    weights: Mapping[int, float | None],
    costs: Mapping[int, tuple[float | None, float | None, int]],
    classifies: bool,
) -> InspectedLayer:
    tensor = tally.tensor
    minima, maxima = tally.ranges()
    constant = tally.lowest == tally.highest
    is_input = tensor in run.entries
    # An input's error is its own: nothing came before it.
    own = tally.total if is_input else tally.own
    cost, cost_db, changed = costs.get(tensor, (None, None, 0))
    behind = tensor not in costs
    return InspectedLayer(
        name=run.name(tensor, names),
        tensor=graph.name(tensor),
        operator=INPUT if is_input else run.operators[tensor],
        shape=tally.shape,
        scale=tally.scale,
        zero_point=tally.zero_point,
        low=tally.low,
        high=tally.high,
        minimum=float(minima.min()),
        maximum=float(maxima.max()),
        unused=1
        - (int(tally.highest.max()) - int(tally.lowest.min()))
        / (int(tally.limits.max) - int(tally.limits.min)),
        at_low=tally.lows / tally.count,
        at_high=tally.highs / tally.count,
        floor=run.clamped[tensor][0],
        ceiling=run.clamped[tensor][1],
        clipped=tally.beyond / tally.count if tally.has_float else None,
        own=own.deviation(),
        total=tally.total.deviation(),
        channel_bias=own.channel_bias,
        weights_db=weights.get(tensor),
        cost=cost,
        cost_db=cost_db,
        changed=None if behind or not classifies else changed,
        channels=tally.channels,
        constant_channels=int(constant.sum()),
        lost_channels=_lost(tally, constant, behind) if tally.has_float else None,
        spoiled=None if tensor in run.fixed else find_spoiled(minima, maxima),
    )


def _lost(tally: _Tally, constant: np.ndarray, behind: bool) -> int:
    """Channels that are constant in int8 and not in float; scores behind a softmax may well be nearly so."""
    widths = tally.maxima - tally.minima
    enough = 2 * tally.scale if behind else min(2 * tally.scale, 0.1 * float(widths.max()))
    return int((constant & (widths > enough)).sum())


def find_spoiled(minima: np.ndarray, maxima: np.ndarray) -> Spoiled | None:
    """The few channels (minima, maxima) without which the range of all would be less than half as wide.

    The range includes 0, as that of a scale and a zero point does. Of the widest channels the fewest are
    taken that suffice; None where more than an eighth of all, or more than MOST_SPOILING, would be needed.
    """
    count = len(minima)
    if count < FEWEST_CHANNELS:
        return None
    low, high = np.minimum(minima, 0), np.maximum(maxima, 0)
    order = np.argsort(-np.maximum(-low, high), kind="stable")
    whole = float(high.max() - low.min())
    for taken in range(1, max(1, min(MOST_SPOILING, int(count * SPOILING_SHARE))) + 1):
        rest = order[taken:]
        width = float(high[rest].max() - low[rest].min())
        if width > 0 and whole >= SPOILING_FACTOR * width:
            by = tuple(ChannelRange(int(c), float(minima[c]), float(maxima[c])) for c in order[:taken])
            return Spoiled(by, whole / width)
    return None


def _weights_db(integers: TfliteGraph, real: TfliteGraph, pairs: Sequence[Pair]) -> dict[int, float | None]:
    """SQNR of each layer's weights, by the int8 tensor that it writes."""
    found = {}
    for pair in pairs:
        if pair.weights is not None:
            held, wanted = integers.real_constant(pair.weights[0]), real.real_constant(pair.weights[1])
            found[pair.made[0][0]] = _decibels(_square(wanted), _square(held - wanted))
    return found
