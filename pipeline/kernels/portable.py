"""The portable library: plain C, the definition of correct, for every operator and any core."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline.kernels.base import Candidate, Cost, Kernel
from pipeline.kernels.portable_features import portable_features
from pipeline.operators import Operator
from pipeline.tensors import Tensor

# What the instructions of a layer are counted by, and the instructions of each on Cortex-M4 at -O2:
# multiply-accumulates, starts of the innermost loop, results that are scaled and stored, elements
# that are read. `stm32-deploy bench --fit` prints this table from the layers that it has measured.
FEATURES = ("macs", "loops", "results", "reads")
INSTRUCTIONS = {
    "ADD": (0.0, 0.0, 72.676, 0.0),
    "AVERAGE_POOL_2D": (0.0, 0.0, 0.0, 7.698),
    "CONV_2D": (2.569, 1.671, 101.22, 0.0),
    "DEPTHWISE_CONV_2D": (13.331, 0.0, 0.0, 0.0),
    "FULLY_CONNECTED": (2.807, 65.316, 0.0, 0.0),
    "SOFTMAX": (0.0, 0.0, 56.123, 0.0),
}
# For operators that no benchmark model has: about what one scaled and stored element takes.
INSTRUCTIONS_PER_RESULT = 40.0
INSTRUCTIONS_PER_READ = 8.0

# Flash of each kernel with its constants at -O2 on Cortex-M4, of a call with its parameters, and of
# all that an image holds besides: harness, HAL, startup, model descriptor (arm-none-eabi-gcc 12.2).
CODE_BYTES = {
    "add": 346,
    "average_pool_2d": 336,
    "conv_2d": 1194,
    "depthwise_conv_2d": 1112,
    "fully_connected": 438,
    "softmax": 400,
}
DEFAULT_CODE_BYTES = 600
BYTES_PER_CALL = 122
BASE_BYTES = 5870
# What an STM32's clock, pins, UART and counter need more than a simulated machine.
STM32_BYTES = 1950


# Cycles an instruction of these kernels takes where memory answers at once (estimates of whole models).
CYCLES_PER_INSTRUCTION = 1.55


class Portable(Kernel):
    """Kernels in firmware_templates/kernels/portable/."""

    name = "portable"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> tuple[Candidate, ...]:
        counts = count_features(op, inputs, output)
        per_feature = INSTRUCTIONS.get(op.tflite_name, (0, 0, INSTRUCTIONS_PER_RESULT, INSTRUCTIONS_PER_READ))
        instructions = sum(a * b for a, b in zip(counts, per_feature, strict=True))
        return (
            Candidate(
                library=self.name,
                kernel=op.kernel,
                variant="plain C",
                parameters=lambda: op.parameters(inputs, output),
                cost=Cost(instructions, CYCLES_PER_INSTRUCTION * instructions),
                weights_bytes=sum(x.nbytes for x in inputs if x is not None and x.is_constant),
                features=portable_features(op, inputs, output),
            ),
        )


KERNELS = (Portable(),)


def count_features(
    op: Operator, inputs: Sequence[Tensor | None], output: Tensor
) -> tuple[int, int, int, int]:
    """How many of each of FEATURES a layer has."""
    macs = op.macs(inputs, output)
    pool = getattr(op, "pool", None) or (1, 1)
    results = output.elements * math.prod(pool)
    reads = inputs[0].elements if inputs[0] is not None else 0
    if not macs:
        window = getattr(op, "window", None)
        return 0, 0, results, results * math.prod(window) if window else reads
    weights = inputs[1]
    assert weights is not None
    depth = 1 if op.tflite_name == "DEPTHWISE_CONV_2D" else weights.shape[-1]
    return macs, macs // depth, results, 0


def predicted_code_bytes(kernels: Sequence[str], stm32: bool) -> int:
    """Flash besides weights of an image that calls these kernels, one entry a call."""
    own = sum(CODE_BYTES.get(kernel, DEFAULT_CODE_BYTES) for kernel in set(kernels))
    return BASE_BYTES + STM32_BYTES * stm32 + own + BYTES_PER_CALL * len(kernels)
