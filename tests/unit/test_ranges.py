"""Ranges hold what TFLite's reference kernels make of any input, and are no wider than they have to be."""

from __future__ import annotations

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.passes.ranges import channel_ranges
from pipeline.read_tflite import read_tflite
from tests.tflite_chains import Chain, convolution_options
from tests.tflite_graphs import random_graph


def every_tensor(tflite: bytes, *arrays: np.ndarray) -> dict[str, np.ndarray]:
    """All tensors of the file after one inference, by name."""
    interpreter = Interpreter(
        model_content=tflite,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        num_threads=1,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    details = interpreter.get_tensor_details()
    for each, array in zip(interpreter.get_input_details(), arrays, strict=True):
        interpreter.set_tensor(each["index"], array)
    interpreter.invoke()
    # What lends its scale only, as the gates of an LSTM, has no elements.
    filled = [each for each in details if each["name"] and each["shape"].all()]
    return {each["name"]: interpreter.get_tensor(each["index"]) for each in filled}


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=150, deadline=None)
def test_no_integer_lies_outside_of_its_range(seed):
    drawn = random_graph(seed)
    ranges = channel_ranges(read_tflite(drawn.tflite, "graph"))
    for arrays in drawn.feeds(3):
        for name, values in every_tensor(drawn.tflite, *arrays).items():
            if name in ranges:
                assert (values >= ranges[name].low).all(), name
                assert (values <= ranges[name].high).all(), name


def test_bounds_of_a_convolution_are_reached():
    """Inputs chosen by the signs of the weights give the smallest and the largest sum."""
    rng = np.random.default_rng(3)
    chain = Chain()
    x = chain.tensor("x", (1, 3, 3, 2), scale=0.05, zero_point=-7)
    weights = rng.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8)
    w = chain.tensor("w", weights.shape, scale=0.01, data=weights)
    b = chain.tensor("b", (4,), "int32", scale=0.0005, data=rng.integers(-900, 900, 4))
    y = chain.tensor("y", (1, 1, 1, 4), scale=2.0, zero_point=3)
    chain.operator("CONV_2D", [x, w, b], y, convolution_options(same=False))
    tflite = chain.finish([x], [y])
    found = channel_ranges(read_tflite(tflite, "graph"))["y"]
    for channel in range(4):
        high = np.where(weights[channel] > 0, 127, -128).astype(np.int8)[np.newaxis]
        low = np.where(weights[channel] > 0, -128, 127).astype(np.int8)[np.newaxis]
        assert every_tensor(tflite, high)["y"][0, 0, 0, channel] == found.high[channel]
        assert every_tensor(tflite, low)["y"][0, 0, 0, channel] == found.low[channel]
    assert (found.low > -128).any()
