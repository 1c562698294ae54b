"""The int8 graph that a Keras model will become, sketched from its layers alone: shapes without weights.

Good for whatever does not depend on values, such as cost and memory, and there in an instant: nothing is
converted, and TensorFlow is not needed. Weights and scales are made up, no two constants alike. Batch norm
is taken as folded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.load import FloatLayer, FloatModel
from pipeline.operators import Activation, Operator
from pipeline.operators.add import Add
from pipeline.operators.average_pool_2d import AveragePool2D
from pipeline.operators.conv_2d import Conv2D
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.operators.fully_connected import FullyConnected
from pipeline.operators.max_pool_2d import MaxPool2D
from pipeline.operators.maximum import Maximum
from pipeline.operators.mean import Mean
from pipeline.operators.minimum import Minimum
from pipeline.operators.mul import Mul
from pipeline.operators.pad import Pad
from pipeline.operators.relu import Relu
from pipeline.operators.relu6 import Relu6
from pipeline.operators.softmax import Softmax
from pipeline.operators.windows import Pads, same_pads
from pipeline.tensors import Quantization, Tensor

MAP = Quantization((0.05,), (0,))
WEIGHTS_SPREAD = 30
"""Standard deviation of int8 weights whose largest in a channel is 127, more or less."""
# Scales of weights: up to four times the least, as if at random (multiples of the golden ratio).
LEAST_SCALE, GOLDEN = 0.0025, 0.6180339887
PROBABILITIES = Quantization((1 / 256,), (-128,))

# No operator of their own in the int8 graph: folded into the layer before, or nothing but another shape.
FREE = frozenset(
    """BatchNormalization Rescaling Normalization Flatten Reshape Dropout SpatialDropout1D SpatialDropout2D
    AlphaDropout GaussianDropout GaussianNoise ActivityRegularization InputLayer Identity""".split()
)
MERGES: Mapping[str, type[Operator]] = {"Add": Add, "Multiply": Mul, "Maximum": Maximum, "Minimum": Minimum}
FUSED = {"linear": Activation.NONE, "relu": Activation.RELU, "relu6": Activation.RELU6}


def sketch_graph(model: FloatModel) -> Graph | None:
    """The graph, or None where a layer has no operator that is sketched here."""
    drawing = _Drawing(model)
    for layer in model.layers:
        draw = DRAW.get(layer.kind)
        if layer.kind in FREE:
            drawing.names[layer.name] = drawing.names[layer.inputs[0]]
        elif draw is None or not draw(drawing, layer) or not drawing.activate(layer):
            return None
    if any(spec.name not in drawing.names for spec in model.outputs):
        return None  # a further output of a layer that has several
    return drawing.graph()


@dataclass
class _Drawing:
    """A graph under construction; `names` tells where a layer's output is."""

    model: FloatModel
    names: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    """By the tensor that each writes."""

    def __post_init__(self) -> None:
        for spec in self.model.inputs:
            self.names[spec.name] = spec.name
            self.tensors[spec.name] = Tensor(spec.name, (1, *spec.shape), "int8", MAP)
        self.readers = Counter(source for layer in self.model.layers for source in set(layer.inputs))

    def graph(self) -> Graph:
        return Graph(
            self.model.name,
            self.tensors,
            tuple(self.nodes.values()),
            tuple(spec.name for spec in self.model.inputs),
            tuple(self.names[spec.name] for spec in self.model.outputs),
        )

    def map(self, layer: FloatLayer, position: int = 0) -> Tensor:
        """A layer's input, in the shape in which the layer sees it."""
        found = self.tensors[self.names[layer.inputs[position]]]
        return replace(found, shape=(1, *layer.input_shapes[position]))

    def constant(self, name: str, data: np.ndarray, quantization: Quantization | None = None) -> Tensor:
        tensor = Tensor(name, data.shape, data.dtype.name, quantization, data)
        self.tensors[name] = tensor
        return tensor

    def weights(self, layer: FloatLayer, shape: tuple[int, ...], axis: int, suffix: str = "") -> list[Tensor]:
        """Some weights of this shape, and a bias for each index along `axis`.

        They are spread as trained ones are, and differ from layer to layer: zeros would be taken away by the
        passes, and equal constants are stored once.
        """
        name, channels, first = f"{layer.name}{suffix}", shape[axis], len(self.tensors)
        scales = (LEAST_SCALE * 4 ** (GOLDEN * n % 1) for n in range(first, first + channels))
        per_channel = Quantization(tuple(scales), (0,) * channels, axis)
        rng = np.random.default_rng(first)
        spread = rng.normal(0, WEIGHTS_SPREAD, shape)
        return [
            self.constant(f"{name}/weights", np.clip(spread, -127, 127).astype(np.int8), per_channel),
            self.constant(f"{name}/bias", rng.integers(-500, 500, channels, np.int32)),
        ]

    def put(
        self,
        layer: FloatLayer,
        op: Operator,
        inputs: list[Tensor],
        suffix: str = "",
        quantization: Quantization = MAP,
    ) -> Tensor:
        name = f"{layer.name}{suffix}"
        output = Tensor(name, op.output_shape(inputs), "int8", quantization)
        self.tensors[name] = output
        self.nodes[name] = Node(name, op, tuple(tensor.name for tensor in inputs), name)
        self.names[layer.name] = name
        return output

    def activate(self, layer: FloatLayer) -> bool:
        """Put a layer's own activation behind it; whether it is one that is known here."""
        if layer.kind in ACTIVATIONS:
            return True
        return self._activation(layer, layer.attributes.get("activation") or "linear", layer.name)

    def activation_layer(self, layer: FloatLayer) -> bool:
        """A layer of an activation alone: fused into the one before, where no other layer reads that."""
        source = layer.inputs[0]
        self.names[layer.name] = self.names[source]
        kind = layer.attributes.get("activation") or layer.kind.lower()
        if layer.kind == "ReLU" and layer.attributes.get("max_value") == 6:
            kind = "relu6"
        return self._activation(layer, kind, source)

    def _activation(self, layer: FloatLayer, kind: str, source: str) -> bool:
        tensor = self.names[layer.name]
        node = self.nodes.get(tensor)
        if kind == "linear":
            return True
        if kind == "softmax":
            self.put(layer, Softmax(), [self.tensors[tensor]], "/softmax", PROBABILITIES)
            return True
        if kind not in FUSED:
            return False
        alone = source == layer.name or self.readers[source] == 1
        op: Any = node.op if node else None
        if node and alone and getattr(op, "activation", None) is Activation.NONE:
            self.nodes[tensor] = replace(node, op=replace(op, activation=FUSED[kind]))
        else:
            relu = Relu6() if kind == "relu6" else Relu()
            self.put(layer, relu, [self.tensors[tensor]], "/relu")
        return True


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)


def _pads(
    layer: FloatLayer,
    x: Tensor,
    window: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Pads:
    if layer.attributes.get("padding") != "same":
        return (0, 0), (0, 0)
    return same_pads((x.shape[1], x.shape[2]), window, stride, dilation)


def _stride(layer: FloatLayer, default: tuple[int, int] = (1, 1)) -> tuple[int, int]:
    """A convolution's is 1 where none is given, a pooling's its window."""
    stride = layer.attributes.get("strides")
    return default if stride is None else _pair(stride)


def _convolution(drawing: _Drawing, layer: FloatLayer) -> bool:
    x = drawing.map(layer)
    if len(x.shape) != 4:
        return False
    window, dilation = _pair(layer.attributes["kernel_size"]), _pair(layer.attributes.get("dilation_rate", 1))
    channels = layer.output_shape[-1]
    stride = _stride(layer)
    pads = _pads(layer, x, window, stride, dilation)
    if layer.kind == "Conv2D":
        op: Operator = Conv2D(stride, dilation, pads)
        drawing.put(layer, op, [x, *drawing.weights(layer, (channels, *window, x.shape[3]), 0)])
        return True
    between = x.shape[3] * int(layer.attributes.get("depth_multiplier", 1))
    op = DepthwiseConv2D(stride, dilation, pads)
    suffix = "/depthwise" if layer.kind == "SeparableConv2D" else ""
    x = drawing.put(layer, op, [x, *drawing.weights(layer, (1, *window, between), 3, suffix)], suffix)
    if suffix:
        drawing.put(layer, Conv2D(), [x, *drawing.weights(layer, (channels, 1, 1, between), 0)])
    return True


def _dense(drawing: _Drawing, layer: FloatLayer) -> bool:
    x = drawing.map(layer)
    if len(x.shape) != 2:
        return False
    drawing.put(
        layer, FullyConnected(), [x, *drawing.weights(layer, (layer.output_shape[-1], x.shape[-1]), 0)]
    )
    return True


def _pooling(drawing: _Drawing, layer: FloatLayer) -> bool:
    x = drawing.map(layer)
    kind = MaxPool2D if layer.kind == "MaxPooling2D" else AveragePool2D
    window = _pair(layer.attributes["pool_size"])
    stride = _stride(layer, window)
    drawing.put(layer, kind(window, stride, _pads(layer, x, window, stride)), [x])
    return True


def _global_average(drawing: _Drawing, layer: FloatLayer) -> bool:
    axes = drawing.constant(f"{layer.name}/axes", np.array([1, 2], np.int32))
    drawing.put(layer, Mean((1, 2), len(layer.output_shape) > 1), [drawing.map(layer), axes])
    return True


def _merge(drawing: _Drawing, layer: FloatLayer) -> bool:
    if len(layer.inputs) != 2:
        return False
    drawing.put(layer, MERGES[layer.kind](), [drawing.map(layer, position) for position in (0, 1)])
    return True


def _padding(drawing: _Drawing, layer: FloatLayer) -> bool:
    amounts = layer.attributes.get("padding")
    if amounts is None:
        return False
    rows, columns = (_pair(each) for each in _pair_of_any(amounts))
    pads = ((0, 0), rows, columns, (0, 0))
    listed = drawing.constant(f"{layer.name}/pads", np.array(pads, np.int32))
    drawing.put(layer, Pad(pads), [drawing.map(layer), listed])
    return True


def _pair_of_any(value: Any) -> tuple[Any, Any]:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second


ACTIVATIONS = frozenset({"ReLU", "Activation", "Softmax"})
DRAW: Mapping[str, Callable[[_Drawing, FloatLayer], bool]] = {
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D", "SeparableConv2D"), _convolution),
    "Dense": _dense,
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"), _pooling),
    "GlobalAveragePooling2D": _global_average,
    **dict.fromkeys(MERGES, _merge),
    "ZeroPadding2D": _padding,
    **dict.fromkeys(ACTIVATIONS, _Drawing.activation_layer),
}
