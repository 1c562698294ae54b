"""Quantization-aware fine-tuning: weights that know that they will be rounded.

The float graph runs with what int8 will do to it built in: every weight rounded to its output channel's 255
steps, every activation to the 256 steps of its range. Rounding has no slope, so in the gradient it counts
as the identity, within the range (the straight-through estimator). What is learned is to give the outputs
of the float graph as it was: no labels are needed, and whatever the model does, it does still. Ranges stay
as they were chosen, and the int8 file has them.

Sources: B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR 2018 (section 3, simulated quantization); G. Hinton, O. Vinyals, J. Dean, "Distilling the
Knowledge in a Neural Network", 2015 (the float model as the teacher).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import ModelNotSupported
from pipeline.load.frameworks import captured_stderr, import_keras, import_tensorflow
from pipeline.progress import Progress
from pipeline.quantize.tflite_graph import Activation, Operator, TfliteGraph, operator_name, watched_outputs
from pipeline.tensors import Values, arrays_of

BATCH = 32
LEARNING_RATE = 5e-5
SEED = 20
WEIGHTED = frozenset({Operator.CONV_2D, Operator.DEPTHWISE_CONV_2D, Operator.FULLY_CONNECTED})
OUTPUT_AXIS = {Operator.CONV_2D: 0, Operator.FULLY_CONNECTED: 0, Operator.DEPTHWISE_CONV_2D: 3}
FUNCTIONS: dict[int, Callable[[Any], Any]] = {
    Operator.ADD: lambda tensorflow: tensorflow.add,
    Operator.LOGISTIC: lambda tensorflow: tensorflow.sigmoid,
    Operator.MAXIMUM: lambda tensorflow: tensorflow.maximum,
    Operator.MINIMUM: lambda tensorflow: tensorflow.minimum,
    Operator.MUL: lambda tensorflow: tensorflow.multiply,
    Operator.PAD: lambda tensorflow: tensorflow.pad,
    Operator.RELU: lambda tensorflow: tensorflow.nn.relu,
    Operator.RELU6: lambda tensorflow: tensorflow.nn.relu6,
    Operator.SOFTMAX: lambda tensorflow: tensorflow.nn.softmax,
    Operator.SUB: lambda tensorflow: tensorflow.subtract,
    Operator.TANH: lambda tensorflow: tensorflow.tanh,
    Operator.TRANSPOSE: lambda tensorflow: tensorflow.transpose,
}
POOLS = {Operator.AVERAGE_POOL_2D: "avg_pool2d", Operator.MAX_POOL_2D: "max_pool2d"}
REDUCTIONS = {Operator.MEAN: "reduce_mean", Operator.REDUCE_MAX: "reduce_max"}
RESHAPES = frozenset({Operator.EXPAND_DIMS, Operator.RESHAPE, Operator.SQUEEZE})
OTHERS = frozenset({Operator.CONCATENATION, Operator.HARD_SWISH, Operator.LEAKY_RELU, Operator.PRELU})
TRAINABLE = WEIGHTED | FUNCTIONS.keys() | POOLS.keys() | REDUCTIONS.keys() | RESHAPES | OTHERS
Ends = Mapping[int, tuple[float, float]]
"""By tensor: the smallest and the largest real value that its integers can hold."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What fine-tuning came to."""

    images: int
    epochs: int
    loss_before: float
    loss_after: float

    def __str__(self) -> str:
        return (
            f"weights fine-tuned for {self.epochs} epochs of {self.images} samples, rounded as in int8: "
            f"loss against the float model from {self.loss_before:.3g} to {self.loss_after:.3g}"
        )


def refuse_untrainable(graph: TfliteGraph, where: object) -> None:
    """Raise ModelNotSupported E_TRAIN_OPERATOR where an operator has no differentiable form here."""
    unknown = sorted({graph.kind(op) for op in graph.operators} - TRAINABLE)
    if unknown:
        raise ModelNotSupported(
            f"{len(unknown)} of the model's operators cannot be trained here",
            code="E_TRAIN_OPERATOR",
            where=where,
            details=[operator_name(kind) for kind in unknown],
            hint="leave `train` out of the recipe, or fine-tune with tensorflow_model_optimization and give "
            "the result as a SavedModel",
        )


def fine_tune(
    graph: TfliteGraph, ends: Ends, x: Values, epochs: int, progress: Progress | None = None
) -> Trained:
    """Change the graph's weights and biases so that their int8 form gives what they gave in float.

    `ends`: what the integers of each activation reach; `x`: float32 (N, *input_shape), training samples. The
    order of the samples is always the same; the last bits of float sums, and so a rounding here and there,
    depend on the machine.
    """
    tensorflow = import_tensorflow()
    keras = import_keras()
    weights = {
        int(index): tensorflow.Variable(graph.constant(int(index)))
        for operator in graph.operators
        if graph.kind(operator) in WEIGHTED
        for index in operator.inputs[1:]
        if int(index) >= 0 and graph.constant(int(index)) is not None
    }
    teacher = {index: variable.numpy() for index, variable in weights.items()}
    steps = max(1, len(x) // BATCH)
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * steps))

    def batch_of(rows: Any) -> list[Any]:
        return [tensorflow.constant(array[rows]) for array in arrays_of(x)]

    def measure(batch: Any) -> Any:
        found, wanted = run_batch(graph, batch, weights, ends), run_batch(graph, batch, teacher)
        return _loss(graph, found, wanted)

    @tensorflow.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def step(batch: Any) -> Any:
        with tensorflow.GradientTape() as tape:
            loss = measure(batch)
        variables = list(weights.values())
        gradients = tape.gradient(loss, variables)
        optimizer.apply(gradients, variables)
        return loss

    with captured_stderr():
        optimizer.build(list(weights.values()))
        probe = batch_of(slice(8 * BATCH))
        before = float(measure(probe))
        for epoch in range(epochs):
            order = np.random.default_rng((SEED, epoch)).permutation(len(x))
            for number in range(steps):
                step(batch_of(order[number * BATCH : (number + 1) * BATCH]))
                if progress:
                    progress("fine-tuning", epoch * steps + number + 1, epochs * steps)
        after = float(measure(probe))
    for index, variable in weights.items():
        graph.set_constant(index, variable.numpy())
    return Trained(len(x), epochs, before, after)


def _loss(graph: TfliteGraph, found: list[Any], wanted: list[Any]) -> Any:
    """Of all outputs against the teacher's: divergence before a softmax, else relative square error."""
    tensorflow = import_tensorflow()
    classified = {int(op.inputs[0]) for op in graph.operators if graph.kind(op) == Operator.SOFTMAX}
    total = 0.0
    for tensor, one, other in zip(watched_outputs(graph), found, wanted, strict=True):
        if tensor in classified:
            logs = tensorflow.nn.log_softmax(other) - tensorflow.nn.log_softmax(one)
            total += tensorflow.reduce_mean(tensorflow.reduce_sum(tensorflow.nn.softmax(other) * logs, -1))
        else:
            signal = tensorflow.reduce_mean(tensorflow.square(other)) + 1e-12
            total += tensorflow.reduce_mean(tensorflow.square(one - other)) / signal
    return total


# --- the graph in TensorFlow -------------------------------------------------------------------------


def run_batch(
    graph: TfliteGraph, batch: Sequence[Any], weights: Mapping[int, Any], ends: Ends | None = None
) -> list[Any]:
    """The watched tensors for a batch, an array (N, ...) for each input; with `ends`, rounded as int8 rounds.

    `weights` take the place of the graph's constants, by tensor.
    """
    values: dict[int, Any] = {}

    def keep(tensor: int, value: Any) -> None:
        held = None if ends is None else ends.get(tensor)
        values[tensor] = value if held is None else _rounded_activation(value, *held)

    def read(index: int) -> Any:
        if index < 0:
            return None
        return values[index] if index in values else weights.get(index, graph.constant(index))

    for tensor, value in zip(graph.subgraph.inputs, batch, strict=True):
        keep(int(tensor), value)
    for operator in graph.operators:
        kind = graph.kind(operator)
        inputs = [read(int(index)) for index in operator.inputs]
        if kind in WEIGHTED:
            if ends is not None:
                inputs[1] = _rounded_weights(inputs[1], OUTPUT_AXIS[kind])
            made = _weighted(graph, operator, inputs)
        else:
            made = _unweighted(graph, operator, inputs)
        keep(int(operator.outputs[0]), _activated(operator, made))
    return [values[tensor] for tensor in watched_outputs(graph)]


def _rounded_activation(value: Any, low: float, high: float) -> Any:
    """Rounded to the 256 steps of low..high, zero among them as TFLite has it; the gradient passes inside."""
    if high - low < 1e-9:
        return value
    return import_tensorflow().quantization.fake_quant_with_min_max_args(value, low, high)


def _rounded_weights(weights: Any, axis: int) -> Any:
    """Rounded to 255 steps of each output channel's largest magnitude, symmetrically; the gradient passes."""
    tensorflow = import_tensorflow()
    others = [other for other in range(len(weights.shape)) if other != axis]
    largest = tensorflow.reduce_max(tensorflow.abs(weights), axis=others, keepdims=True)
    scale = tensorflow.maximum(largest, 1e-12) / 127
    rounded = tensorflow.round(weights / scale) * scale
    return weights + tensorflow.stop_gradient(rounded - weights)


def _weighted(graph: TfliteGraph, operator: Any, inputs: list[Any]) -> Any:
    tensorflow = import_tensorflow()
    x, weights, *bias = inputs
    kind, options = graph.kind(operator), operator.builtinOptions
    shape = graph.shape(int(operator.outputs[0]))
    if kind == Operator.FULLY_CONNECTED:
        flat = tensorflow.reshape(x, (-1, weights.shape[1]))
        made = tensorflow.reshape(tensorflow.matmul(flat, weights, transpose_b=True), (-1, *shape[1:]))
    else:
        window = {
            "strides": (1, options.strideH, options.strideW, 1),
            "padding": _padding(options),
            "dilations": (options.dilationHFactor, options.dilationWFactor),
        }
        if kind == Operator.CONV_2D:
            made = tensorflow.nn.conv2d(x, tensorflow.transpose(weights, (1, 2, 3, 0)), **window)
        else:
            _, height, width, outputs = weights.shape
            filters = tensorflow.reshape(weights, (height, width, x.shape[-1], outputs // x.shape[-1]))
            made = tensorflow.nn.depthwise_conv2d(x, filters, **window)
    return made if not bias or bias[0] is None else made + bias[0]


def _padding(options: Any) -> str:
    return "VALID" if options.padding else "SAME"


def _activated(operator: Any, value: Any) -> Any:
    tensorflow = import_tensorflow()
    fused = getattr(operator.builtinOptions, "fusedActivationFunction", Activation.NONE)
    if fused == Activation.RELU_N1_TO_1:
        return tensorflow.clip_by_value(value, -1.0, 1.0)
    return {
        Activation.NONE: tensorflow.identity,
        Activation.RELU: tensorflow.nn.relu,
        Activation.RELU6: tensorflow.nn.relu6,
        Activation.TANH: tensorflow.tanh,
    }[fused](value)


def _unweighted(graph: TfliteGraph, operator: Any, inputs: list[Any]) -> Any:
    """What an operator of `FUNCTIONS`, `POOLS`, `REDUCTIONS`, `RESHAPES` or `OTHERS` makes of a batch."""
    tensorflow = import_tensorflow()
    kind, options = graph.kind(operator), operator.builtinOptions
    x = inputs[0]
    if kind in FUNCTIONS:
        return FUNCTIONS[kind](tensorflow)(*inputs)
    if kind in POOLS:
        window, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
        return getattr(tensorflow.nn, POOLS[kind])(x, window, strides, _padding(options))
    if kind in REDUCTIONS:
        axes = [int(axis) for axis in np.reshape(inputs[1], -1)]
        return getattr(tensorflow, REDUCTIONS[kind])(x, axis=axes, keepdims=bool(options.keepDims))
    if kind in RESHAPES:
        return tensorflow.reshape(x, (-1, *graph.shape(int(operator.outputs[0]))[1:]))
    if kind == Operator.CONCATENATION:
        return tensorflow.concat(inputs, axis=options.axis)
    if kind == Operator.LEAKY_RELU:
        return tensorflow.nn.leaky_relu(x, options.alpha)
    if kind == Operator.PRELU:
        return tensorflow.nn.relu(x) - inputs[1] * tensorflow.nn.relu(-x)
    return x * tensorflow.nn.relu6(x + 3) / 6
