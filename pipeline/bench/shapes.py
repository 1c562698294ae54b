"""Layers that kernels are profiled on: one operator each, of many shapes, with random weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from itertools import chain

import numpy as np

from pipeline.graph import Graph, Node
from pipeline.operators import INT16_FORMS, Operator
from pipeline.operators.abs import AbsInt16
from pipeline.operators.add import Add
from pipeline.operators.arg_max import ArgMax
from pipeline.operators.average_pool_2d import AveragePool2D
from pipeline.operators.base import Activation
from pipeline.operators.batch_matmul import BatchMatMul
from pipeline.operators.concatenation import Concatenation
from pipeline.operators.conv_2d import Conv2D, Conv2DInt16
from pipeline.operators.depthwise_conv_2d import DepthwiseConv2D
from pipeline.operators.dequantize import Dequantize
from pipeline.operators.exp import ExpInt16
from pipeline.operators.fully_connected import FullyConnected
from pipeline.operators.leaky_relu import LeakyReluInt16
from pipeline.operators.logistic import Logistic
from pipeline.operators.max_pool_2d import MaxPool2D
from pipeline.operators.maximum import Maximum
from pipeline.operators.mean import Mean
from pipeline.operators.minimum import Minimum
from pipeline.operators.mirror_pad import MirrorPad
from pipeline.operators.mul import Mul
from pipeline.operators.pad import Pad
from pipeline.operators.prelu import Prelu
from pipeline.operators.quantize import Quantize, Requantize
from pipeline.operators.reduce_max import ReduceMax
from pipeline.operators.reduce_min import ReduceMin
from pipeline.operators.relu import Relu
from pipeline.operators.resize_bilinear import ResizeBilinear
from pipeline.operators.resize_nearest_neighbor import ResizeNearestNeighbor
from pipeline.operators.slice import Slice
from pipeline.operators.softmax import Softmax
from pipeline.operators.sub import Sub
from pipeline.operators.tanh import TanhInt16
from pipeline.operators.transpose import Transpose
from pipeline.operators.transpose_conv import TransposeConv
from pipeline.operators.unidirectional_sequence_lstm import UnidirectionalSequenceLstm
from pipeline.operators.windows import Pads, same_pads
from pipeline.passes.fuse_add import ConvolutionAdd
from pipeline.passes.table import Table
from pipeline.tensors import Quantization, Tensor

# (height, width, channels in), channels out, (kernel height, width), stride, SAME padding, fused pooling
CONVOLUTIONS = (
    ((32, 32, 3), 16, (3, 3), 1, True, None),
    ((32, 32, 3), 8, (3, 3), 1, True, (2, 2)),
    ((24, 24, 1), 12, (3, 3), 1, True, None),
    ((16, 16, 4), 10, (5, 5), 1, True, None),
    ((16, 16, 16), 16, (3, 3), 1, True, None),
    ((16, 16, 16), 15, (3, 3), 1, True, None),
    ((16, 16, 8), 24, (3, 3), 1, False, (2, 2)),
    ((16, 16, 16), 32, (3, 3), 2, True, None),
    ((12, 12, 24), 20, (3, 3), 1, True, None),
    ((12, 12, 16), 16, (3, 3), 1, True, (3, 3)),
    ((8, 8, 32), 64, (3, 3), 1, True, None),
    ((8, 8, 32), 30, (3, 3), 2, False, None),
    ((8, 8, 48), 48, (3, 3), 1, True, (2, 2)),
    ((8, 8, 64), 32, (3, 3), 1, True, None),
    ((4, 4, 64), 64, (3, 3), 1, True, None),
    ((4, 4, 128), 64, (2, 2), 1, False, None),
    ((49, 10, 1), 32, (10, 4), 2, True, None),
    ((16, 16, 2), 7, (5, 3), 1, False, None),
    ((24, 24, 8), 16, (1, 1), 1, True, None),
    ((16, 16, 32), 32, (1, 1), 1, True, None),
    ((16, 16, 16), 64, (1, 1), 2, True, None),
    ((12, 12, 64), 64, (1, 1), 1, True, None),
    ((12, 12, 96), 24, (1, 1), 1, True, None),
    ((6, 6, 128), 128, (1, 1), 1, True, None),
    ((3, 3, 256), 128, (1, 1), 1, True, None),
    ((25, 5, 64), 64, (1, 1), 1, True, None),
    ((32, 32, 16), 16, (3, 3), 1, True, (2, 2)),
    ((24, 24, 32), 24, (3, 3), 1, True, (2, 2)),
    ((10, 14, 12), 13, (3, 3), 1, False, (2, 2)),
    ((16, 16, 40), 24, (3, 3), 1, True, None),
    ((12, 18, 8), 10, (3, 3), 1, True, None),
    ((32, 32, 16), 32, (3, 3), 2, True, None),
    ((15, 15, 24), 24, (3, 3), 2, True, None),
    ((16, 12, 48), 33, (3, 3), 2, False, None),
    ((48, 48, 3), 8, (3, 3), 2, True, None),
    ((15, 15, 3), 9, (3, 3), 1, True, None),
    ((21, 21, 1), 5, (5, 5), 1, True, None),
    ((17, 13, 3), 6, (3, 3), 2, True, None),
    ((11, 11, 5), 11, (3, 3), 1, False, None),
    ((20, 20, 3), 8, (5, 5), 1, True, (2, 2)),
    ((18, 18, 6), 12, (3, 3), 1, False, (2, 2)),
)
# The same without an activation, so that results are not cut at the zero point.
LINEAR_CONVOLUTIONS = (
    ((32, 32, 16), 16, (3, 3), 1, True, None),
    ((16, 16, 32), 24, (3, 3), 1, True, None),
    ((16, 16, 8), 12, (3, 3), 1, True, (2, 2)),
    ((8, 8, 64), 64, (3, 3), 1, True, None),
    ((32, 32, 16), 32, (1, 1), 2, True, None),
    ((16, 16, 32), 64, (1, 1), 2, True, None),
    ((12, 12, 64), 24, (1, 1), 1, True, None),
    ((25, 5, 64), 48, (1, 1), 1, True, None),
    ((12, 12, 20), 11, (3, 3), 2, True, None),
    ((32, 32, 16), 32, (3, 3), 2, True, None),
    ((16, 16, 32), 64, (3, 3), 2, True, None),
    ((24, 24, 8), 16, (3, 3), 2, True, None),
    ((9, 13, 24), 40, (3, 3), 2, False, None),
    ((8, 8, 64), 48, (3, 3), 2, True, None),
    ((20, 20, 4), 20, (3, 3), 2, True, None),
    ((16, 16, 12), 8, (5, 5), 1, False, None),
    ((16, 16, 32), 32, (3, 3), 1, True, None),
    ((16, 16, 48), 32, (3, 3), 1, True, None),
    ((25, 22, 8), 9, (3, 3), 1, True, None),
    ((28, 28, 8), 16, (3, 3), 1, True, (2, 2)),
)
# The same with the zero point where a byte begins, so that saturating is all that an activation does.
SATURATED_CONVOLUTIONS = (
    ((32, 32, 16), 24, (3, 3), 1, True, None),
    ((16, 16, 24), 16, (3, 3), 1, True, None),
    ((12, 12, 16), 20, (3, 3), 1, True, None),
    ((8, 8, 32), 48, (3, 3), 1, True, None),
    ((32, 32, 16), 16, (3, 3), 1, True, None),
    ((16, 16, 32), 32, (3, 3), 1, True, None),
    ((8, 8, 64), 64, (3, 3), 1, True, None),
    ((13, 11, 20), 9, (3, 3), 1, True, None),
    ((32, 32, 32), 32, (3, 3), 2, True, None),
    ((24, 24, 8), 48, (1, 1), 1, True, None),
    ((24, 24, 12), 16, (1, 1), 1, True, None),
    ((12, 12, 64), 40, (1, 1), 1, True, None),
    ((6, 6, 96), 64, (1, 1), 1, True, None),
    ((9, 9, 22), 13, (1, 1), 1, True, None),
    ((5, 5, 48), 32, (1, 1), 1, True, None),
    ((40, 40, 3), 12, (3, 3), 2, True, None),
    ((1, 100, 6), 20, (1, 5), 1, True, None),
)
# Linear ones with a residual that is added; no fused pooling.
ADDED_CONVOLUTIONS = (
    ((24, 24, 48), 8, (1, 1), 1, True),
    ((12, 12, 96), 16, (1, 1), 1, True),
    ((12, 12, 64), 24, (1, 1), 1, True),
    ((6, 6, 144), 24, (1, 1), 1, True),
    ((25, 5, 64), 64, (1, 1), 1, True),
    ((5, 5, 48), 12, (1, 1), 1, True),
    ((32, 32, 16), 32, (1, 1), 2, True),
    ((16, 16, 32), 64, (1, 1), 2, True),
    ((17, 17, 24), 10, (1, 1), 2, True),
    ((16, 16, 32), 32, (3, 3), 1, True),
    ((8, 8, 64), 64, (3, 3), 1, True),
    ((13, 11, 20), 10, (3, 3), 1, True),
    ((16, 16, 12), 8, (3, 3), 1, True),
    ((16, 16, 16), 32, (3, 3), 2, True),
    ((17, 17, 24), 16, (3, 3), 2, True),
)
# The same with ceilings of their own for the channels, as what is left of a batch norm behind a ReLU.
CUT_CONVOLUTIONS = (
    ((16, 16, 3), 12, (3, 3), 1, True, (2, 2)),
    ((1, 124, 3), 16, (1, 5), 1, False, (1, 2)),
    ((40, 8, 4), 10, (3, 3), 1, True, (2, 1)),
    ((12, 12, 20), 24, (1, 1), 1, True, None),
    ((14, 14, 8), 18, (3, 3), 1, True, None),
    ((15, 15, 6), 8, (3, 3), 1, True, (3, 3)),
)
# The same with a lower clamp for each channel, as a MAXIMUM behind them leaves.
CLAMPED_CONVOLUTIONS = (
    ((16, 16, 8), 14, (3, 3), 1, True),
    ((9, 13, 12), 16, (3, 3), 2, True),
    ((12, 12, 20), 33, (1, 1), 1, True),
    ((10, 10, 3), 9, (5, 5), 1, True),
    ((8, 8, 36), 24, (3, 3), 1, False),
)
# (height, width, channels in), channels out, (kernel height, width), dilation; SAME padding
DILATED_CONVOLUTIONS = (
    ((10, 10, 8), 12, (3, 3), 2),
    ((12, 9, 16), 8, (3, 3), 3),
    ((14, 14, 5), 10, (3, 3), 2),
    ((16, 12, 12), 16, (3, 1), 2),
    ((9, 16, 20), 6, (2, 3), 4),
)
# (height, width, channels), kernel; SAME padding
FEW_CHANNELS = (
    ((10, 10, 3), (3, 3)), ((14, 12, 2), (5, 5)), ((20, 20, 1), (3, 3)), ((12, 16, 3), (7, 3)),
    ((24, 8, 2), (3, 3)), ((16, 16, 1), (4, 4)),
)  # fmt: skip
# (height, width, channels), kernel, stride, SAME padding, depth multiplier, fused pooling
DEPTHWISE = (
    ((48, 48, 8), (3, 3), 1, True, 1, None),
    ((48, 48, 16), (3, 3), 2, True, 1, None),
    ((24, 24, 16), (3, 3), 1, True, 1, None),
    ((24, 24, 32), (3, 3), 1, True, 1, None),
    ((24, 24, 32), (3, 3), 2, True, 1, None),
    ((24, 24, 30), (3, 3), 1, True, 1, None),
    ((12, 12, 64), (3, 3), 1, True, 1, None),
    ((12, 12, 64), (3, 3), 2, False, 1, None),
    ((12, 12, 36), (5, 5), 1, True, 1, None),
    ((25, 5, 64), (3, 3), 1, True, 1, None),
    ((6, 6, 128), (3, 3), 1, True, 1, None),
    ((6, 6, 256), (3, 3), 1, True, 1, None),
    ((3, 3, 256), (3, 3), 1, True, 1, None),
    ((16, 16, 24), (3, 3), 1, True, 1, (2, 2)),
    ((16, 16, 48), (3, 3), 1, False, 1, (2, 2)),
    ((16, 16, 8), (3, 3), 1, True, 2, None),
    ((16, 16, 16), (3, 3), 1, True, 4, None),
    ((32, 32, 1), (5, 5), 1, True, 8, None),
    ((12, 12, 40), (1, 5), 1, True, 1, None),
    ((12, 12, 48), (5, 1), 1, True, 1, None),
    ((20, 20, 20), (2, 2), 2, True, 1, None),
    ((16, 16, 6), (7, 7), 1, True, 1, None),
    ((13, 13, 20), (3, 3), 2, True, 1, None),
    ((20, 20, 3), (3, 3), 1, True, 1, None),
    ((16, 16, 2), (3, 3), 2, True, 1, None),
    ((24, 24, 1), (5, 5), 1, True, 2, None),
    ((12, 12, 8), (3, 3), 2, True, 2, None),
    ((18, 12, 3), (3, 1), 1, False, 1, (2, 2)),
    ((10, 14, 12), (3, 3), 1, True, 1, None),
    ((15, 11, 22), (3, 3), 1, False, 1, None),
    ((20, 20, 8), (3, 3), 1, True, 1, (2, 2)),
    ((9, 9, 13), (3, 3), 2, False, 1, None),
    ((6, 6, 128), (3, 3), 2, True, 1, None),
    ((24, 24, 24), (5, 5), 1, True, 1, None),
    ((24, 24, 20), (5, 5), 2, True, 1, None),
    ((6, 6, 96), (5, 5), 1, True, 1, None),
    ((12, 12, 48), (5, 5), 2, True, 1, None),
    ((14, 14, 24), (7, 7), 1, True, 1, None),
    ((16, 16, 12), (4, 4), 2, False, 1, None),
    ((1, 62, 32), (1, 5), 1, True, 1, None),
    ((1, 124, 16), (1, 9), 2, True, 1, None),
    ((100, 1, 24), (7, 1), 1, True, 1, None),
    ((1, 90, 20), (1, 15), 1, False, 1, None),
    ((25, 10, 16), (5, 3), 1, True, 1, None),
    ((16, 10, 28), (2, 3), 1, False, 1, None),
    ((13, 17, 9), (4, 6), 1, True, 1, None),
    ((20, 20, 16), (5, 5), 1, False, 1, None),
    ((1, 200, 8), (1, 3), 2, True, 1, None),
    ((9, 9, 40), (5, 5), 1, True, 1, None),
)
# rows, inputs, outputs
DENSE = (
    (1, 640, 128), (1, 128, 128), (1, 128, 8), (1, 8, 128), (1, 128, 640), (1, 1024, 512), (1, 256, 256),
    (1, 64, 10), (1, 64, 12), (1, 512, 10), (1, 1600, 33), (1, 300, 7), (1, 4096, 24), (4, 64, 64),
    (10, 32, 30), (3, 128, 16), (1, 48, 2), (1, 256, 1), (16, 16, 12), (32, 12, 18), (25, 64, 12), (8, 40, 5),
    (1, 100, 2), (1, 32, 3), (1, 500, 1), (1, 20, 5), (1, 80, 3), (16, 30, 6), (40, 24, 3), (1, 8192, 6),
    (1, 4096, 8),
    (49, 32, 96), (64, 16, 16), (5, 200, 20), (2, 64, 30), (12, 7, 9), (7, 96, 1), (20, 48, 48), (33, 18, 34),
    (6, 300, 8), (9, 33, 27), (9, 12, 6), (13, 40, 16), (5, 10, 20), (17, 24, 11), (21, 13, 8), (10, 18, 5),
)  # fmt: skip
# (height, width, channels), window, stride, SAME padding
POOLS = (
    ((32, 32, 16), (2, 2), 2, False),
    ((32, 32, 8), (3, 3), 2, True),
    ((16, 16, 32), (2, 2), 2, False),
    ((16, 16, 32), (3, 3), 1, True),
    ((8, 8, 64), (8, 8), 8, False),
    ((8, 8, 64), (2, 2), 1, True),
    ((25, 5, 64), (25, 5), 5, False),
    ((6, 6, 128), (3, 3), 3, False),
    ((7, 7, 96), (7, 7), 7, False),
    ((40, 4, 12), (4, 1), 4, False),
    ((24, 24, 3), (2, 2), 2, False),
    ((12, 12, 24), (5, 5), 1, True),
    ((16, 16, 4), (2, 2), 2, False),
    ((10, 10, 6), (3, 3), 2, True),
    ((12, 12, 5), (3, 3), 1, True),
    ((8, 24, 7), (4, 2), 4, False),
    ((20, 20, 6), (2, 2), 2, False),
    ((9, 15, 4), (3, 3), 3, False),
    ((12, 8, 7), (2, 4), 2, True),
    ((20, 20, 1), (2, 2), 2, False),
    ((14, 14, 2), (3, 3), 2, True),
    ((9, 9, 3), (3, 3), 3, False),
    ((18, 10, 2), (3, 5), 1, True),
    ((30, 6, 1), (5, 1), 5, False),
    ((16, 16, 64), (2, 2), 2, False),
    ((3, 3, 96), (3, 3), 1, False),
    ((2, 4, 160), (2, 4), 1, False),
    ((4, 4, 40), (4, 4), 1, False),
)
# maps of elementwise operators, and of those that repeat one operand (channels, or one pixel)
MAPS = (
    (32, 32, 16), (16, 16, 32), (8, 8, 64), (24, 24, 3), (1, 1, 640), (5, 25, 64), (48, 48, 4), (4, 4, 8),
    (7, 7, 96), (2, 2, 128), (3, 3, 40), (1, 1, 96), (10, 10, 5), (6, 14, 9), (20, 12, 30),
)  # fmt: skip
# maps (without the first axis), and the other operand of ADD, SUB and MUL
REPEATED = (
    ((16, 16, 32), (1, 1, 32)), ((6, 6, 96), (1, 1, 96)), ((12, 20, 10), (1, 1, 10)),
    ((7, 7, 37), (1, 1, 37)),
    ((64, 16), (64, 1)), ((20, 12), (20, 1)), ((256, 3, 4), (1, 3, 1)), ((16, 8, 24), (16, 8, 1)),
    ((8, 40), (8, 1)), ((15, 6, 10), (15, 6, 1)), ((10, 9), (10, 1)), ((48,), (48,)), ((12,), (1,)),
    ((6, 14), (14,)), ((100,), (100,)), ((12, 12, 16), (1,)), ((30, 30), (1, 30)), ((8, 24, 12), (8, 1, 1)),
    ((24, 24, 3), (24, 24, 1)), ((5, 7, 19), (5, 7, 19)), ((9, 22), (9, 1)), ((30, 7), (30, 1)),
    ((6, 50), (6, 1)), ((11, 31), (11, 1)), ((4, 5, 26), (4, 5, 1)), ((3, 9, 13), (3, 9, 1)),
    ((2, 64), (2, 1)), ((12, 36), (12, 1)),
)  # fmt: skip
NARROW = (
    (20, 16, 2), (9, 9, 3), (30, 31, 2), (5, 40, 3), (13, 10, 1), (9, 11, 1), (16, 33, 1),
    (8, 9, 6), (14, 5, 7), (6, 21, 6),
)  # fmt: skip
# maps (without the first axis), and the axes of a mean
MEANS = (
    ((64, 16), (2,)), ((20, 16), (2,)), ((8, 40), (2,)), ((10, 9), (2,)), ((100, 30), (2,)), ((5, 300), (2,)),
    ((256, 12), (1,)), ((16, 16, 32), (3,)), ((12, 12, 7), (3,)), ((3, 2000), (2,)), ((8, 6, 10), (2,)),
    ((4, 20, 24), (2,)), ((6, 50, 5), (2,)), ((40, 8, 64), (1,)), ((640,), (1,)), ((30, 3), (2,)),
    ((9, 7, 6), (2,)), ((12, 5, 3), (2,)), ((20, 4, 2), (2,)), ((5, 9, 11), (2,)), ((14, 3, 8), (2,)),
)  # fmt: skip
CLASSES = ((1, 2), (1, 10), (1, 12), (1, 100), (1, 1000), (4, 10), (16, 5), (64, 3), (10, 32), (1, 640))
MARGINS = (
    ((32, 32, 16), 1), ((16, 16, 32), 1), ((8, 8, 64), 2), ((24, 24, 3), 1), ((48, 48, 1), 1),
    ((8, 8, 8), 4), ((12, 12, 24), 3), ((6, 6, 128), 1), ((20, 20, 1), 2), ((10, 30, 12), 1),
    ((16, 16, 6), 1), ((14, 14, 20), 1), ((9, 9, 37), 2), ((5, 5, 160), 1), ((28, 28, 4), 1),
    ((12, 20, 10), 2), ((32, 32, 3), 3), ((10, 10, 48), 2),
)  # fmt: skip
# (height, width, channels in), channels out, kernel, stride
TRANSPOSED_CONVOLUTIONS = (
    ((8, 8, 16), 8, (2, 2), 2), ((16, 16, 8), 4, (3, 3), 2), ((4, 4, 32), 16, (3, 3), 2),
    ((12, 12, 6), 5, (3, 3), 1),
    ((6, 6, 24), 12, (4, 4), 2), ((8, 10, 12), 3, (5, 5), 2), ((4, 4, 64), 20, (2, 2), 2),
    ((16, 16, 3), 8, (3, 3), 3),
    ((5, 7, 40), 24, (3, 3), 2), ((10, 10, 20), 10, (1, 1), 1),
    ((12, 12, 32), 16, (3, 3), 2), ((16, 16, 16), 8, (4, 4), 2), ((6, 6, 48), 32, (2, 2), 2),
    ((9, 5, 7), 9, (3, 3), 2), ((20, 1, 16), 8, (4, 1), 2), ((3, 3, 96), 32, (4, 4), 4),
    ((7, 9, 1), 1, (5, 5), 2), ((4, 4, 5), 6, (8, 8), 4), ((8, 8, 32), 1, (3, 3), 2),
    ((11, 11, 18), 7, (3, 3), 2), ((14, 3, 10), 14, (5, 5), 1), ((5, 5, 33), 11, (2, 2), 3),
)  # fmt: skip
# steps, values, units
SEQUENCES = (
    (16, 6, 8), (12, 3, 16), (8, 24, 12), (20, 4, 6), (5, 40, 32), (10, 16, 24), (4, 64, 48), (32, 2, 4),
    (6, 8, 64), (3, 100, 20), (24, 12, 10), (1, 30, 16), (1, 12, 40),
    (2, 50, 8), (2, 8, 24),
)  # fmt: skip
# axes of one operand, and how many columns the other has
PRODUCTS = (
    ((20, 8), 20), ((2, 20, 8), 20), ((4, 16, 16), 16), ((2, 12, 24), 12), ((32, 32), 8), ((10, 64), 30),
    ((3, 7, 5), 9),
    ((1, 48), 48), ((4, 25, 6), 25), ((8, 100), 3),
    ((16, 32), 16), ((2, 49, 16), 49), ((30, 24), 12), ((2, 9, 33), 17), ((50, 10), 50), ((5, 128), 7),
    ((3, 30, 4), 30), ((33, 5), 1), ((4, 12, 20), 21), ((2, 2, 40), 9), ((64, 8), 64), ((3, 6, 7), 11),
    ((1, 96), 20), ((2, 64), 24), ((3, 40), 16), ((2, 1, 24), 10), ((1, 17), 33), ((3, 3, 50), 6),
)  # fmt: skip
# the permutation of a map's axes, and the first and the end of those of MAPS that it is tried on
TRANSPOSED = (
    ((0, 2, 1, 3), 0, 4), ((0, 3, 1, 2), 0, 4), ((0, 2, 3, 1), 0, 4), ((0, 1, 3, 2), 6, 13),
)  # fmt: skip
# channel shuffles, and what takes more loops: sizes (without the first axis), and the permutation of all axes
SHUFFLED: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((256, 3, 4), (0, 1, 3, 2)), ((100, 2, 6), (0, 1, 3, 2)), ((64, 4, 4), (0, 1, 3, 2)),
    ((49, 3, 8), (0, 1, 3, 2)), ((25, 8, 3), (0, 1, 3, 2)), ((36, 5, 7), (0, 1, 3, 2)),
    ((6, 4, 5, 8), (0, 3, 2, 1, 4)), ((5, 14, 3, 7), (0, 3, 2, 1, 4)), ((4, 6, 3, 20), (0, 2, 4, 3, 1)),
    ((3, 5, 9, 4), (0, 4, 3, 2, 1)), ((12, 3, 8, 2), (0, 3, 2, 1, 4)), ((30, 20, 3), (0, 2, 1, 3)),
    ((9, 11, 2), (0, 2, 1, 3)), ((15, 8, 5), (0, 2, 1, 3)), ((7, 12, 6), (0, 2, 1, 3)),
    ((2, 3, 4, 5, 6), (0, 5, 4, 3, 2, 1)),
)  # fmt: skip
# of a map: the slice's begin, size and step
SLICES = (
    ((32, 32, 16), (0, 0, 0, 4), (1, 32, 32, 8), (1, 1, 1, 1)),
    ((1, 1, 96), (0, 0, 0, 32), (1, 1, 1, 32), (1, 1, 1, 1)),
    ((16, 16, 32), (0, 0, 0, 0), (1, 8, 8, 32), (1, 2, 2, 1)),
    ((24, 24, 3), (0, 2, 2, 0), (1, 20, 20, 3), (1, 1, 1, 1)),
    ((10, 10, 5), (0, 9, 0, 0), (1, 10, 10, 5), (1, -1, 1, 1)),
    ((20, 12, 30), (0, 0, 0, 1), (1, 20, 12, 10), (1, 1, 1, 3)),
    ((8, 8, 64), (0, 0, 0, 17), (1, 8, 8, 31), (1, 1, 1, 1)),
    ((7, 7, 96), (0, 3, 0, 0), (1, 1, 7, 96), (1, 1, 1, 1)),
    ((1, 1, 48), (0, 0, 0, 12), (1, 1, 1, 12), (1, 1, 1, 1)),
    ((1, 1, 32), (0, 0, 0, 0), (1, 1, 1, 7), (1, 1, 1, 1)),
    ((1, 20, 6), (0, 0, 3, 0), (1, 1, 1, 6), (1, 1, 1, 1)),
    ((30, 20, 80), (0, 0, 3, 0), (1, 30, 9, 70), (1, 1, 1, 1)),
)  # fmt: skip
# (height, width, channels) of a map that is made larger, and by how much
# (height, width), channels of each that is joined
JOINED = (
    ((12, 12), (24, 8)), ((16, 16), (5, 7)), ((10, 10), (8, 16, 8)), ((6, 6), (33, 12)), ((20, 20), (4, 4)),
    ((24, 24), (16, 16)), ((7, 9), (20, 6, 3)), ((8, 8), (48, 32, 16, 16)), ((14, 5), (1, 2)),
)  # fmt: skip
RESIZED = (
    ((4, 4, 16), 2), ((8, 8, 8), 2), ((6, 10, 3), 2), ((5, 5, 24), 2), ((3, 3, 64), 2), ((8, 8, 1), 3),
    ((2, 2, 40), 4),
    ((12, 12, 6), 2), ((7, 7, 5), 2), ((10, 10, 12), 2), ((16, 16, 20), 2), ((9, 4, 35), 3),
)  # fmt: skip

INPUT = Quantization((0.05,), (-3,))
OUTPUT = Quantization((0.04,), (7,))
SATURATED = Quantization((0.04,), (-128,))
# With INPUT and OUTPUT, sums of these have ties, so that no sum of two products is the reference's.
SMALLER, LARGER = Quantization((0.03,), (5,)), Quantization((0.09,), (5,))
PROBABILITIES = Quantization((1 / 256,), (-128,))
UNIT_16 = Quantization((2.0**-15,), (0,))
OF_INT16: Mapping[type[Operator], tuple[int, int]] = {
    Conv2D: (6, 11),
    DepthwiseConv2D: (3, 16),
    FullyConnected: (3, 13),
    Softmax: (2, 5),
    Logistic: (2, 5),
    MaxPool2D: (3, 5),
    AveragePool2D: (3, 5),
    Add: (2, 5),
    Mul: (1, 9),
    Maximum: (1, 9),
    Minimum: (1, 9),
    Mean: (2, 5),
    Quantize: (2, 5),
    Dequantize: (2, 5),
    Relu: (4, 2),
    Requantize: (4, 3),
    TransposeConv: (2, 10),
    BatchMatMul: (2, 10),
    ResizeBilinear: (1, 9),
}
"""Of so many layers of a kind one is profiled with int16 as well, and no more than so many."""


def shapes() -> Iterator[Graph]:
    """Every layer, each a graph of one node, under a name of its own; the same at every call."""
    rng = np.random.default_rng(0)
    for op, inputs, output in chain(
        _convolutions(rng), _depthwise(rng), _dense(rng), _pools(), _elementwise(rng), _others(rng),
        _moving(), _transposed(rng), _products(), _sequences(rng), _repeated(rng), _clamped(rng),
        _dilated(rng), _few_channels(rng), _means(),
        (_table(rng, size) for size in NARROW), _of_int16(), _with_residuals(rng),
    ):  # fmt: skip
        yield _graph(op, inputs, output)


def _graph(op: Operator, inputs: list[Tensor], output: Tensor) -> Graph:
    problems = op.problems(inputs, output)
    assert not problems, problems
    sizes = "_".join("x".join(map(str, tensor.shape)) for tensor in (*inputs[:2], output))
    node = Node(op.tflite_name.lower(), op, tuple(tensor.name for tensor in inputs), output.name)
    return Graph(
        name=f"{type(op).__name__.lower()}_{sizes}{'_linear' if _is_linear(op) else ''}",
        tensors={tensor.name: tensor for tensor in (*inputs, output)},
        nodes=(node,),
        inputs=tuple(tensor.name for tensor in inputs if not tensor.is_constant),
        outputs=(output.name,),
    )


def _is_linear(op: Operator) -> bool:
    return isinstance(op, Conv2D | Conv2DInt16) and op.activation is Activation.NONE


def _map(name: str, shape: tuple[int, ...], quantization: Quantization = INPUT) -> Tensor:
    return Tensor(name, (1, *shape), "int8", quantization)


def _weights(rng: np.random.Generator, shape: tuple[int, ...], axis: int = 0) -> Tensor:
    """Per channel, so small that sums of them stay within the output's range."""
    scales = tuple(float(np.float32(scale)) for scale in rng.uniform(0.002, 0.02, shape[axis]))
    data = rng.integers(-127, 128, shape, np.int8)
    return Tensor("weights", shape, "int8", Quantization(scales, (0,) * len(scales), axis), data)


def _bias(rng: np.random.Generator, channels: int) -> Tensor:
    return Tensor("bias", (channels,), "int32", None, rng.integers(-500, 500, channels, np.int32))


def _constant(rng: np.random.Generator, shape: tuple[int, ...], quantization: Quantization) -> Tensor:
    return Tensor("constant", shape, "int8", quantization, rng.integers(-100, 100, shape, np.int8))


def _pads(size: tuple[int, int, int], window: tuple[int, int], stride: int, same: bool) -> Pads:
    return same_pads(size[:2], window, (stride, stride)) if same else ((0, 0), (0, 0))


def _made(op: Operator, inputs: list[Tensor], quantization: Quantization = OUTPUT) -> Tensor:
    return Tensor("y", op.output_shape(inputs), "int8", quantization)


Layer = tuple[Operator, list[Tensor], Tensor]


def _convolutions(rng: np.random.Generator) -> Iterator[Layer]:
    lists = (
        (CONVOLUTIONS, Activation.RELU, OUTPUT),
        (LINEAR_CONVOLUTIONS, Activation.NONE, OUTPUT),
        (SATURATED_CONVOLUTIONS, Activation.RELU, SATURATED),
        (CUT_CONVOLUTIONS, Activation.RELU, OUTPUT),
    )
    listed = ((*each, shapes, activation, made) for shapes, activation, made in lists for each in shapes)
    for size, channels, window, stride, same, pool, shapes, activation, made in listed:
        pads = _pads(size, window, stride, same)
        op = Conv2D((stride, stride), pads=pads, activation=activation, pool=pool)
        if shapes is CUT_CONVOLUTIONS:
            op = replace(op, ceiling=tuple(map(int, rng.integers(20, 120, channels))))
        inputs = [_map("x", size), _weights(rng, (channels, *window, size[2])), _bias(rng, channels)]
        yield op, inputs, _made(op, inputs, made)


def _with_residuals(rng: np.random.Generator) -> Iterator[Layer]:
    for size, channels, window, stride, same in ADDED_CONVOLUTIONS:
        convolution = Conv2D((stride, stride), pads=_pads(size, window, stride, same))
        inputs = [_map("x", size), _weights(rng, (channels, *window, size[2])), _bias(rng, channels)]
        convolved = _made(convolution, inputs)
        op = ConvolutionAdd(convolution, convolved, Add(Activation.RELU), residual_first=False)
        residual = _map("residual", convolved.shape[1:])
        yield op, [*inputs, residual], _made(op, [*inputs, residual], SATURATED)


def _depthwise(rng: np.random.Generator) -> Iterator[Layer]:
    for index, (size, window, stride, same, multiplier, pool) in enumerate(DEPTHWISE):
        # Cut at the zero point by a clamp or where a byte begins, or not at all.
        activation = Activation.NONE if index % 6 == 4 else Activation.RELU
        op = DepthwiseConv2D(
            (stride, stride), pads=_pads(size, window, stride, same), activation=activation, pool=pool
        )
        channels = size[2] * multiplier
        inputs = [_map("x", size), _weights(rng, (1, *window, channels), axis=3), _bias(rng, channels)]
        yield op, inputs, _made(op, inputs, SATURATED if index % 2 else OUTPUT)


def _dense(rng: np.random.Generator) -> Iterator[Layer]:
    for index, (rows, depth, outputs) in enumerate(DENSE):
        op, weights = FullyConnected(), _weights(rng, (outputs, depth))
        if rows > 1 and index % 2:
            weights = replace(weights, quantization=Quantization((0.01,), (0,)))
        inputs = [Tensor("x", (rows, depth), "int8", INPUT), weights, _bias(rng, outputs)]
        yield op, inputs, _made(op, inputs)


def _pools() -> Iterator[Layer]:
    for size, window, stride, same in POOLS:
        for kind in (AveragePool2D, MaxPool2D):
            op = kind(window, (stride, stride), _pads(size, window, stride, same))
            inputs = [_map("x", size)]
            yield op, inputs, _made(op, inputs, INPUT)


def _elementwise(rng: np.random.Generator) -> Iterator[Layer]:
    for kind in (Add, Mul, Maximum, Minimum):
        # MAXIMUM and MINIMUM compare integers of one quantization.
        other = OUTPUT if kind in (Add, Mul) else INPUT
        for index, size in enumerate(MAPS):
            op = kind()
            second = _map("second", size) if index % 3 else _constant(rng, (size[2],), INPUT)
            inputs = [_map("x", size), second]
            yield op, inputs, _made(op, inputs, other)
    for index, size in enumerate(MAPS):
        slopes = _map("slopes", size) if index % 4 == 1 else _constant(rng, (size[2],), INPUT)
        yield Prelu(), [_map("x", size), slopes], _map("y", size, OUTPUT)
    for size in MAPS:
        yield Relu(), [_map("x", size)], _map("y", size, OUTPUT)
        yield Requantize(), [_map("x", size)], _map("y", size, OUTPUT)
        real = Tensor("x", (1, *size), "float32")
        yield Quantize(), [real], _map("y", size)
        yield Dequantize(), [_map("x", size)], Tensor("y", (1, *size), "float32")


def _means() -> Iterator[Layer]:
    for size, along in MEANS:
        axes = Tensor("axes", (len(along),), "int32", None, np.array(along, np.int32))
        mean, inputs = Mean(along), [_map("x", size), axes]
        yield mean, inputs, _made(mean, inputs)


def _repeated(rng: np.random.Generator) -> Iterator[Layer]:
    for index, (size, other) in enumerate(REPEATED):
        for kind, scales in ((Add, INPUT), (Mul, INPUT), (Sub, (SMALLER, LARGER)[index % 2])):
            op, x = kind(), _map("x", size)
            constant = _constant(rng, other, scales)
            inputs = [x, constant if index % 4 == 1 else replace(constant, shape=(1, *other), data=None)]
            yield op, inputs[:: 1 if index % 3 else -1], _made(op, inputs)


def _others(rng: np.random.Generator) -> Iterator[Layer]:
    for size in MAPS:
        axes = Tensor("axes", (2,), "int32", None, np.array([1, 2], np.int32))
        for reduction in (Mean((1, 2)), ReduceMax((1, 2)), ReduceMin((1, 2))):
            inputs = [_map("x", size), axes]
            yield (
                reduction,
                inputs,
                _made(reduction, inputs, OUTPUT if isinstance(reduction, Mean) else INPUT),
            )
        yield Logistic(), [_map("x", size)], _map("y", size, PROBABILITIES)
        yield _table(rng, size)
        joined = Concatenation(3)
        inputs = [_map("x", size), _map("second", (*size[:2], 16))]
        yield joined, inputs, _made(joined, inputs, INPUT)
    for place, widths in JOINED:
        for axis in (2, 3):
            joined = Concatenation(axis)
            joining = [(*place, n) if axis == 3 else (place[0], n, widths[0]) for n in widths]
            inputs = [_map(f"x{i}", shape) for i, shape in enumerate(joining)]
            yield joined, inputs, _made(joined, inputs, INPUT)
    for classes in CLASSES:
        x = Tensor("x", classes, "int8", INPUT)
        yield Softmax(), [x], Tensor("y", classes, "int8", PROBABILITIES)
    for size, margin in MARGINS:
        pads = ((0, 0), (margin, margin), (margin, margin), (0, 0))
        pad = Pad(pads)
        inputs = [_map("x", size), Tensor("pads", (4, 2), "int32", None, np.array(pads, np.int32))]
        yield pad, inputs, _made(pad, inputs, INPUT)


def _moving() -> Iterator[Layer]:
    """What only picks elements: transposed, sliced, repeated; and the index of the largest."""
    for permutation, first, end in TRANSPOSED:
        for size in MAPS[first:end]:
            op = Transpose(permutation)
            axes = Tensor("axes", (4,), "int32", None, np.array(permutation, np.int32))
            inputs = [_map("x", size), axes]
            yield op, inputs, _made(op, inputs, INPUT)
    for shape, order in SHUFFLED:
        op = Transpose(order)
        axes = Tensor("axes", (len(order),), "int32", None, np.array(order, np.int32))
        inputs = [_map("x", shape), axes]
        yield op, inputs, _made(op, inputs, INPUT)
    for size, begin, count, step in SLICES:
        slice_, inputs = Slice(begin, count, step), [_map("x", size)]
        yield slice_, inputs, _made(slice_, inputs, INPUT)
    for size, factor in RESIZED:
        larger = (size[0] * factor, size[1] * factor)
        for kind in (ResizeBilinear, ResizeNearestNeighbor):
            resize = kind(larger, half_pixel_centers=True)
            inputs = [_map("x", size), Tensor("size", (2,), "int32", None, np.array(larger, np.int32))]
            yield resize, inputs, _made(resize, inputs, INPUT)
        mirror = MirrorPad(((0, 0), (1, 1), (1, 1), (0, 0)))
        pads = Tensor("pads", (4, 2), "int32", None, np.array(mirror.pads, np.int32))
        inputs = [_map("x", size), pads]
        yield mirror, inputs, _made(mirror, inputs, INPUT)
    for size in MAPS[:10]:
        best, axis = ArgMax(3), Tensor("axis", (), "int32", None, np.array(3, np.int32))
        inputs = [_map("x", size), axis]
        yield best, inputs, Tensor("y", best.output_shape(inputs), "int32")


def _transposed(rng: np.random.Generator) -> Iterator[Layer]:
    for index, (size, channels, window, stride) in enumerate(TRANSPOSED_CONVOLUTIONS):
        larger = (size[0] * stride, size[1] * stride)
        pads = same_pads(larger, window, (stride, stride))
        activation = Activation.NONE if index % 3 == 1 else Activation.RELU
        op = TransposeConv(larger, (stride, stride), pads, activation)
        shape = Tensor("shape", (4,), "int32", None, np.array((1, *larger, channels), np.int32))
        weights = _weights(rng, (channels, *window, size[2]))
        inputs = [shape, weights, _map("x", size), _bias(rng, channels)]
        yield op, inputs, _made(op, inputs)


def _products() -> Iterator[Layer]:
    for index, (shape, columns) in enumerate(PRODUCTS):
        turned = index % 4 == 3, bool(index % 2)
        *outer, rows, depth = shape
        op, sizes = BatchMatMul(*turned), ((rows, depth), (depth, columns))
        inputs = [
            _map(name, (*outer, *(each[::-1] if is_turned else each)))
            for name, each, is_turned in zip(("x", "second"), sizes, turned, strict=True)
        ]
        yield op, inputs, _made(op, inputs, SATURATED if index % 5 == 4 else OUTPUT)


def _of_int16() -> Iterator[Layer]:
    """Some of the layers above with activations of int16, and those that have no table then."""
    rng = np.random.default_rng(16)
    seen: Counter[type[Operator]] = Counter()
    above = (_convolutions(rng), _depthwise(rng), _dense(rng), _others(rng), _pools(), _elementwise(rng))
    for op, inputs, output in chain(*above, _moving(), _transposed(rng), _products()):
        every, most = OF_INT16.get(type(op), (1, 0))
        seen[type(op)] += 1
        if seen[type(op)] % every or seen[type(op)] > every * most:
            continue
        tensors, made = [_widened(each) for each in inputs], _widened(output)
        if isinstance(op, Softmax | Logistic):
            made = replace(made, quantization=UNIT_16)
        # Every operator of a file is a dataclass; their common base, which mypy sees here, is none.
        attributes = {field.name: getattr(op, field.name) for field in fields(op)}  # type: ignore[arg-type]
        form = INT16_FORMS[op.tflite_name]
        # Several operators have the name QUANTIZE, and their types tell them apart.
        yield form(**attributes) if attributes else form.read(None, tensors, made), tensors, made
        if isinstance(op, Logistic):
            yield TanhInt16(), tensors, made
            yield LeakyReluInt16(), tensors, _widened(output)
            yield AbsInt16(), tensors, _widened(output)
            yield ExpInt16(), tensors, _widened(output)


def _widened(tensor: Tensor) -> Tensor:
    """The tensor as it is beside int16: of finer steps around 0; weights stay, biases are of 64 bits."""
    if tensor.name == "weights" or tensor.dtype not in {"int8", "int32"} or tensor.name in {"axes", "pads"}:
        return tensor
    dtype = "int64" if tensor.name == "bias" else "int16"
    data = None if tensor.data is None else tensor.data.astype(dtype)
    finer = tensor.quantization and Quantization((tensor.scale / 256,), (0,))
    return replace(tensor, dtype=dtype, data=data, quantization=finer)


def _sequences(rng: np.random.Generator) -> Iterator[Layer]:
    for steps, values, units in SEQUENCES:
        op = UnidirectionalSequenceLstm(PROBABILITIES, PROBABILITIES, 2.0**-11, 0.0)
        inputs = [_map("x", (steps, values))]
        for what, depth in (("input", values), ("recurrent", units)):
            for gate in range(4):
                data = rng.integers(-127, 128, (units, depth), np.int8)
                name = f"{what}_weights_{gate}"
                inputs.append(Tensor(name, (units, depth), "int8", Quantization((0.005,), (0,)), data))
        inputs += [replace(_bias(rng, units), name=f"bias_{gate}") for gate in range(4)]
        yield op, inputs, _made(op, inputs, PROBABILITIES)


def _table(rng: np.random.Generator, size: tuple[int, int, int]) -> Layer:
    """A table for each channel."""
    tables = rng.integers(-128, 128, (size[2], 256), np.int8)
    op = Table(tuple(table.tobytes() for table in tables), ("MUL", "ADD"))
    return op, [_map("x", size)], _map("y", size, OUTPUT)


def _clamped(rng: np.random.Generator) -> Iterator[Layer]:
    """Clamps around the zero point, and above it, where rounding of what is below does not show."""
    for low in (OUTPUT.zero_point[0] - 8, OUTPUT.zero_point[0]):
        for size, channels, window, stride, same in CLAMPED_CONVOLUTIONS:
            # One more channel: a layer of its own.
            channels += low == OUTPUT.zero_point[0]
            floor = tuple(low + channel % 11 for channel in range(channels))
            op = Conv2D((stride, stride), pads=_pads(size, window, stride, same), floor=floor)
            inputs = [_map("x", size), _weights(rng, (channels, *window, size[2])), _bias(rng, channels)]
            yield op, inputs, _made(op, inputs)


def _dilated(rng: np.random.Generator) -> Iterator[Layer]:
    for size, channels, window, dilation in DILATED_CONVOLUTIONS:
        pads = same_pads(size[:2], window, (1, 1), (dilation, dilation))
        op = Conv2D(dilation=(dilation, dilation), pads=pads, activation=Activation.RELU)
        inputs = [_map("x", size), _weights(rng, (channels, *window, size[2])), _bias(rng, channels)]
        yield op, inputs, _made(op, inputs)


def _few_channels(rng: np.random.Generator) -> Iterator[Layer]:
    for size, window in FEW_CHANNELS:
        op = DepthwiseConv2D(pads=_pads(size, window, 1, True), activation=Activation.RELU)
        inputs = [_map("x", size), _weights(rng, (1, *window, size[2]), axis=3), _bias(rng, size[2])]
        yield op, inputs, _made(op, inputs)
