"""Predict MACC, flash, RAM and time on the host, before anything is built."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.boards import Board, boards_that_fit
from pipeline.errors import ModelNotSupported
from pipeline.graph import Graph, Node
from pipeline.load import FloatLayer, FloatModel
from pipeline.tensors import Tensor, activation_integers


@dataclass(frozen=True, slots=True)
class LayerAnalysis:
    """One layer's figures; shares are of the model's totals, 0 to 1."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    macc: int
    parameters: int
    weights_bytes: int
    activation_bytes: int
    """Of its output."""
    macc_share: float
    weights_share: float


@dataclass(frozen=True, slots=True)
class Totals:
    macc: int
    parameters: int
    weights_bytes: int
    activations_bytes: int
    estimated_seconds: float
    """One MACC a cycle at the board's clock: a convention for comparing, not a measurement."""


@dataclass(frozen=True, slots=True)
class RegionFit:
    """Whether what is needed fits one kind of memory of a board."""

    needed_bytes: int
    available_bytes: int
    counted: str
    """In words: what `needed_bytes` is made of."""

    @property
    def fits(self) -> bool:
        return self.needed_bytes <= self.available_bytes

    @property
    def over_bytes(self) -> int:
        return max(0, self.needed_bytes - self.available_bytes)


@dataclass(frozen=True, slots=True)
class Fit:
    board: str
    flash: RegionFit
    ram: RegionFit
    largest_weights: tuple[tuple[str, int], ...]
    """(layer, bytes) of the largest contributors to flash."""
    boards_that_fit: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostAnalysis:
    """The prediction that a measurement is held against."""

    model: str
    kind: str
    """`float32` (a Keras model), or the activations of a TFLite graph, such as `int8`."""
    board: str
    clock_hz: int
    layers: tuple[LayerAnalysis, ...]
    totals: Totals
    fit: Fit
    conventions: tuple[str, ...]
    """How each figure is counted, a sentence each."""


FLOAT_BYTES = 4

# What a float runtime needs besides weights and activations. X-CUBE-AI, whose figures the float analysis
# follows, reported 148.56 KiB of RAM and 5.14 MiB of flash for the reference model: this much on top.
FLOAT_RUNTIME_FLASH_BYTES = 16 * 1024
FLOAT_RUNTIME_RAM_BYTES = 8_656

# Harness, kernels, startup and C library, and stack, vectors and serial buffers: an allowance that the
# linked image replaces by figures.
INT8_CODE_BYTES = 24 * 1024
INT8_RAM_BYTES = 8 * 1024

CONVOLUTIONS = frozenset(
    {"Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"}
)
DENSE = frozenset({"Dense"})
MAX_POOLS = frozenset({"MaxPooling1D", "MaxPooling2D"})
AVERAGE_POOLS = frozenset({"AveragePooling1D", "AveragePooling2D"})
POOLS = MAX_POOLS | AVERAGE_POOLS
GLOBAL_POOLS = frozenset(
    {"GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"}
)
NORMALIZATIONS = frozenset({"BatchNormalization", "SyncBatchNormalization", "Normalization"})
PADDINGS = frozenset({"ZeroPadding1D", "ZeroPadding2D"})
MERGES = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"})
ACTIVATIONS = frozenset(
    {"ReLU", "Relu", "Relu6", "LeakyReLU", "PReLU", "ELU", "Softmax", "Activation", "Sigmoid", "Tanh"}
)
# Nothing is computed, and no byte moves
FREE = frozenset(
    {
        "Flatten", "Reshape", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "AlphaDropout",
        "GaussianDropout", "GaussianNoise", "ActivityRegularization", "InputLayer", "Identity",
    }
)  # fmt: skip
IN_PLACE = NORMALIZATIONS | ACTIVATIONS | frozenset({"Rescaling"})

# Operations for one element, by Keras's name of the function
ACTIVATION_COST = {
    "linear": 0, "relu": 1, "relu6": 1, "hard_sigmoid": 2, "leaky_relu": 2, "leakyrelu": 2, "prelu": 2,
    "hard_swish": 3, "hard_silu": 3, "softmax": 15,
}  # fmt: skip
OTHER_ACTIVATION_COST = 10


RECURRENT = frozenset("LSTM GRU SimpleRNN RNN Bidirectional".split())
UNCOUNTED = frozenset(
    """ConvLSTM1D ConvLSTM2D ConvLSTM3D MultiHeadAttention GroupQueryAttention
     Attention AdditiveAttention EinsumDense""".split()
)


def analyze_float(model: FloatModel, board: Board) -> HostAnalysis:
    """Count a float model's work and memory as X-CUBE-AI does; every rule stands in `conventions`."""
    uncounted = [f"{layer.name}: {layer.kind}" for layer in model.layers if layer.kind in UNCOUNTED]
    if uncounted:
        raise ModelNotSupported(
            "there is no rule that counts the work of some layers",
            code="E_ANALYZE_LAYER",
            where=model.path,
            details=uncounted,
            hint="deploy counts the int8 model instead, by its own operators",
        )
    layers = _fold_normalizations(model.layers)
    figures = [
        _Figures(
            name=layer.name,
            kind=layer.kind,
            output_shape=layer.output_shape,
            macc=layer_macc(layer),
            parameters=layer.parameters,
            weights_bytes=FLOAT_BYTES * layer.parameters,
            activation_bytes=FLOAT_BYTES * math.prod(layer.output_shape),
        )
        for layer in layers
    ]
    inputs = {spec.name: spec.shape for spec in model.inputs}
    peak = float_activations(layers, inputs, [spec.name for spec in model.outputs])
    return _analysis(
        model.name,
        "float32",
        board,
        figures,
        peak,
        flash=(FLOAT_RUNTIME_FLASH_BYTES, "weights and an allowance of {} B for the float runtime's code"),
        ram=(FLOAT_RUNTIME_RAM_BYTES, "activations and an allowance of {} B for the float runtime"),
        conventions=FLOAT_CONVENTIONS,
    )


FLOAT_CONVENTIONS = (
    "MACC of a convolution: kernel height x kernel width x input channels (of its group) x output elements, "
    "plus one per output channel for the bias; padding is counted as work.",
    "MACC of a dense layer: inputs x outputs, plus one per output for the bias.",
    "MACC of a recurrent layer: steps x (weights and biases); the products and activations between its gates "
    "are not counted.",
    "MACC of an activation, fused or not: ReLU 1 per element, softmax 15, leaky and hard-edged ones 2 to 3, "
    f"all others {OTHER_ACTIVATION_COST}.",
    "MACC of a batch norm: 0 directly behind a linear convolution or dense layer, into which it folds; "
    "2 per element (scale, offset) everywhere else.",
    "MACC of a pooling: window area per output element; of a global pooling 1 per input element; of Add and "
    "the like 1 per element and further input; of flatten, reshape, dropout and zero padding 0.",
    "Parameters: all numbers stored for inference; a batch norm that does not fold has a scale and an offset "
    "per channel, one that folds none but the bias that its layer lacked. Weights: 4 bytes a parameter.",
    "A layer's activation bytes are those of its output. The total is the largest step of a plan: a step is "
    "a layer with the activations, batch norms and the pooling behind it that alone read it, and needs its "
    "input, its output, one im2col column (kernel window x input channels of a group) and every tensor that "
    "a later layer still reads.",
    "In that plan activations, batch norm and merges work in place; a step writes its output rows over its "
    "own input, one row held aside, where nothing else reads that input, it is not the model's, and every "
    "row that is overwritten has been used; flatten, reshape, dropout and zero padding take no bytes.",
    "Time: one MACC per cycle at the board's clock; a convention for comparing, not a measurement.",
)


@dataclass(frozen=True, slots=True)
class _Figures:
    name: str
    kind: str
    output_shape: tuple[int, ...]
    macc: int
    parameters: int
    weights_bytes: int
    activation_bytes: int


def _analysis(
    name: str,
    kind: str,
    board: Board,
    figures: Sequence[_Figures],
    activations_bytes: int,
    flash: tuple[int, str],
    ram: tuple[int, str],
    conventions: tuple[str, ...],
) -> HostAnalysis:
    macc = sum(f.macc for f in figures)
    weights = sum(f.weights_bytes for f in figures)
    layers = tuple(
        LayerAnalysis(
            f.name,
            f.kind,
            f.output_shape,
            f.macc,
            f.parameters,
            f.weights_bytes,
            f.activation_bytes,
            macc_share=f.macc / macc if macc else 0.0,
            weights_share=f.weights_bytes / weights if weights else 0.0,
        )
        for f in figures
    )
    flash_needed, ram_needed = weights + flash[0], activations_bytes + ram[0]
    heaviest = sorted(figures, key=lambda f: -f.weights_bytes)[:5]
    return HostAnalysis(
        model=name,
        kind=kind,
        board=board.name,
        clock_hz=board.hclk_hz,
        layers=layers,
        totals=Totals(
            macc=macc,
            parameters=sum(f.parameters for f in figures),
            weights_bytes=weights,
            activations_bytes=activations_bytes,
            estimated_seconds=macc / board.hclk_hz if board.hclk_hz else 0.0,
        ),
        fit=Fit(
            board=board.name,
            flash=RegionFit(flash_needed, board.flash_bytes, flash[1].format(f"{flash[0]:,}")),
            ram=RegionFit(ram_needed, board.ram_bytes, ram[1].format(f"{ram[0]:,}")),
            largest_weights=tuple((f.name, f.weights_bytes) for f in heaviest if f.weights_bytes),
            boards_that_fit=boards_that_fit(flash_needed, ram_needed, board),
        ),
        conventions=conventions,
    )


# --- operations ----------------------------------------------------------------------------------


def layer_macc(layer: FloatLayer) -> int:
    """Operations of one layer, its own activation included; see FLOAT_CONVENTIONS."""
    elements = math.prod(layer.output_shape)
    return _own_macc(layer, elements) + _activation_cost(layer) * elements


def _own_macc(layer: FloatLayer, elements: int) -> int:
    kind = layer.kind
    inputs = math.prod(layer.input_shapes[0]) if layer.input_shapes else 0
    if kind in CONVOLUTIONS:
        return _convolution_macc(layer, elements)
    if kind in DENSE:
        # A dense layer on a tensor of higher rank works along its last axis.
        return layer.input_shapes[0][-1] * elements + _bias(layer)
    if kind in POOLS:
        return math.prod(_window(layer, "pool_size")) * elements
    if kind in GLOBAL_POOLS:
        return inputs
    if kind in NORMALIZATIONS:
        return 0 if layer.attributes.get("folded") else 2 * elements
    if kind in MERGES:
        # of two inputs one addition; an input that is a constant is not among them, yet is added
        return max(1, len(layer.inputs) - 1) * elements
    if kind in RECURRENT:
        return layer.input_shapes[0][0] * layer.parameters
    if kind == "Rescaling":
        return 2 * elements
    return 0


def _convolution_macc(layer: FloatLayer, elements: int) -> int:
    window = math.prod(_window(layer, "kernel_size"))
    channels = layer.input_shapes[0][-1]
    if layer.kind.startswith("Separable"):
        positions = elements // layer.output_shape[-1]
        between = channels * int(layer.attributes.get("depth_multiplier", 1))
        return window * between * positions + between * elements + _bias(layer)
    return window * _group_channels(layer) * elements + _bias(layer)


def _group_channels(layer: FloatLayer) -> int:
    """How many input channels one output element reads."""
    if layer.kind.startswith("Depthwise"):
        return 1
    return layer.input_shapes[0][-1] // int(layer.attributes.get("groups", 1))


def _bias(layer: FloatLayer) -> int:
    return layer.output_shape[-1] if layer.attributes.get("use_bias", True) else 0


def _activation_cost(layer: FloatLayer) -> int:
    name = layer.attributes.get("activation")
    if name is None and layer.kind in ACTIVATIONS:
        name = layer.kind.lower()
    if name is None:
        return 0
    return ACTIVATION_COST.get(name, OTHER_ACTIVATION_COST)


def _window(layer: FloatLayer, key: str) -> tuple[int, ...]:
    value = layer.attributes.get(key, 1)
    if isinstance(value, int):
        return (value,) * max(1, len(layer.output_shape) - 1)
    return tuple(int(size) for size in value)


def _consumers(layers: Iterable[FloatLayer]) -> dict[str, list[FloatLayer]]:
    found: dict[str, list[FloatLayer]] = {}
    for layer in layers:
        for name in set(layer.inputs):
            found.setdefault(name, []).append(layer)
    return found


def _fold_normalizations(layers: Sequence[FloatLayer]) -> tuple[FloatLayer, ...]:
    """Mark each batch norm that alone reads a linear convolution or dense layer, and drop its parameters."""
    by_name = {layer.name: layer for layer in layers}
    readers = _consumers(layers)
    result = []
    for layer in layers:
        source = by_name.get(layer.inputs[0]) if layer.inputs else None
        folds = (
            layer.kind in NORMALIZATIONS
            and source is not None
            and source.kind in CONVOLUTIONS | DENSE
            and source.attributes.get("activation", "linear") == "linear"
            and len(readers[source.name]) == 1
        )
        if folds and source is not None:
            bias = 0 if source.attributes.get("use_bias", True) else source.output_shape[-1]
            layer = replace(layer, parameters=bias, attributes={**layer.attributes, "folded": True})
        result.append(layer)
    return tuple(result)


# --- activations of the float plan ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Step:
    """A layer and what is computed with it before its output is stored."""

    layers: tuple[FloatLayer, ...]

    @property
    def head(self) -> FloatLayer:
        return self.layers[0]

    @property
    def output(self) -> FloatLayer:
        return self.layers[-1]

    @property
    def output_bytes(self) -> int:
        return FLOAT_BYTES * math.prod(self.output.output_shape)

    @property
    def column_bytes(self) -> int:
        """One im2col column: what one output element of the convolution reads."""
        layer = self.head
        if layer.kind not in CONVOLUTIONS:
            return 0
        column = math.prod(_window(layer, "kernel_size")) * _group_channels(layer)
        if layer.kind.startswith("Separable"):
            between = layer.input_shapes[0][-1] * int(layer.attributes.get("depth_multiplier", 1))
            column = math.prod(_window(layer, "kernel_size")) + between
        return FLOAT_BYTES * column

    def first_row(self, row: int) -> int:
        """The first input row that the output's row `row` reads; rows count along the first axis."""
        for layer in reversed(self.layers):
            if layer.kind in CONVOLUTIONS | POOLS:
                row = row * _stride(layer) - _padding_before(layer)
        return max(0, row)

    def may_overwrite(self) -> bool:
        """Whether no output row is written over an input row that a later output row reads."""
        layer = self.head
        if layer.kind in MERGES | IN_PLACE:
            return True
        if layer.kind not in CONVOLUTIONS | POOLS or len(layer.inputs) != 1:
            return False
        input_row = FLOAT_BYTES * math.prod(layer.input_shapes[0][1:])
        rows = self.output.output_shape[0]
        return all(
            row * self.output_row_bytes <= self.first_row(row) * input_row for row in range(1, rows)
        ) and self.output_bytes <= FLOAT_BYTES * math.prod(layer.input_shapes[0])

    @property
    def output_row_bytes(self) -> int:
        return FLOAT_BYTES * math.prod(self.output.output_shape[1:])

    @property
    def aside_bytes(self) -> int:
        """The output row that is held back while its input rows are still read."""
        return self.output_row_bytes if self.head.kind in CONVOLUTIONS | POOLS else 0


def float_activations(
    layers: Sequence[FloatLayer], inputs: Mapping[str, tuple[int, ...]], outputs: Sequence[str]
) -> int:
    """The bytes of the largest step, from the inputs' shapes by name; see FLOAT_CONVENTIONS."""
    steps, alias = _steps(layers, outputs)
    reads = [tuple({alias.get(name, name) for name in step.head.inputs}) for step in steps]
    sizes = {name: FLOAT_BYTES * math.prod(shape) for name, shape in inputs.items()}
    sizes |= {step.output.name: step.output_bytes for step in steps}
    last_read = {name: index for index, names in enumerate(reads) for name in names}
    last_read |= {alias.get(name, name): len(steps) for name in outputs}
    peak = sum(sizes[name] for name in inputs)
    live = set(inputs)
    for index, (step, names) in enumerate(zip(steps, reads, strict=True)):
        held = sum(sizes[name] for name in live)
        needed = held + step.output_bytes + step.column_bytes
        dying = [name for name in names if last_read[name] == index and name not in inputs]
        if dying and step.may_overwrite():
            largest = max(sizes[name] for name in dying)
            over = held - largest + max(largest, step.output_bytes) + step.column_bytes + step.aside_bytes
            needed = min(needed, over)
        peak = max(peak, needed)
        live = {name for name in live | {step.output.name} if last_read.get(name, -1) > index}
    return peak


def _steps(layers: Sequence[FloatLayer], outputs: Sequence[str]) -> tuple[list[_Step], dict[str, str]]:
    """The steps in order, and for every layer inside a step the name under which its values are stored."""
    readers = _consumers(layers)
    inside: set[str] = set()
    alias: dict[str, str] = {}
    steps: list[_Step] = []
    for layer in layers:
        if layer.name in inside:
            continue
        if layer.kind in FREE or _is_padding_of_one(layer, readers):
            (source,) = layer.inputs
            alias[layer.name] = alias.get(source, source)
            continue
        chain, pooled = [layer], layer.kind not in CONVOLUTIONS
        while chain[-1].name not in outputs and len(readers.get(chain[-1].name, ())) == 1:
            (reader,) = readers[chain[-1].name]
            pools = reader.kind in POOLS and not pooled
            if len(reader.inputs) != 1 or not (pools or reader.kind in FREE | IN_PLACE | MERGES):
                break
            pooled = pooled or pools
            chain.append(reader)
        steps.append(_Step(tuple(chain)))
        inside |= {member.name for member in chain}
        alias |= {member.name: chain[-1].name for member in chain}
    return steps, alias


def _is_padding_of_one(layer: FloatLayer, readers: Mapping[str, Sequence[FloatLayer]]) -> bool:
    """Whether the zeros exist only inside the one convolution or pooling that reads them."""
    read_by = readers.get(layer.name, ())
    return layer.kind in PADDINGS and len(read_by) == 1 and read_by[0].kind in CONVOLUTIONS | POOLS


def _stride(layer: FloatLayer) -> int:
    if layer.attributes.get("strides") is None:
        return _window(layer, "pool_size")[0] if layer.kind in POOLS else 1
    return _window(layer, "strides")[0]


def _padding_before(layer: FloatLayer) -> int:
    """Rows of padding above the input, as TensorFlow's SAME places them: the smaller half."""
    if layer.attributes.get("padding") != "same" or len(layer.output_shape) < 2:
        return 0
    size = _window(layer, "pool_size" if layer.kind in POOLS else "kernel_size")[0]
    dilation = _window(layer, "dilation_rate")[0] if "dilation_rate" in layer.attributes else 1
    reach = (size - 1) * dilation + 1
    total = (layer.output_shape[0] - 1) * _stride(layer) + reach - layer.input_shapes[0][0]
    return max(0, total) // 2


# --- int8 ----------------------------------------------------------------------------------------

GRAPH_CONVENTIONS = (
    "MACC: the multiply-accumulates of the TFLite operators' definitions, padding counted as work; bias, "
    "requantization, pooling and elementwise operators count 0 where they multiply nothing.",
    "Parameters: the numbers of the quantized constants (weights, biases, clamps). Weights bytes: what is "
    "stored for them: constant operands (int8) and the arrays of the kernels' parameters (int32 biases with "
    "the zero point folded in, multipliers and shifts per channel, tables).",
    "A layer's activation bytes are those of its output. The total is the peak, over the execution order, of "
    "the tensors alive; an output that its operator may write over an input takes no bytes of its own when "
    "that input is not read again. Scratch of kernels is not in it; the planned arena replaces it.",
    "Time: one MACC per cycle at the board's clock; a convention for comparing, not a measurement.",
)


def analyze_graph(graph: Graph, board: Board) -> HostAnalysis:
    """Count a quantized graph's work and memory; every rule stands in `conventions`."""
    counted: set[str] = set()
    figures = []
    for node in graph.nodes:
        constants = _new_constants(graph, node, counted)
        operands = {node.inputs[index] for index in node.op.operands(graph.operands(node))}
        output = graph.tensors[node.output]
        figures.append(
            _Figures(
                name=node.name,
                kind=node.op.tflite_name,
                output_shape=output.shape[1:],
                macc=graph.macs(node),
                parameters=sum(tensor.elements for tensor in constants),
                weights_bytes=sum(tensor.nbytes for tensor in constants if tensor.name in operands)
                + _array_bytes(graph, node),
                activation_bytes=output.nbytes,
            )
        )
    input_bytes = sum(graph.tensors[name].nbytes for name in graph.inputs)
    return _analysis(
        graph.name,
        activation_integers(graph.tensors[node.output].dtype for node in graph.nodes),
        board,
        figures,
        graph_activations(graph),
        flash=(
            INT8_CODE_BYTES,
            "weights and an allowance of {} B for kernels, harness, startup and C library",
        ),
        ram=(
            INT8_RAM_BYTES + input_bytes,
            "activations and an allowance of {} B for the harness's copy of the input, stack and buffers",
        ),
        conventions=GRAPH_CONVENTIONS,
    )


def _new_constants(graph: Graph, node: Node, counted: set[str]) -> list[Tensor]:
    """The quantized constants that this node reads and no earlier one did; marks them as counted."""
    found = {
        tensor.name: tensor
        for tensor in graph.operands(node)
        if tensor is not None and tensor.is_constant and tensor.quantization is not None
    }
    new = [tensor for name, tensor in found.items() if name not in counted]
    counted |= found.keys()
    return new


def _array_bytes(graph: Graph, node: Node) -> int:
    parameters = node.op.parameters(graph.operands(node), graph.tensors[node.output])
    return sum(value.nbytes for value in parameters.values() if isinstance(value, np.ndarray))


def graph_activations(graph: Graph) -> int:
    """The peak of live activation bytes in execution order; see GRAPH_CONVENTIONS."""
    last_read = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs if name}
    last_read |= dict.fromkeys(graph.outputs, len(graph.nodes))
    live = set(graph.inputs)
    peak = _bytes(graph, live)
    for index, node in enumerate(graph.nodes):
        operands, output = graph.operands(node), graph.tensors[node.output]
        overwritten = max(
            (
                graph.tensors[node.inputs[i]].nbytes
                for i in node.op.in_place(operands, output)
                if node.inputs[i] in live
                and node.inputs[i] not in graph.inputs
                and last_read[node.inputs[i]] == index
            ),
            default=0,
        )
        peak = max(peak, _bytes(graph, live) - overwritten + max(overwritten, output.nbytes))
        live = {name for name in live | {node.output} if last_read.get(name, -1) > index}
    return peak


def _bytes(graph: Graph, names: Iterable[str]) -> int:
    return sum(graph.tensors[name].nbytes for name in names)
