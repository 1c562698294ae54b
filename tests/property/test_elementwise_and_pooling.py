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
        -(-size[i] // stride[i]) if padding == SAME else (size[i] - window[i]) // stride[i] + 1 for i in (0, 1)
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
    other = {"same": shape, "scalar": draw(st.sampled_from([(), (1,), (1,) * rank])), "channel": shape[-1:]}.get(
        kind, tuple(size if draw(st.booleans()) else 1 for size in shape)
    )
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
    case["output"] = fit(case["output"], room * a.scale * b.scale * data.draw(st.sampled_from([4, 64, 100, 4096])))
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
