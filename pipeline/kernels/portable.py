"""The portable library: plain C, the definition of correct, for every operator and any core."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.kernels.base import KernelCost
from pipeline.operators import Operator
from pipeline.tensors import Tensor

# Instructions per multiply-accumulate and per output element on Cortex-M4 at -O2, and per call:
# least squares over the layers of the benchmark models counted in QEMU (docs/benchmarks.md).
INSTRUCTIONS: dict[str, tuple[float, float]] = {}
DEFAULT = (0.0, 20.0)
CALL_INSTRUCTIONS = 60


class Portable:
    """Kernels in firmware_templates/kernels/portable/."""

    name = "portable"

    def accepts(self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor) -> bool:
        return True

    def cost(self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor) -> KernelCost:
        per_mac, per_element = INSTRUCTIONS.get(op.tflite_name, DEFAULT)
        macs = op.macs(inputs, output)
        return KernelCost(round(per_mac * macs + per_element * output.elements + CALL_INSTRUCTIONS))


# Flash of each kernel with its constants at -O2 on Cortex-M4, of a call with its parameters, and of
# all that an image holds besides: harness, HAL, startup, model descriptor (arm-none-eabi-gcc 12.2).
CODE_BYTES: dict[str, int] = {}
DEFAULT_CODE_BYTES = 600
BYTES_PER_CALL = 120
BASE_BYTES = 6000


def predicted_code_bytes(kernels: Sequence[str]) -> int:
    """Flash besides weights of an image that calls these kernels, one entry a call."""
    own = sum(CODE_BYTES.get(kernel, DEFAULT_CODE_BYTES) for kernel in set(kernels))
    return BASE_BYTES + own + BYTES_PER_CALL * len(kernels)
