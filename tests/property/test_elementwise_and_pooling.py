"""The operators without weights against TFLite's reference kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from c_kernels import Kernels
from cases import check, factors, integers_like, zero_points
from hypothesis import given
from hypothesis import strategies as st
from tflite_builder import Spec

from pipeline.operators import BY_TFLITE_NAME
from pipeline.tensors import Tensor

ACTIVATIONS = (0, 1, 2, 3)
SAME, VALID = 0, 1


@st.composite
def poolings(draw: Any) -> dict[str, Any]:
    window = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = draw(st.sampled_from([SAME, VALID]))
    least = window if padding == VALID else (1, 1)
    size = tuple(draw(st.integers(least[i], least[i] + 7)) for i in (0, 1))
    channels = draw(st.integers(1, 6))
    out = [
        -(-size[i] // stride[i]) if padding == SAME else (size[i] - window[i]) // stride[i] + 1
        for i in (0, 1)
    ]
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = stride
    options.filterHeight, options.filterWidth = window
    options.fusedActivationFunction = draw(st.sampled_from(ACTIVATIONS))
    scale, zero = draw(factors()), draw(zero_points())
    shape = (1, *size, channels)
    return {
        "options": options,
        "inputs": [Spec(shape, scale=scale, zero_point=zero)],
        "output": Spec((1, *out, channels), scale=scale, zero_point=zero),
        "arrays": [draw(integers_like(shape))],
    }


@given(case=poolings())
def test_max_pool_2d(kernels: Kernels, case: dict[str, Any]) -> None:
    check(kernels, "MAX_POOL_2D", **case)


@given(case=poolings())
def test_average_pool_2d(kernels: Kernels, case: dict[str, Any]) -> None:
    check(kernels, "AVERAGE_POOL_2D", **case)


@st.composite
def pairs(draw: Any, options: Any, same_scale: bool = False) -> dict[str, Any]:
    rank = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 6)) for _ in range(rank))
    if rank == 4:
        shape = (1, *shape[1:])
    kind = draw(st.sampled_from(["same", "scalar", "channel", "any"]))
    other = {
        "same": shape,
        "scalar": draw(st.sampled_from([(), (1,), (1,) * rank])),
        "channel": shape[-1:],
    }.get(kind, tuple(size if draw(st.booleans()) else 1 for size in shape))
    shapes = [shape, other]
    output = tuple(np.broadcast_shapes(*shapes))
    if draw(st.booleans()):
        shapes.reverse()
    scales = [draw(factors()) for _ in range(3)]
    zeros = [draw(zero_points()) for _ in range(3)]
    if same_scale:
        scales, zeros = scales[:1] * 3, zeros[:1] * 3
    if draw(st.booleans()):
        scales[1] = scales[0]
    arrays = [draw(integers_like(each)) for each in shapes]
    constant = draw(st.sampled_from([None, 0, 1]))
    inputs = [
        Spec(shapes[i], scale=scales[i], zero_point=zeros[i], data=arrays[i] if i == constant else None)
        for i in (0, 1)
    ]
    if hasattr(options, "fusedActivationFunction"):
        options.fusedActivationFunction = draw(st.sampled_from(ACTIVATIONS))
    return {
        "options": options,
        "inputs": inputs,
        "output": Spec(output, scale=scales[2], zero_point=zeros[2]),
        "arrays": [array for i, array in enumerate(arrays) if i != constant],
        "room": draw(st.sampled_from([1.0, 2.0, 0.5, 3.7])),
    }


@given(data=st.data())
def test_add(kernels: Kernels, data: st.DataObject) -> None:
    case = data.draw(pairs(schema.AddOptionsT()))
    room, a, b = case.pop("room"), *case["inputs"]
    if data.draw(st.booleans()):
        case["output"] = fit(case["output"], room * max(a.scale, b.scale))
    check(kernels, "ADD", **case)


@given(data=st.data())
def test_mul(kernels: Kernels, data: st.DataObject) -> None:
    case = data.draw(pairs(schema.MulOptionsT()))
    room, a, b = case.pop("room"), *case["inputs"]
    case["output"] = fit(
        case["output"], room * a.scale * b.scale * data.draw(st.sampled_from([4, 64, 100, 4096]))
    )
    check(kernels, "MUL", **case)


def fit(output: Spec, scale: float) -> Spec:
    """The output with a scale at which results do not all saturate."""
    return Spec(output.shape, scale=float(np.float32(scale)), zero_point=output.zero_point)


@given(case=pairs(schema.MaximumMinimumOptionsT(), same_scale=True))
def test_maximum(kernels: Kernels, case: dict[str, Any]) -> None:
    case.pop("room")
    check(kernels, "MAXIMUM", **case)


@given(case=pairs(schema.MaximumMinimumOptionsT(), same_scale=True))
def test_minimum(kernels: Kernels, case: dict[str, Any]) -> None:
    case.pop("room")
    check(kernels, "MINIMUM", **case)


@given(data=st.data())
def test_softmax(kernels: Kernels, data: st.DataObject) -> None:
    shape = (*data.draw(st.sampled_from([(1,), (2,), (1, 2, 3)])), data.draw(st.integers(1, 40)))
    options = schema.SoftmaxOptionsT()
    options.beta = data.draw(st.sampled_from([1.0, 0.5, 2.0, 0.1]))
    scale = data.draw(factors(1e-4, 64.0))
    check(
        kernels,
        "SOFTMAX",
        options,
        [Spec(shape, scale=scale, zero_point=data.draw(zero_points()))],
        Spec(shape, scale=1 / 256, zero_point=-128),
        [data.draw(integers_like(shape))],
    )


@given(data=st.data())
def test_reshape(kernels: Kernels, data: st.DataObject) -> None:
    sizes = data.draw(st.tuples(*[st.integers(1, 5)] * 3))
    new = (1, int(np.prod(sizes)))
    options = schema.ReshapeOptionsT()
    options.newShape = list(new)
    scale, zero = data.draw(factors()), data.draw(zero_points())
    check(
        kernels,
        "RESHAPE",
        options,
        [Spec((1, *sizes), scale=scale, zero_point=zero), Spec((2,), "int32", data=np.array(new, np.int32))],
        Spec(new, scale=scale, zero_point=zero),
        [data.draw(integers_like((1, *sizes)))],
    )


@given(data=st.data())
def test_mean(kernels: Kernels, data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 4))
    shape = tuple(1 if rank == 4 and i == 0 else data.draw(st.integers(1, 7)) for i in range(rank))
    first = data.draw(st.integers(0, rank - 1))
    axes = list(range(first, data.draw(st.integers(first, rank - 1)) + 1))
    signed = np.array([axis - rank if data.draw(st.booleans()) else axis for axis in axes], np.int32)
    options = schema.ReducerOptionsT()
    options.keepDims = data.draw(st.booleans())
    if options.keepDims:
        reduced = tuple(1 if i in axes else size for i, size in enumerate(shape))
    else:
        reduced = tuple(size for i, size in enumerate(shape) if i not in axes)
    scale = data.draw(factors())
    ratio = data.draw(st.sampled_from([1.0, 1.0, 0.5, 0.01, 3.0, 0.7]))
    check(
        kernels,
        "MEAN",
        options,
        [
            Spec(shape, scale=scale, zero_point=data.draw(zero_points())),
            Spec((len(axes),), "int32", data=signed),
        ],
        Spec(reduced, scale=float(np.float32(scale * ratio)), zero_point=data.draw(zero_points())),
        [data.draw(integers_like(shape))],
    )


@st.composite
def paddings(draw: Any) -> tuple[tuple[int, ...], np.ndarray, tuple[int, ...]]:
    rank = draw(st.integers(1, 4))
    batch = rank == 4
    shape = tuple(1 if batch and i == 0 else draw(st.integers(1, 5)) for i in range(rank))
    pads = [
        (0, 0) if batch and i == 0 else (draw(st.integers(0, 3)), draw(st.integers(0, 3)))
        for i in range(rank)
    ]
    dtype = draw(st.sampled_from([np.int32, np.int64]))
    return shape, np.array(pads, dtype), tuple(size + sum(pads[i]) for i, size in enumerate(shape))


@given(data=st.data())
def test_pad(kernels: Kernels, data: st.DataObject) -> None:
    shape, pads, padded = data.draw(paddings())
    scale, zero = data.draw(factors()), data.draw(zero_points())
    inputs = [Spec(shape, scale=scale, zero_point=zero), Spec(pads.shape, pads.dtype.name, data=pads)]
    output = Spec(padded, scale=scale, zero_point=zero)
    arrays = [data.draw(integers_like(shape))]
    check(kernels, "PAD", schema.PadOptionsT(), inputs, output, arrays)
    value = Spec(
        (1,), scale=scale, zero_point=zero, data=np.array([data.draw(st.integers(-128, 127))], np.int8)
    )
    check(kernels, "PADV2", schema.PadV2OptionsT(), [*inputs, value], output, arrays)


@given(data=st.data(), name=st.sampled_from(["RELU", "RELU6", "RELU_N1_TO_1"]))
def test_relu(kernels: Kernels, data: st.DataObject, name: str) -> None:
    shape = data.draw(st.sampled_from([(1, 3, 4, 5), (1, 50), (37,)]))
    scale = data.draw(factors())
    same = data.draw(st.booleans())
    ratio = 1.0 if same else data.draw(st.floats(0.01, 20.0))
    zero = data.draw(zero_points())
    check(
        kernels,
        name,
        None,
        [Spec(shape, scale=scale, zero_point=zero)],
        Spec(
            shape,
            scale=float(np.float32(scale * ratio)),
            zero_point=zero if same else data.draw(zero_points()),
        ),
        [data.draw(integers_like(shape))],
    )


@given(data=st.data(), types=st.tuples(*[st.sampled_from(["int8", "uint8"])] * 2))
def test_quantize_integers(kernels: Kernels, data: st.DataObject, types: tuple[str, str]) -> None:
    scale = data.draw(factors())
    ratio = 1.0 if data.draw(st.booleans()) else data.draw(st.floats(0.01, 20.0))
    check(
        kernels,
        "QUANTIZE",
        schema.QuantizeOptionsT(),
        [Spec((1, 60), types[0], scale, data.draw(zero_points(types[0])))],
        Spec((1, 60), types[1], float(np.float32(scale * ratio)), data.draw(zero_points(types[1]))),
        [data.draw(integers_like((1, 60), types[0]))],
    )


@given(data=st.data())
def test_quantize_floats(kernels: Kernels, data: st.DataObject) -> None:
    scale = np.float32(data.draw(factors()))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # On and next to the ties, spread over the range, and far outside it.
    ties = (random.integers(-300, 300, 40) + 0.5).astype(np.float32) * scale
    values = np.concatenate(
        [
            ties,
            np.nextafter(ties, -np.inf),
            np.nextafter(ties, np.inf),
            random.normal(0, 80, 40) * scale,
            [1e6 * scale, -1e6 * scale, 0.0],
        ]
    ).astype(np.float32)
    check(
        kernels,
        "QUANTIZE",
        schema.QuantizeOptionsT(),
        [Spec(values.shape, "float32")],
        Spec(values.shape, scale=float(scale), zero_point=data.draw(zero_points())),
        [values],
    )


@given(data=st.data())
def test_dequantize(kernels: Kernels, data: st.DataObject) -> None:
    scale = data.draw(factors(1e-6, 1e6))
    check(
        kernels,
        "DEQUANTIZE",
        schema.DequantizeOptionsT(),
        [Spec((1, 256), scale=scale, zero_point=data.draw(zero_points()))],
        Spec((1, 256), "float32"),
        [np.arange(-128, 128, dtype=np.int8).reshape(1, 256)],
    )


def test_quantize_saturates_what_is_no_number(kernels: Kernels) -> None:
    """TFLite leaves infinities and not-a-number undefined; here they have one meaning, in both forms."""
    op = BY_TFLITE_NAME["QUANTIZE"].read(None, [Tensor("x", (4,), "float32")], Tensor("y", (4,), "int8"))
    x = np.array([np.nan, np.inf, -np.inf, 3e38], np.float32)
    parameters = {"count": 4, "zero": 5, "scale": 0.5}
    wanted = np.array([-128, 127, -128, 127], np.int8)
    np.testing.assert_array_equal(op.reference(parameters, x), wanted)
    np.testing.assert_array_equal(kernels.run("quantize", parameters, [x], wanted), wanted)
