"""Operators that are known and not carried, each with its reason and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

REFUSED: Mapping[str, str] = {
    "CONV_3D": "TFLite has no int8 form of it; "
    "take the third axis as channels of a 2D convolution, or share a 2D convolution among its steps",
    "ELU": "TFLite's reference kernels have none, so that nothing could vouch for its integers; "
    "train with relu, leaky_relu, gelu or swish",
    **dict.fromkeys(
        ("GREATER", "SELECT", "SELECT_V2"),
        "SELU and other functions in pieces are made of it; train with relu, leaky_relu, gelu or swish",
    ),
    "NEG": "TFLite's kernel negates integers without their zero point; "
    "subtract in place of adding what is negated",
    "SQRT": "not carried; RSQRT is, and x times 1 / sqrt(x) is the same",
    "SQUARE": "TFLite has no int8 form of it; multiply by itself",
    "SUM": "TFLite's reference kernel reads its int8 input as uint8 and gives wrong sums; use a mean",
    "TILE": "TFLite registers no reference kernel for its int8 form, so that nothing could vouch for its "
    "integers; repeat pixels by UpSampling1D or UpSampling2D, other things by a concatenation",
    "WHILE": "a loop is a graph of its own; "
    "give the Keras model, whose recurrent layers are unrolled here, or convert it with unroll=True",
}

_NO_KERNEL = "TFLite's reference kernels have no int16 form of it"
_NOT_CARRIED = "not carried of int16; quantize this model to int8"

REFUSED_INT16: Mapping[str, str] = {
    **dict.fromkeys(("ARG_MAX", "ARG_MIN", "DEPTH_TO_SPACE", "RELU_N1_TO_1", "SPACE_TO_DEPTH"), _NO_KERNEL),
    "HARD_SWISH": f"{_NO_KERNEL}; train with relu6, or quantize this model to int8",
    **dict.fromkeys(
        (
            "EXP",
            "GELU",
            "LOG",
            "PRELU",
            "RSQRT",
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
        ),
        _NOT_CARRIED,
    ),
}
"""Operators that are carried of int8 alone, each with its reason."""
