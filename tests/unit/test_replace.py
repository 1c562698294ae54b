"""Operators without an int8 form give way to others that compute the same, and keep their resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.load import Preprocessing, Samples, load_model
from pipeline.quantize import quantize_model
from pipeline.quantize.ranges import share_ranges
from pipeline.quantize.replace import BY_OTHERS, replace_operators
from pipeline.quantize.tflite_graph import TfliteGraph, operator_name
from pipeline.read_tflite import read_tflite
from tests.property.oracle import run_reference
from tests.tflite_chains import Chain

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def run_float(tflite: bytes, arrays: Sequence[np.ndarray]) -> np.ndarray:
    interpreter = Interpreter(model_content=tflite, num_threads=1)
    interpreter.allocate_tensors()
    for detail, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(detail["index"], array)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def one_operator(
    kind: str,
    inputs: Sequence[tuple[int, ...]],
    output: tuple[int, ...],
    constant: np.ndarray | None = None,
    options: Any = None,
) -> TfliteGraph:
    """A float file of one operator."""
    chain = Chain()
    given = [chain.tensor(f"x{i}", shape, "float32") for i, shape in enumerate(inputs)]
    read = list(given)
    if constant is not None:
        read.append(chain.tensor("constant", constant.shape, "int32", data=constant))
    y = chain.tensor("net/layer/Op", output, "float32")
    chain.operator(kind, read, y, options)
    graph = TfliteGraph(chain.finish(given, [y]))
    graph.model.operatorCodes[0].version = 1
    return graph


def drawn(kind: str, shape: tuple[int, ...], dice: np.random.Generator) -> TfliteGraph:
    if kind == "TILE":
        repeats = dice.integers(1, 4, len(shape))
        return one_operator(kind, [shape], tuple(shape * repeats), repeats, schema.TileOptionsT())
    if kind == "SUM":
        axes = dice.permutation(len(shape))[: dice.integers(1, len(shape) + 1)]
        options = schema.ReducerOptionsT()
        options.keepDims = bool(dice.integers(2))
        kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
        left = [size for axis, size in enumerate(shape) if axis not in axes]
        given = np.where(dice.integers(0, 2, len(axes)), axes, axes - len(shape))
        return one_operator(kind, [shape], tuple(kept if options.keepDims else left), given, options)
    return one_operator(kind, [shape] * (2 if kind == "SQUARED_DIFFERENCE" else 1), shape)


@pytest.mark.parametrize("kind", sorted(map(operator_name, BY_OTHERS)))
@given(shape=SHAPES, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_the_function_stays_the_same(kind, shape, seed):
    dice = np.random.default_rng(seed)
    graph = drawn(kind, shape, dice)
    arrays = [dice.normal(0, 2, graph.shape(int(i))).astype(np.float32) for i in graph.subgraph.inputs]
    before, name = run_float(graph.pack(), arrays), graph.name(int(graph.subgraph.outputs[0]))
    (said,) = replace_operators(graph)
    assert said.startswith(f"{kind} as ")
    kinds = [graph.kind(operator) for operator in graph.operators]
    assert not BY_OTHERS.keys() & set(kinds)
    assert graph.name(int(graph.subgraph.outputs[0])) == name
    np.testing.assert_allclose(run_float(graph.pack(), arrays), before, rtol=2e-5, atol=2e-6)


def test_what_is_no_constant_stays():
    chain = Chain()
    x, axes = chain.tensor("x", (2, 3), "float32"), chain.tensor("axes", (1,), "int32")
    y = chain.tensor("y", (2,), "float32")
    chain.operator("SUM", [x, axes], y, schema.ReducerOptionsT())
    graph = TfliteGraph(chain.finish([x, axes], [y]))
    assert replace_operators(graph) == ()
    assert [graph.kind(operator) for operator in graph.operators] == [schema.BuiltinOperator.SUM]


@pytest.mark.parametrize("readers", [1, 2])
def test_a_range_is_cut_only_where_nobody_else_reads(readers):
    chain = Chain()
    x, y, z = (chain.tensor(name, (4,), "float32") for name in "xyz")
    zero = chain.tensor("zero", (1,), "float32", data=np.zeros(1, np.float32))
    chain.operator("MINIMUM", [x, zero], y, schema.MaximumMinimumOptionsT())
    if readers == 2:
        chain.operator("RELU", [x], z)
    graph = TfliteGraph(chain.finish([x], [y]))
    graph.set_range(x, -3.0, 5.0)
    graph.set_range(y, -3.0, 0.0)
    share_ranges(graph)
    assert graph.range(y) == (-3.0, 0.0 if readers == 1 else 5.0)


# --- from Keras ---------------------------------------------------------------------------------------


def cases(keras):
    layers, ops = keras.layers, keras.ops
    image, sequence = (8, 8, 3), (5, 4)
    return {
        "elu": (image, lambda x: layers.Activation("elu")(x)),
        "celu": (image, lambda x: layers.Activation("celu")(x)),
        "prelu of zeros": (image, lambda x: layers.PReLU()(x)),
        "negative": (image, lambda x: -x),
        "square": (image, ops.square),
        "variance": (image, lambda x: ops.mean(ops.square(x - ops.mean(x, axis=-1, keepdims=True)), axis=-1)),
        "sum": (image, lambda x: ops.sum(x, axis=(1, 2))),
        "repeated": (sequence, lambda x: layers.RepeatVector(3)(layers.Flatten()(x))),
        "tiled": (image, lambda x: ops.tile(x, (1, 2, 1, 2))),
    }


@pytest.mark.tensorflow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", list(cases(pytest.importorskip("keras"))))
def test_layers_of_keras_are_carried(name, tmp_path):
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(1)
    shape, apply = cases(keras)[name]
    x = keras.Input(shape)
    y = keras.layers.Conv2D(4, 3)(x) if len(shape) == 3 else keras.layers.Conv1D(4, 3)(x)
    y = keras.layers.Dense(3)(keras.layers.Flatten()(apply(y)))
    path = tmp_path / "net.keras"
    keras.Model(x, y).save(path)
    model = load_model(path)
    data = np.random.default_rng(2).normal(size=(40, *shape)).astype(np.float32)
    made = quantize_model(model, Samples(data, None, None, "test data", False, Preprocessing()))
    read_tflite(made.tflite, "net")  # every operator is one that is carried
    (given,), (output,) = model.inputs, TfliteGraph(made.tflite).subgraph.outputs
    assert given.shape == shape
    held = TfliteGraph(made.tflite).subgraph
    scale_in, scale_out = (held.tensors[int(i)].quantization for i in (held.inputs[0], output))
    real = np.asarray(model.live(data, training=False))
    found = []
    for sample in data:
        steps = np.round(sample / scale_in.scale[0]) + scale_in.zeroPoint[0]
        integers = run_reference(made.tflite, [np.clip(steps, -128, 127).astype(np.int8)[np.newaxis]])
        found.append((integers[0].astype(np.float64) - scale_out.zeroPoint[0]) * scale_out.scale[0])
    noise = np.array(found) - real
    assert 10 * np.log10((real**2).sum() / (noise**2).sum()) > 25  # dB
