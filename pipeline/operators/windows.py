"""Windows that slide over height and width: paddings, output sizes, and the patches beneath."""

from __future__ import annotations

from typing import Any

import numpy as np

Pair = tuple[int, int]
Pads = tuple[Pair, Pair]
"""((top, bottom), (left, right)), in elements."""

LARGEST_SIDE = 2**16
"""Of a padded map: more than any microcontroller holds, and few enough to reckon with."""
_SAME = 0  # the TFLite schema's Padding.SAME


def read_pads(options: Any, size: Pair, window: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Pads:
    """The explicit padding of a schema options object."""
    if int(options.padding) != _SAME:
        return (0, 0), (0, 0)
    return same_pads(size, window, stride, dilation)


def same_pads(size: Pair, window: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Pads:
    """What SAME pads: the odd element comes after (padding.h)."""

    def axis(size: int, window: int, stride: int, dilation: int) -> Pair:
        if stride < 1:
            return 0, 0
        reach = (window - 1) * dilation + 1
        total = max(((size + stride - 1) // stride - 1) * stride + reach - size, 0)
        return total // 2, total - total // 2

    top_bottom, left_right = (axis(*each) for each in zip(size, window, stride, dilation, strict=True))
    return top_bottom, left_right


def output_size(size: Pair, window: Pair, stride: Pair, pads: Pads, dilation: Pair = (1, 1)) -> Pair:
    """Height and width of what the windows leave."""
    height, width = (
        (size[i] + sum(pads[i]) - (window[i] - 1) * dilation[i] - 1) // stride[i] + 1 for i in (0, 1)
    )
    return height, width


def rows_beneath(
    first: int, end: int, height: int, window: int, stride: int, before: int, dilation: int = 1
) -> Pair:
    """The input rows [low, high) beneath the windows of output rows [first, end); paddings are none."""
    low = max(first * stride - before, 0)
    high = min((end - 1) * stride - before + (window - 1) * dilation + 1, height)
    return min(low, height), max(high, 0)


def problems(size: Pair, window: Pair, stride: Pair, pads: Pads, dilation: Pair = (1, 1)) -> list[str]:
    """Why these windows cannot slide."""
    if min(*window, *stride, *dilation) < 1:
        return [f"its window {window}, stride {stride} or dilation {dilation} is not positive"]
    if min(output_size(size, window, stride, pads, dilation)) < 1:
        return [f"its window {window} with dilation {dilation} is larger than its input {size}"]
    padded = [length + sum(pad) for length, pad in zip(size, pads, strict=True)]
    if max(padded) > LARGEST_SIDE:
        return [
            f"its window {window} asks for a padded input of {padded}, expected at most {LARGEST_SIDE} a side"
        ]
    return []


def patches(
    x: np.ndarray, fill: int, window: Pair, stride: Pair, pads: Pads, dilation: Pair = (1, 1)
) -> np.ndarray:
    """(out_height, out_width, window_height, window_width, channels) of x (1, height, width, channels)."""
    padded = np.pad(x[0], (*pads, (0, 0)), constant_values=fill)
    rows, columns = output_size((x.shape[1], x.shape[2]), window, stride, pads, dilation)
    y = np.arange(rows)[:, np.newaxis] * stride[0] + np.arange(window[0]) * dilation[0]
    z = np.arange(columns)[:, np.newaxis] * stride[1] + np.arange(window[1]) * dilation[1]
    found: np.ndarray = padded[y[:, np.newaxis, :, np.newaxis], z[np.newaxis, :, np.newaxis, :]]
    return found
