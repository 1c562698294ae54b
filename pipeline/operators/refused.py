"""Operators that are known and not carried, each with its reason and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

_OF_KERAS = "of a Keras model other operators take its place; in a .tflite file not:"

REFUSED: Mapping[str, str] = {
    "CONV_3D": "TFLite has no int8 form of it; "
    "take the third axis as channels of a 2D convolution, or share a 2D convolution among its steps",
    "ELU": f"{_OF_KERAS} TFLite's reference kernels have none, so that nothing could vouch for its integers",
    **dict.fromkeys(
        ("GREATER", "SELECT", "SELECT_V2"),
        "SELU and other functions in pieces are made of it; train with elu, relu, leaky_relu, gelu or swish",
    ),
    "NEG": f"{_OF_KERAS} TFLite's kernel negates integers without their zero point",
    "SQUARE": f"{_OF_KERAS} TFLite has no int8 form of it",
    "SQUARED_DIFFERENCE": f"{_OF_KERAS} a subtraction and a product are the same",
    "SUM": f"{_OF_KERAS} TFLite's reference kernel reads its int8 input as uint8 and gives wrong sums",
    "TILE": f"{_OF_KERAS} TFLite registers no reference kernel for its int8 form, so that nothing "
    "could vouch for its integers",
    "WHILE": "a loop is a graph of its own; "
    "give the Keras model, whose recurrent layers are unrolled here, or convert it with unroll=True",
}

_NO_KERNEL = "TFLite's reference kernels have no int16 form of it"
REFUSED_INT16: Mapping[str, str] = {
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "DEPTH_TO_SPACE", "RELU_N1_TO_1", "SPACE_TO_DEPTH"), _NO_KERNEL),
    "HARD_SWISH": f"{_NO_KERNEL}; train with relu6, or quantize this model to int8",
    "GELU": "TFLite tabulates it with the C library's erfcf and tanhf, whose last bits nothing here can "
    "vouch for; train with relu or swish, or quantize this model to int8",
    "PRELU": "TFLite's quantizer has no int16 form of it; "
    "train with leaky_relu, or quantize this model to int8",
    "SQRT": "not carried of int16; RSQRT is, and x times 1 / sqrt(x) is the same",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": f"{_NO_KERNEL}; "
    "give the Keras model, whose recurrent layers are unrolled here, or quantize it to int8",
}
"""Operators that are carried of int8 alone, each with its reason."""
