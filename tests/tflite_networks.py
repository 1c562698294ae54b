"""Random networks of branches and joins as TFLite files, for what stands between reader and compiler."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.tflite_chains import Chain, convolution_options, pool_options

SIZE, CHANNELS = 4, 3


def random_network(rng: np.random.Generator, operators: int, height: int = SIZE) -> bytes:
    """Operators on (height, 4, 3) maps that read any made before; those that nobody reads are summed up."""
    chain = Chain()
    shape = (1, height, SIZE, CHANNELS)
    maps = [chain.tensor("image", shape, scale=0.05, zero_point=-3)]
    unread = {maps[0]}
    reshapes = 0

    def tensor(name: str, like: int | None = None) -> int:
        """A new map, of its own scale or of another map's."""
        if like is None:
            return chain.tensor(
                name, shape, scale=float(rng.uniform(0.03, 0.1)), zero_point=int(rng.integers(-20, 20))
            )
        held = chain.graph.tensors[like].quantization
        return chain.tensor(name, shape, scale=held.scale[0], zero_point=held.zeroPoint[0])

    def pick() -> int:
        chosen = int(rng.choice(maps))
        unread.discard(chosen)
        return chosen

    def convolve(index: int, x: int, y: int, channels: int) -> None:
        w = chain.tensor(
            f"w_{index}", (CHANNELS, 3, 3, channels), scale=0.01,
            data=rng.integers(-127, 128, (CHANNELS, 3, 3, channels)),
        )  # fmt: skip
        b = chain.tensor(
            f"b_{index}", (CHANNELS,), "int32", scale=0.0005, data=rng.integers(-300, 300, CHANNELS)
        )
        chain.operator("CONV_2D", [x, w, b], y, convolution_options())

    for index in range(operators):
        kinds = [
            "CONV_2D", "ADD", "MUL", "RELU", "RELU6", "MAX_POOL_2D", "MAXIMUM", "RESHAPE", "MEAN",
            "CONCATENATION", "RESIZE_NEAREST_NEIGHBOR",
        ]  # fmt: skip
        kind = rng.choice(kinds)
        name = f"net/layer_{index}/Op"
        if kind == "CONV_2D":
            x, y = pick(), tensor(name)
            convolve(index, x, y, CHANNELS)
        elif kind == "CONCATENATION":
            # Joined to what a ReLU brings to the same scale, and convolved back to as many channels.
            x, other, y = pick(), pick(), tensor(name)
            brought = tensor(f"net/brought_{index}/Op", like=x)
            chain.operator("RELU", [other], brought)
            held = chain.graph.tensors[x].quantization
            joined = chain.tensor(
                f"net/joined_{index}/Op", (*shape[:3], 2 * CHANNELS),
                scale=held.scale[0], zero_point=held.zeroPoint[0],
            )  # fmt: skip
            options = schema.ConcatenationOptionsT()
            options.axis = 3
            chain.operator(kind, [x, brought], joined, options)
            convolve(index, joined, y, 2 * CHANNELS)
        elif kind == "RESIZE_NEAREST_NEIGHBOR":
            # Stretched, and pooled back to its size.
            x = pick()
            y = tensor(name, like=x)
            larger = (2 * height, 2 * SIZE)
            held = chain.graph.tensors[x].quantization
            stretched = chain.tensor(
                f"net/stretched_{index}/Op", (1, *larger, CHANNELS),
                scale=held.scale[0], zero_point=held.zeroPoint[0],
            )  # fmt: skip
            size = chain.tensor(f"size_{index}", (2,), "int32", data=np.array(larger))
            chain.operator(kind, [x, size], stretched, schema.ResizeNearestNeighborOptionsT())
            chain.operator("MAX_POOL_2D", [stretched], y, pool_options(3, 2, same=True))
        elif kind in {"ADD", "MUL"}:
            options = schema.AddOptionsT() if kind == "ADD" else schema.MulOptionsT()
            operands = [pick(), pick()]
            y = tensor(name)
            chain.operator(kind, operands, y, options)
        elif kind == "MEAN":
            x, scaled = pick(), pick()
            axes = chain.tensor(f"axes_{index}", (2,), "int32", data=np.array([1, 2]))
            held, keep = chain.graph.tensors[x].quantization, schema.ReducerOptionsT()
            keep.keepDims = True
            mean = chain.tensor(
                f"net/mean_{index}/Op", (1, 1, 1, CHANNELS), scale=held.scale[0], zero_point=held.zeroPoint[0]
            )
            y = tensor(name)
            chain.operator(kind, [x, axes], mean, keep)
            operands = [scaled, mean] if rng.random() < 0.5 else [mean, scaled]
            chain.operator("MUL", operands, y, schema.MulOptionsT())
        elif kind in {"RELU", "RELU6"}:
            x = pick()
            y = tensor(name, like=x if rng.random() < 0.5 else None)
            chain.operator(kind, [x], y)
        elif kind == "MAX_POOL_2D":
            x = pick()
            y = tensor(name, like=x)
            chain.operator(kind, [x], y, pool_options(3, 1, same=True))
        elif kind == "MAXIMUM":
            x = pick()
            y = tensor(name, like=x)
            held = chain.graph.tensors[x].quantization
            bound = chain.tensor(
                f"bound_{index}", (CHANNELS,), scale=held.scale[0], zero_point=held.zeroPoint[0],
                data=rng.integers(-50, 50, CHANNELS),
            )  # fmt: skip
            chain.operator(kind, [x, bound], y, schema.MaximumMinimumOptionsT())
        else:
            x = pick()
            held = chain.graph.tensors[x].quantization
            flat = chain.tensor(
                f"net/flat_{index}/Op",
                (1, height * SIZE * CHANNELS),
                scale=held.scale[0],
                zero_point=held.zeroPoint[0],
            )
            y = tensor(name, like=x)
            there = chain.tensor(f"to_{index}", (2,), "int32", data=np.array([1, height * SIZE * CHANNELS]))
            back = chain.tensor(f"from_{index}", (4,), "int32", data=np.array(shape))
            chain.operator("RESHAPE", [x, there], flat, schema.ReshapeOptionsT())
            chain.operator("RESHAPE", [flat, back], y, schema.ReshapeOptionsT())
            reshapes += 1
        maps.append(y)
        unread.add(y)

    last, *others = sorted(unread)
    for index, other in enumerate(others):
        total = tensor(f"net/sum_{index}/Op")
        chain.operator("ADD", [last, other], total, schema.AddOptionsT())
        last = total
    if len(chain.model.operatorCodes) == 2 * reshapes:  # nothing but shapes so far
        end = tensor("net/end/Op", like=last)
        chain.operator("RELU", [last], end)
        last = end
    return chain.finish([maps[0]], [last])
