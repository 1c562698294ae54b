"""Pad as the convolution reads, instead of copying its input into a larger map."""

from __future__ import annotations

from dataclasses import replace

from pipeline.graph import Graph
from pipeline.operators.convolution import Convolution
from pipeline.operators.pad import Pad


def fuse_pad(graph: Graph) -> Graph:
    """Replace `PAD -> convolution` by the convolution with that much more padding.

    A convolution pads with its input's zero point (real 0), so the two are the same where the PAD does,
    along height and width only.
    """
    nodes = list(graph.nodes)
    for node in graph.nodes:
        reader = graph.only_consumer(node.output)
        if not isinstance(node.op, Pad) or reader is None or reader.inputs[0] != node.output:
            continue
        padded, pads = graph.tensors[node.output], node.op.pads
        if len(pads) != 4 or any(pads[0]) or any(pads[3]) or not isinstance(reader.op, Convolution):
            continue
        if node.op.value(graph.operands(node), padded) != padded.zero_point:
            continue
        (top, bottom), (left, right) = reader.op.pads
        more = ((top + pads[1][0], bottom + pads[1][1]), (left + pads[2][0], right + pads[2][1]))
        nodes[nodes.index(reader)] = replace(
            reader, op=replace(reader.op, pads=more), inputs=(node.inputs[0], *reader.inputs[1:])
        )
        nodes.remove(node)
    return graph.with_nodes(nodes)
