"""The portable library: plain C, the definition of correct, for every operator and any core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.kernels.base import Candidate, Kernel, array_bytes
from pipeline.kernels.costs import kernel_code
from pipeline.kernels.portable_features import portable_features
from pipeline.operators import Operator
from pipeline.tensors import Tensor

# Flash of a kernel that was not profiled yet, of a call with its parameters, and of all that an image holds
# besides: harness, HAL, startup, model descriptor (arm-none-eabi-gcc 12.2).
DEFAULT_CODE_BYTES = 600
BYTES_PER_CALL = 145
BASE_BYTES = 5890
# What an STM32's clock, pins, UART and counter need more than a simulated machine.
STM32_BYTES = 1340


class Portable(Kernel):
    """Kernels in firmware_templates/kernels/portable/."""

    name = "portable"

    def candidates(
        self, op: Operator, inputs: Sequence[Tensor | None], output: Tensor
    ) -> tuple[Candidate, ...]:
        if not op.kernel:
            return ()
        return (
            Candidate(
                library=self.name,
                kernel=op.kernel,
                variant="plain C",
                parameters=lambda: op.parameters(inputs, output),
                scratch_bytes=op.scratch_bytes(inputs, output),
                weights_bytes=_weights_bytes(op, inputs, output),
                features=portable_features(op, inputs, output),
            ),
        )


def _weights_bytes(op: Operator, inputs: Sequence[Tensor | None], output: Tensor) -> int:
    """Constants that the kernel is handed, and all arrays of its struct."""
    handed = (inputs[position] for position in op.operands(inputs))
    constants = sum(x.nbytes for x in handed if x is not None and x.is_constant)
    return constants + array_bytes(op.parameters(inputs, output))


KERNELS = (Portable(),)


def kernel_bytes(kernel: str) -> int:
    """Flash of one kernel, `<library>/<kernel>`, used alone: of each once, however many layers it runs."""
    return sum(_code_of(kernel, "-O2").values())


def _code_of(kernel: str, level: str) -> Mapping[str, int]:
    """Bytes of a kernel and of what it shares, by name."""
    return kernel_code(kernel, level) or {kernel: DEFAULT_CODE_BYTES}


def predicted_code_bytes(levels: Mapping[str, str], calls: int, stm32: bool) -> int:
    """Flash besides weights of an image with kernels, `<library>/<kernel>`, each compiled at a level."""
    return BASE_BYTES + STM32_BYTES * stm32 + _kernels_bytes(levels) + BYTES_PER_CALL * calls


def predicted_ram_code_bytes(levels: Mapping[str, str]) -> int:
    """Of the code of these kernels, what asks to run from RAM: nearly all of it but for plain C."""
    portable = f"{Portable.name}/"
    return _kernels_bytes({k: level for k, level in levels.items() if not k.startswith(portable)})


def _kernels_bytes(levels: Mapping[str, str]) -> int:
    """Code of kernels, each compiled at a level. What several share is there once."""
    code: dict[str, int] = {}
    for kernel, level in levels.items():
        for name, count in _code_of(kernel, level).items():
            code[name] = max(count, code.get(name, 0))
    return sum(code.values())
