"""Operators that are known and not carried, each with its reason and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

REFUSED: Mapping[str, str] = {
    "ELU": "TFLite's reference kernels have none, so that nothing could vouch for its integers; "
    "train with relu, leaky_relu, gelu or swish",
    "SUM": "TFLite's reference kernel reads its int8 input as uint8 and gives wrong sums; use a mean",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "its cell state is int16; "
    "use a Conv1D or a pooling over time, or a recurrent layer with unroll=True",
    "WHILE": "a loop is a graph of its own; give the recurrent layer unroll=True and a fixed number of steps",
}
