"""Fold batch norm into the layer before it, also behind a ReLU, without changing the function.

Batch norm is a*y + c per channel, with a = gamma / sqrt(variance + epsilon) and c = beta - a * mean.

- Behind a linear layer y = W x + b it disappears: W' = a W, b' = a b + c.
- Behind an activation that clamps, y = clamp(z, low, high) with z = W x + b, it moves to the other side
  of the clamp: a * clamp(z, low, high) + c = clamp(a z + c, a low + c, a high + c) for a > 0, and for
  a < 0 the two ends change places. So W and b change as above, and the activation becomes a clamp whose
  ends differ by channel. ReLU is (low, high) = (0, inf): a MAXIMUM with c where a > 0, a MINIMUM where
  a < 0. Padding stays right, since it pads x, which does not change.

TensorFlow Lite's converter folds the first kind only. It leaves the second as int8 MUL and ADD behind
every convolution, and each of them rounds.

A layer, group or RMS normalization is written out anew: (x - mean) times 1 / sqrt(variance + epsilon), in
that order. The converter makes x / sqrt(variance + epsilon) - mean / sqrt(variance + epsilon) of Keras's
own, with a NEG in float between, and rounds both terms on scales that their difference does not need.

Keras 3 repeats pixels by a TILE. An upsampling to the nearest neighbor is written as what it is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.load import FloatModel
from pipeline.load.frameworks import captured_stderr, import_keras, import_legacy_keras, import_tensorflow
from pipeline.load.keras_model import float_weights, functional_graph, node_tensors, operation_of

# Layers whose output channels are an axis of the kernel, and that axis; DepthwiseConv2D has two.
CHANNEL_AXIS = {
    "Dense": -1,
    "Conv1D": -1,
    "Conv2D": -1,
    "SeparableConv1D": -1,
    "SeparableConv2D": -1,
    "DepthwiseConv2D": None,
    "Conv2DTranspose": -2,
}
# Do nothing at inference, so that folding may reach through them
TRANSPARENT = {
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "GaussianNoise", "GaussianDropout",
    "ActivityRegularization", "Identity",
}  # fmt: skip
# A channel without a bound on one side: beyond any activation, within float32's exact integers
UNBOUNDED = float(2**24)


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """One batch norm that is folded."""

    norm: str
    into: str
    lower: np.ndarray | None
    """float32 (channels,): the clamp's ends by channel; None where there is no clamp on that side."""
    upper: np.ndarray | None

    def __str__(self) -> str:
        ends = [word for word, end in (("MAXIMUM", self.lower), ("MINIMUM", self.upper)) if end is not None]
        clamp = f", {' and '.join(ends)} per channel in the activation's place" if ends else ""
        return f"batch norm {self.norm} folded into {self.into}{clamp}"


@dataclass(frozen=True, slots=True)
class WrittenOut:
    """One layer, group or RMS normalization in other operators."""

    norm: str

    def __str__(self) -> str:
        return f"normalization {self.norm} written out in operators that int8 has"


@dataclass(frozen=True, slots=True, eq=False)
class Rewritten:
    """A model of the same function, in float32 throughout, its layers named so that they can be found."""

    live: Any
    folds: tuple[Fold | WrittenOut, ...]
    names: dict[str, str]
    """The rewritten model's layer names to the original's."""


def fold_normalizations(model: FloatModel) -> Rewritten:
    """Rebuild the Keras model with every batch norm folded that can be, and layer normalizations written out.

    A SavedModel stays as it is.
    """
    if model.api == "saved_model":
        return Rewritten(model.live, (), {})
    keras = import_keras() if model.api == "keras" else import_legacy_keras()
    plan = _Plan()
    _plan_graph(functional_graph(model.live), "", plan, _calls(functional_graph(model.live), {}))
    return Rewritten(_rebuild(model, keras, plan), tuple(plan.folds), plan.names)


def in_float32(model: FloatModel) -> Any:
    """The model as it is, but without reduced precision: what a rewrite is held against."""
    if all(_computes_in_float32(layer) for layer in model.live.layers):
        return model.live
    return clone_in_float32(model)


def clone_in_float32(model: FloatModel) -> Any:
    """A Keras model of the same weights and of any batch, that can be changed."""
    keras = import_keras() if model.api == "keras" else import_legacy_keras()
    return _rebuild(model, keras, _Plan())


def _computes_in_float32(layer: Any) -> bool:
    quantized = getattr(layer, "quantization_mode", None) is not None
    return not quantized and getattr(layer, "compute_dtype", "float32") in {"float32", None}


# --- what to fold --------------------------------------------------------------------------------


class _Plan:
    """What becomes of each layer, by its id; layers that are not mentioned stay as they are."""

    def __init__(self) -> None:
        self.folds: list[Fold | WrittenOut] = []
        self.weights: dict[int, list[np.ndarray]] = {}
        """Of the layers that something is folded into: new weights, a bias included."""
        self.clamps: dict[int, tuple[np.ndarray | None, np.ndarray | None]] = {}
        """Batch norms whose place a clamp takes, or nothing: (None, None)."""
        self.dropped: set[int] = set()
        """Activation layers whose work the clamp does."""
        self.written_out: set[int] = set()
        """Layer, group and RMS normalizations."""
        self.names: dict[str, str] = {}


def _calls(graph: Any, found: dict[int, Counter[int]]) -> dict[int, Counter[int]]:
    """For every graph, inner ones included, by id: how often it calls each layer."""
    if id(graph) in found:
        return found
    calls: Counter[int] = Counter()
    found[id(graph)] = calls
    for node in _nodes(graph):
        layer = operation_of(node)
        calls[id(layer)] += 1
        inner = functional_graph(layer)
        if inner is not None:
            _calls(inner, found)
    return found


def _nodes(graph: Any) -> list[Any]:
    """The nodes in an order in which they can run, without inputs."""
    depths = graph._nodes_by_depth
    return [node for depth in sorted(depths, reverse=True) for node in depths[depth] if not node.is_input]


def _plan_graph(graph: Any, prefix: str, plan: _Plan, calls: dict[int, Counter[int]]) -> None:
    makers: dict[int, Any] = {}
    reads: Counter[int] = Counter(id(tensor) for tensor in graph.outputs)
    nodes = _nodes(graph)
    for node in nodes:
        inputs, outputs = node_tensors(node)
        makers.update({id(tensor): node for tensor in outputs})
        reads.update(id(tensor) for tensor in inputs)
    for node in nodes:
        layer = operation_of(node)
        inner = functional_graph(layer)
        if inner is not None:
            _plan_graph(inner, f"{prefix}{layer.name}/", plan, calls)
        elif type(layer).__name__ in {"LayerNormalization", "GroupNormalization", "RMSNormalization"}:
            if _is_last_axis(layer) and not getattr(layer, "rms_scaling", False):
                if id(layer) not in plan.written_out:
                    plan.folds.append(WrittenOut(f"{prefix}{layer.name}"))
                plan.written_out.add(id(layer))
        elif type(layer).__name__ == "BatchNormalization":
            chain = _chain_before(node, makers, reads)
            if chain and all(sum(c[id(member)] for c in calls.values()) == 1 for member in (*chain, layer)):
                _plan_fold(layer, chain, prefix, plan)


def _chain_before(node: Any, makers: dict[int, Any], reads: Counter[int]) -> list[Any]:
    """The layers from the weighted one to just before the batch norm, or nothing.

    Each is read by the next alone, and all between the ends are clamps or transparent.
    """
    chain: list[Any] = []
    while True:
        (tensor, *others), _ = node_tensors(node)
        maker = makers.get(id(tensor))
        if others or maker is None or reads[id(tensor)] != 1:
            return []
        node, layer = maker, operation_of(maker)
        chain.insert(0, layer)
        kind = type(layer).__name__
        if kind in CHANNEL_AXIS:
            return chain
        if kind not in TRANSPARENT and _clamp_of(layer) is None:
            return []


def _clamp_of(layer: Any) -> tuple[float, float] | None:
    """(low, high) of the layer's activation; None where it is no clamp. Linear is (-inf, inf)."""
    kind = type(layer).__name__
    if kind in TRANSPARENT:
        return (-math.inf, math.inf)
    if kind == "ReLU":
        top = layer.max_value
        if layer.negative_slope or layer.threshold:
            return None
        return (0.0, math.inf if top is None else float(top))
    if kind != "Activation" and kind not in CHANNEL_AXIS:
        return None
    function = layer.activation
    name = getattr(function, "__name__", type(function).__name__)
    return {
        "linear": (-math.inf, math.inf),
        "relu": (0.0, math.inf),
        "relu6": (0.0, 6.0),
    }.get(name)


def _plan_fold(norm: Any, chain: list[Any], prefix: str, plan: _Plan) -> None:
    weighted = chain[0]
    clamps = [_clamp_of(layer) for layer in chain]
    if any(clamp is None for clamp in clamps) or not _is_last_axis(norm) or id(weighted) in plan.weights:
        return
    low = max(clamp[0] for clamp in clamps if clamp)
    high = min(clamp[1] for clamp in clamps if clamp)
    if low > high:
        return
    a, c = scale_and_offset(norm)
    plan.weights[id(weighted)] = _scaled(weighted, a, c)
    lower, upper = clamp_ends(a, c, low, high)
    plan.clamps[id(norm)] = (lower, upper)
    plan.dropped |= {id(layer) for layer in chain[1:]}
    plan.folds.append(Fold(f"{prefix}{norm.name}", f"{prefix}{weighted.name}", lower, upper))


def _is_last_axis(norm: Any) -> bool:
    axis = norm.axis if isinstance(norm.axis, int) else list(norm.axis)[-1]
    several = not isinstance(norm.axis, int) and len(norm.axis) > 1
    return not several and axis in (-1, len(_rank(norm)) - 1)


def _rank(norm: Any) -> tuple[int | None, ...]:
    tensor = norm.input
    return tuple(tensor.shape)


def scale_and_offset(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    """float64 (channels,) a and c of the batch norm layer, such that it is a*y + c."""
    mean = np.asarray(norm.moving_mean, np.float64)
    variance = np.asarray(norm.moving_variance, np.float64)
    gamma = np.asarray(norm.gamma, np.float64) if norm.scale else np.ones_like(mean)
    beta = np.asarray(norm.beta, np.float64) if norm.center else np.zeros_like(mean)
    a = gamma / np.sqrt(variance + norm.epsilon)
    return a, beta - a * mean


def clamp_ends(
    a: np.ndarray, c: np.ndarray, low: float, high: float
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The ends, by channel, of a * clamp(z, low, high) + c as a clamp of a*z + c; None: no end on that side.

    Where a is 0 the result is c whatever z is, and both ends are c.
    """
    with np.errstate(invalid="ignore"):
        first, second = (np.where(a == 0, c, a * end + c) for end in (low, high))
    lower, upper = np.minimum(first, second), np.maximum(first, second)
    return (
        None if np.isneginf(lower).all() else _bounded(lower),
        None if np.isposinf(upper).all() else _bounded(upper),
    )


def _bounded(ends: np.ndarray) -> np.ndarray:
    clipped: np.ndarray = np.clip(ends, -UNBOUNDED, UNBOUNDED)
    return clipped.astype(np.float32)


def _scaled(layer: Any, a: np.ndarray, c: np.ndarray) -> list[np.ndarray]:
    """The layer's weights with the batch norm in them, bias last; computed in float64."""
    weights = [np.asarray(weight, np.float64) for weight in float_weights(layer)]
    bias = weights.pop() if layer.use_bias else np.zeros_like(a)
    axis = CHANNEL_AXIS[type(layer).__name__]
    kernel = weights[-1]
    if axis is None:  # depthwise (height, width, channels, multiplier): channels of the output are both
        weights[-1] = kernel * a.reshape(kernel.shape[2:])
    else:
        shape = [1] * kernel.ndim
        shape[axis] = -1
        weights[-1] = kernel * a.reshape(shape)
    return [weight.astype(np.float32) for weight in (*weights, a * bias + c)]


# --- the rebuilt model ---------------------------------------------------------------------------


def _rebuild(model: FloatModel, keras: Any, plan: _Plan) -> Any:
    """A clone of the model, every layer in float32 and under a name that is no part of another's."""
    tensorflow = import_tensorflow()
    clamp_class, normal_class = _clamp_layer(keras, tensorflow), _normal_layer(keras, tensorflow)
    nearest_class = _nearest_layer(keras, tensorflow)
    pending: list[tuple[Any, list[np.ndarray]]] = []
    paths = _paths(functional_graph(model.live), "", {})

    def clone(layer: Any) -> Any:
        if functional_graph(layer) is not None:
            return keras.models.clone_model(layer, clone_function=clone)
        if not isinstance(layer, keras.layers.Layer) or "OpLambda" in type(layer).__name__:
            return layer if not hasattr(layer, "from_config") else type(layer).from_config(layer.get_config())
        name = f"layer{len(plan.names):04d}"
        plan.names[name] = paths.get(id(layer), layer.name)
        if id(layer) in plan.dropped:
            return clamp_class(None, None, name=name)
        if id(layer) in plan.clamps:
            return clamp_class(*plan.clamps[id(layer)], name=name)
        if id(layer) in plan.written_out:
            return normal_class(*_normalization_of(layer), name=name)
        if _repeats_pixels(layer):
            return nearest_class(layer.size, name=name)
        config = {**unrolled(layer.get_config()), "name": name, "dtype": "float32"}
        config.pop("quantization_config", None)
        if id(layer) in plan.weights:
            config |= {"use_bias": True, "activation": "linear"}
        copy = type(layer).from_config(config)
        weights = plan.weights.get(id(layer))
        pending.append((copy, float_weights(layer) if weights is None else weights))
        return copy

    sources = [keras.Input(spec.shape, name=spec.name, dtype="float32") for spec in model.inputs]
    with captured_stderr():
        # A functional model may take its inputs, even a single one, in a list or under names.
        inputs = tensorflow.nest.pack_sequence_as(functional_graph(model.live).input, sources)
        live = keras.models.clone_model(model.live, input_tensors=inputs, clone_function=clone)
    for copy, weights in pending:
        if weights:
            copy.set_weights(weights)
    return live


def _normalization_of(layer: Any) -> tuple[np.ndarray | None, np.ndarray | None, float, int, bool]:
    """Gain, offset, epsilon, groups (0: the last axis), and whether a mean is subtracted."""
    epsilon = float(layer.epsilon)
    if type(layer).__name__ == "RMSNormalization":
        return np.asarray(layer.scale, np.float32), None, epsilon, 0, False
    gain = np.asarray(layer.gamma, np.float32) if layer.scale else None
    offset = np.asarray(layer.beta, np.float32) if layer.center else None
    return gain, offset, epsilon, int(getattr(layer, "groups", 0)), True


def _repeats_pixels(layer: Any) -> bool:
    kind = type(layer).__name__
    nearest = getattr(layer, "interpolation", "nearest") == "nearest"
    last = getattr(layer, "data_format", "channels_last") == "channels_last"
    return kind == "UpSampling1D" or (kind == "UpSampling2D" and nearest and last)


def unrolled(config: Mapping[str, Any]) -> dict[str, Any]:
    """A layer's configuration with every recurrence unrolled, in layers inside of it as well.

    A loop over time would be a graph of its own; unrolled, each step is a few layers more of this one.
    """
    found = {
        key: {**value, "config": unrolled(value["config"])}
        if isinstance(value, Mapping) and isinstance(value.get("config"), Mapping)
        else value
        for key, value in config.items()
    }
    return found | ({"unroll": True} if "unroll" in found else {})


def _paths(graph: Any, prefix: str, found: dict[int, str]) -> dict[int, str]:
    """Every layer's name with the inner models that it lies in, by the layer's id."""
    for node in _nodes(graph):
        layer = operation_of(node)
        inner = functional_graph(layer)
        if inner is not None:
            _paths(inner, f"{prefix}{layer.name}/", found)
        else:
            found.setdefault(id(layer), f"{prefix}{layer.name}")
    return found


def _clamp_layer(keras: Any, tensorflow: Any) -> Any:
    # Keras is imported when it is needed, so that to mypy its base class is Any.
    class ChannelClamp(keras.layers.Layer):  # type: ignore[misc]
        """max(x, lower), then min(x, upper), by channel; either may be absent."""

        def __init__(self, lower: np.ndarray | None, upper: np.ndarray | None, name: str) -> None:
            super().__init__(name=name, dtype="float32")
            self.lower = lower
            self.upper = upper

        def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
            if self.lower is not None:
                x = tensorflow.maximum(x, self.lower)
            if self.upper is not None:
                x = tensorflow.minimum(x, self.upper)
            return x

    return ChannelClamp


def _normal_layer(keras: Any, tensorflow: Any) -> Any:
    # Keras is imported when it is needed, so that to mypy its base class is Any.
    class CenteredNormalization(keras.layers.Layer):  # type: ignore[misc]
        """(x - mean) / sqrt(variance + epsilon), times a gain, plus an offset; or the same without a mean.

        Over the last axis; or over all but the batch, in so many groups of channels, one a channel for -1.
        """

        def __init__(
            self,
            gain: np.ndarray | None,
            offset: np.ndarray | None,
            epsilon: float,
            groups: int,
            centered: bool,
            name: str,
        ) -> None:
            super().__init__(name=name, dtype="float32")
            self.gain = gain
            self.offset = offset
            self.epsilon = epsilon
            self.groups = groups
            self.centered = centered

        def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
            shape, y = x.shape, x
            if self.groups:
                groups = shape[-1] if self.groups < 0 else self.groups
                places = math.prod(shape[1:-1])
                y = tensorflow.reshape(x, (-1, places, groups, shape[-1] // groups))
            centered = y - self._mean(y) if self.centered else y
            y = centered * tensorflow.math.rsqrt(self._mean(centered * centered) + self.epsilon)
            y = tensorflow.reshape(y, (-1, *shape[1:])) if self.groups else y
            y = y if self.gain is None else y * self.gain
            return y if self.offset is None else y + self.offset

        def _mean(self, x: Any) -> Any:
            # One axis after the other: TFLite's int8 MEAN here takes neighbours only.
            x = tensorflow.reduce_mean(x, axis=1, keepdims=True) if self.groups else x
            return tensorflow.reduce_mean(x, axis=-1, keepdims=True)

    return CenteredNormalization


def _nearest_layer(keras: Any, tensorflow: Any) -> Any:
    # Keras is imported when it is needed, so that to mypy its base class is Any.
    class NearestNeighbor(keras.layers.Layer):  # type: ignore[misc]
        """Each step of a sequence, or pixel of a map, as often as the size says along each axis."""

        def __init__(self, size: Any, name: str) -> None:
            super().__init__(name=name, dtype="float32")
            self.size = (int(size), 1) if isinstance(size, int) else tuple(int(each) for each in size)

        def call(self, x: Any, training: Any = None, mask: Any = None) -> Any:
            flat = len(x.shape) == 3
            x = x[:, :, None] if flat else x
            size = [length * count for length, count in zip(x.shape[1:3], self.size, strict=True)]
            y = tensorflow.image.resize(x, size, "nearest")
            return y[:, :, 0] if flat else y

    return NearestNeighbor
