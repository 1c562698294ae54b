"""Reading TFLite files: names a person knows, and every obstacle in one error."""

from __future__ import annotations

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ModelNotSupported
from pipeline.operators import BY_TFLITE_NAME, INT16_FORMS, REFUSED_INT16
from pipeline.operators.concatenation import Joining
from pipeline.operators.pad import Pad
from pipeline.operators.relu import ReluInt16
from pipeline.operators.reshape import Reshape
from pipeline.operators.select import Select
from pipeline.operators.strided_copy import StridedCopy
from pipeline.read_tflite import layer_name, read_tflite
from tests.tflite_chains import Chain, clamped_convolution, convolution_options, pool_options
from tests.unit.test_passes import by_graph, by_tflite


@pytest.fixture
def good():
    return clamped_convolution(np.random.default_rng(0), 6, (2, 3), ("RELU",), (2, 2))


def test_a_good_file_becomes_a_graph(good):
    graph = read_tflite(good, "chain")
    assert [node.op.tflite_name for node in graph.nodes] == ["CONV_2D", "RELU", "MAX_POOL_2D"]
    assert [node.name for node in graph.nodes] == ["conv", "clamp_0", "pool"]
    assert graph.tensors["w"].quantization.per_channel
    assert graph.macs(graph.nodes[0]) == 6 * 6 * 3 * 3 * 2 * 3


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("net/conv2d_1/Relu;net/conv2d_1/BiasAdd;net/conv2d_1/Conv2D", "conv2d_1"),
        ("net/conv2d_1/Relu", "conv2d_1"),
        ("net/activation/Relu;net/norm/FusedBatchNormV3;net/conv2d/BiasAdd;net/conv2d_4/Conv2D", "conv2d"),
        ("Identity", "Identity"),
        ("StatefulPartitionedCall:0", "StatefulPartitionedCall"),
        ("net/block/dense/MatMul;net/block/dense/BiasAdd", "dense"),
        ("net/conv/convolution1", "conv"),
        ("net/conv/convolution/ExpandDims", "conv"),
        ("net/conv/convolution/Squeeze_1;net/conv/convolution", "conv"),
        ("net/joined/concat", "joined"),
        ("concat", "concat"),
        ("net/dw/depthwise;net/dw/depthwise/kernel", "dw"),
        ("net/block/convolution1/BiasAdd;net/block/convolution1/convolution", "convolution1"),
    ],
)
def test_layers_are_called_as_in_the_model(tensor, name):
    assert layer_name(tensor, "net/") == name


def test_a_second_operator_of_a_layer_is_told_apart():
    chain = Chain()
    x, y, z = (
        chain.tensor(n, (1, 4), scale=0.1) for n in ("x", "dense/MatMul;dense/BiasAdd", "dense/Output")
    )
    chain.operator("RELU", [x], y)
    chain.operator("RELU6", [y], z)
    graph = read_tflite(chain.finish([x], [z]), "m")
    assert [node.name for node in graph.nodes] == ["dense", "dense_relu6"]


@pytest.mark.parametrize("content", [b"", b"not a model", b"\0\0\0\0TFL3" + b"\xff" * 64])
def test_what_is_no_tflite_file_is_refused(content):
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(content, "x")
    assert caught.value.code == "E_MODEL_DAMAGED"


def test_a_cut_file_is_refused_or_read_but_never_a_traceback(good):
    refused = 0
    for end in range(8, len(good) - 1, max(1, len(good) // 40)):
        try:
            read_tflite(good[:end], "x")
        except ModelNotSupported:
            refused += 1
    assert refused > 20


def test_all_unsupported_layers_are_named_at_once():
    chain = Chain()
    x = chain.tensor("in", (1, 4, 4, 2), scale=0.1)
    y = chain.tensor("net/strange/Op", (1, 4, 4, 2), scale=0.1)
    z = chain.tensor("net/other/Op", (1, 4, 4, 2), scale=0.1)
    w = chain.tensor("w", (2, 3, 3, 2), "float32", data=np.ones((2, 3, 3, 2)))
    out = chain.tensor("net/conv/Conv2D", (1, 4, 4, 2), scale=0.1)
    chain.operator("SIN", [x], y)
    chain.operator("CUSTOM", [y], z, custom="MyOp")
    chain.operator("CONV_2D", [z, w], out, convolution_options())
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(chain.finish([x], [out]), "m")
    assert caught.value.code == "E_OP_UNSUPPORTED"
    text = "\n".join(caught.value.details)
    assert "strange: operator SIN is not supported" in text
    assert "other: operator CUSTOM MyOp is not supported" in text
    assert "conv: CONV_2D: its weights w is float32" in text


def test_a_float_file_is_refused_with_the_way_out():
    chain = Chain()
    x, y = (chain.tensor(name, (1, 4), "float32") for name in ("x", "y"))
    chain.operator("RELU", [x], y)
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(chain.finish([x], [y]), "m")
    assert caught.value.code == "E_MODEL_NOT_INT8"
    assert "give the Keras model" in caught.value.hint


def test_activations_of_16_bits_have_operators_of_their_own():
    chain = Chain()
    x, y = (chain.tensor(name, (1, 4), "int16", scale=0.1) for name in ("x", "y"))
    chain.operator("RELU", [x], y)
    (node,) = read_tflite(chain.finish([x], [y]), "m").nodes
    assert isinstance(node.op, ReluInt16)


def test_what_has_no_form_of_16_bits_is_refused_with_its_reason():
    chain = Chain()
    x, y = (chain.tensor(name, (1, 4), "int16", scale=0.1) for name in ("x", "y"))
    chain.operator("HARD_SWISH", [x], y)
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(chain.finish([x], [y]), "m")
    assert caught.value.code == "E_OP_UNSUPPORTED"
    assert "int16" in caught.value.details[0]
    assert "relu6" in caught.value.details[0]
    # What could replace it has an int16 form itself.
    named = caught.value.hint.split(": ")[1].split(", ")
    assert {"RELU6", "TRANSPOSE_CONV"} <= {*named}
    assert not {*named} & REFUSED_INT16.keys()


def test_every_operator_is_of_int16_too_or_has_a_reason_not_to_be():
    """Those that move bytes take any type."""
    movers = (Joining, Pad, Reshape, Select, StridedCopy)
    moved = {
        op.tflite_name for op in BY_TFLITE_NAME.values() if issubclass(op, movers)
    } - REFUSED_INT16.keys()
    assert moved | INT16_FORMS.keys() | REFUSED_INT16.keys() == BY_TFLITE_NAME.keys()
    assert not INT16_FORMS.keys() & REFUSED_INT16.keys()


def test_weights_of_four_bits_are_unpacked():
    chain = Chain()
    x, y = (chain.tensor(name, (1, n), scale=0.1) for name, n in (("x", 3), ("y", 1)))
    w = chain.tensor("w", (1, 3), "int4", scale=0.1)
    buffer = schema.BufferT()
    buffer.data = np.array([0x7F, 0x08], np.uint8)  # -1, 7, -8
    chain.model.buffers.append(buffer)
    chain.graph.tensors[w].buffer = len(chain.model.buffers) - 1
    chain.operator("FULLY_CONNECTED", [x, w, -1], y, schema.FullyConnectedOptionsT())
    weights = read_tflite(chain.finish([x], [y]), "m").tensors["w"]
    assert weights.dtype == "int8"
    assert weights.data.tolist() == [[-1, 7, -8]]


@pytest.mark.parametrize(("given", "made", "code"), [(0, 0, "E_MODEL_INPUTS"), (2, 0, "E_OP_UNSUPPORTED")])
def test_what_holds_no_elements_is_refused(given, made, code):
    """There is no first channel to speak of."""
    chain = Chain()
    x = chain.tensor("x", (1, given), scale=0.1)
    y = chain.tensor("y", (1, made), scale=0.1)
    chain.operator("RELU", [x], y)
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(chain.finish([x], [y]), "m")
    assert caught.value.code == code


@pytest.mark.parametrize("count", [0, 1])
def test_zero_points_are_as_many_as_scales_or_none(good, count):
    model = schema.ModelT.InitFromPackedBuf(good, 0)
    weights = next(tensor for tensor in model.subgraphs[0].tensors if tensor.name == b"w")
    weights.quantization.zeroPoint = [0] * count
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    if count:
        with pytest.raises(ModelNotSupported, match="3 scales and 1 zero points"):
            read_tflite(bytes(builder.Output()), "m")
    else:
        tensors = read_tflite(bytes(builder.Output()), "m").tensors
        assert tensors["w"].quantization.zero_point == (0, 0, 0)


def test_several_inputs_and_outputs_have_the_names_of_the_signature():
    chain = Chain()
    a, b, y, z = (chain.tensor(name, (1, 4), scale=0.1) for name in ("a", "b", "y", "z"))
    chain.operator("ADD", [a, b], y, schema.AddOptionsT())
    chain.operator("RELU", [y], z)
    chain.signature(inputs={"right": b, "left": a}, outputs={"score": z, "sum": y})
    graph = read_tflite(chain.finish([a, b], [y, z]), "m")
    assert (graph.inputs, graph.input_names) == (("a", "b"), ("left", "right"))
    assert (graph.outputs, graph.output_names) == (("y", "z"), ("sum", "score"))


def test_a_signature_that_leaves_an_input_out_names_none():
    chain = Chain()
    a, b, y = (chain.tensor(name, (1, 4), scale=0.1) for name in ("a", "b", "y"))
    chain.operator("ADD", [a, b], y, schema.AddOptionsT())
    chain.signature(inputs={"left": a}, outputs={"sum": y})
    graph = read_tflite(chain.finish([a, b], [y]), "m")
    assert (graph.input_names, graph.output_names) == ((), ("sum",))


@pytest.mark.parametrize("ends", [("x", None), (None, "y")])
def test_a_model_without_inputs_or_outputs_is_refused(ends):
    chain = Chain()
    x, y = (chain.tensor(name, (1, 4), scale=0.1) for name in ("x", "y"))
    chain.operator("RELU", [x], y)
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(chain.finish([x] if ends[0] else [], [y] if ends[1] else []), "m")
    assert caught.value.code == "E_MODEL_INPUTS"


def test_an_output_that_is_a_constant_is_refused():
    chain = Chain()
    x, y = (chain.tensor(name, (1, 4), scale=0.1) for name in ("x", "y"))
    held = chain.tensor("held", (1, 4), scale=0.1, data=np.zeros((1, 4), np.int8))
    chain.operator("RELU", [x], y)
    with pytest.raises(ModelNotSupported, match="held") as caught:
        read_tflite(chain.finish([x], [y, held]), "m")
    assert caught.value.code == "E_MODEL_INPUTS"


def test_dynamic_shapes_are_refused():
    chain = Chain()
    x = chain.tensor("x", (1, 1, 1, 2), scale=0.1, signature=[1, -1, -1, 2])
    y = chain.tensor("y", (1, 1, 1, 2), scale=0.1)
    chain.operator("RELU", [x], y)
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(chain.finish([x], [y]), "m")
    assert caught.value.code == "E_SHAPE_DYNAMIC"
    assert "x: [1, -1, -1, 2]" in caught.value.details


@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["SPLIT", "SPLIT_V", "UNPACK"]),
    axis=st.integers(1, 3),
    parts=st.integers(1, 4),
    negative=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_each_output_of_a_split_is_a_slice(seed, kind, axis, parts, negative):
    """The parts are put together again in the opposite order."""
    rng = np.random.default_rng(seed)
    lengths = {
        "SPLIT": [int(rng.integers(1, 4))] * parts,
        "SPLIT_V": [int(n) for n in rng.integers(1, 4, parts)],
        "UNPACK": [1] * parts,
    }[kind]
    shape = [1, *(int(n) for n in rng.integers(1, 5, 3))]
    shape[axis] = sum(lengths)
    chain = Chain()
    x = chain.tensor("x", tuple(shape), scale=0.1, zero_point=4)
    made = []
    for index, length in enumerate(lengths):
        own = [*shape[:axis], *([] if kind == "UNPACK" else [length]), *shape[axis + 1 :]]
        made.append(chain.tensor(f"net/part/{index}", tuple(own), scale=0.1, zero_point=4))
    stated = axis - 4 if negative else axis
    where = chain.tensor("axis", (), "int32", data=np.array(stated))
    if kind == "SPLIT":
        options = schema.SplitOptionsT()
        options.numSplits = parts
        chain.operator(kind, [where, x], made, options)
    elif kind == "SPLIT_V":
        options = schema.SplitVOptionsT()
        options.numSplits = parts
        rest = int(rng.integers(0, parts))
        sizes = [-1 if i == rest and negative else n for i, n in enumerate(lengths)]
        given_sizes = chain.tensor("sizes", (parts,), "int32", data=np.array(sizes))
        chain.operator(kind, [x, given_sizes, where], made, options)
    else:
        options = schema.UnpackOptionsT()
        options.num, options.axis = parts, stated
        chain.operator(kind, [x], made, options)
    y = chain.tensor("net/whole/concat", tuple(shape), scale=0.1, zero_point=4)
    joined = schema.PackOptionsT() if kind == "UNPACK" else schema.ConcatenationOptionsT()
    joined.axis = axis
    if kind == "UNPACK":
        joined.valuesCount = parts
    chain.operator("PACK" if kind == "UNPACK" else "CONCATENATION", made[::-1], y, joined)
    tflite = chain.finish([x], [y])
    image = rng.integers(-128, 128, shape).astype(np.int8)
    graph = read_tflite(tflite, "m")
    assert [node.op.tflite_name for node in graph.nodes[:-1]] == [kind] * parts
    np.testing.assert_array_equal(by_graph(graph, image), by_tflite(tflite, image))


def test_operators_on_static_shapes_are_folded():
    """SHAPE -> STRIDED_SLICE -> PACK -> RESHAPE, as Keras writes a flattening of an open batch."""
    chain = Chain()
    x = chain.tensor("x", (1, 2, 3), scale=0.1, signature=[-1, 2, 3])
    shape = chain.tensor("net/shape/Shape", (3,), "int32")
    chain.operator("SHAPE", [x], shape, schema.ShapeOptionsT())
    bounds = [chain.tensor(f"bound_{i}", (1,), "int32", data=np.array([i])) for i in (0, 1)]
    batch = chain.tensor("net/slice/strided_slice", (), "int32")
    options = schema.StridedSliceOptionsT()
    options.shrinkAxisMask = 1
    chain.operator("STRIDED_SLICE", [shape, *bounds, bounds[1]], batch, options)
    six = chain.tensor("six", (), "int32", data=np.array(6))
    packed = chain.tensor("net/pack/stack", (2,), "int32")
    options = schema.PackOptionsT()
    options.valuesCount = 2
    chain.operator("PACK", [batch, six], packed, options)
    y = chain.tensor("net/flat/Reshape", (1, 6), scale=0.1)
    chain.operator("RESHAPE", [x, packed], y, schema.ReshapeOptionsT())
    graph = read_tflite(chain.finish([x], [y]), "m")
    assert [node.op.tflite_name for node in graph.nodes] == ["RESHAPE"]


def test_known_operators_that_are_refused_say_why():
    chain = Chain()
    x, y = (chain.tensor(name, (1, 4), scale=0.1) for name in ("x", "net/elu/Elu"))
    chain.operator("ELU", [x], y)
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(chain.finish([x], [y]), "m")
    assert caught.value.details[0].startswith("elu: operator ELU is not supported (of a Keras model")
    assert "TFLite's reference kernels have none" in caught.value.details[0]


def test_a_window_too_large_to_reckon_with_is_refused():
    chain = Chain()
    x, y = (chain.tensor(name, (1, 4, 4, 2), scale=0.1) for name in ("x", "y"))
    chain.operator("AVERAGE_POOL_2D", [x], y, pool_options(1 << 21, 1, same=True))
    with pytest.raises(ModelNotSupported, match="cannot be carried") as caught:
        read_tflite(chain.finish([x], [y]), "m")
    assert "padded input of [2097155, 2097155], expected at most 65536" in caught.value.details[0]


def test_an_addition_of_three_is_refused():
    chain = Chain()
    x, y = (chain.tensor(name, (1, 4), scale=0.1) for name in ("x", "y"))
    chain.operator("ADD", [x, x, x], y, schema.AddOptionsT())
    with pytest.raises(ModelNotSupported) as caught:
        read_tflite(chain.finish([x], [y]), "m")
    assert "it has 3 operands, expected 2" in caught.value.details[0]


def test_an_intermediate_that_is_nowhere_is_refused():
    chain = Chain()
    x, y = (chain.tensor(name, (1, 4), scale=0.1) for name in ("x", "y"))
    chain.operator("RELU", [x], y)
    chain.graph.operators[0].intermediates = [9]
    with pytest.raises(ModelNotSupported, match="intermediate tensor 9") as caught:
        read_tflite(chain.finish([x], [y]), "m")
    assert caught.value.code == "E_MODEL_DAMAGED"
