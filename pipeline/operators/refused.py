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

REFUSED_TYPES: Mapping[str, str] = {
    "int16": "activations of 16 bits (16x8) have kernels of their own in TFLite, none of which is here; "
    "convert to int8, and try --recipe auto where that costs too much accuracy",
}
"""Types of activations that are known and not carried."""
