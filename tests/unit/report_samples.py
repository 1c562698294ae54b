"""Made-up but possible inputs of a report: a small network, its images and what a target said of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.analyze import Fit, HostAnalysis, LayerAnalysis, RegionFit, Totals
from pipeline.build import Firmware, Symbol
from pipeline.compare import BoardFacts, Prediction, compare_outputs
from pipeline.lower import Call, Layer, Place, Program
from pipeline.measure import Cost, Measurement, Source
from pipeline.metrics import Agreement, ClassFigures, Classification
from pipeline.quantize import Calibration, Finding, Inspection, QuantizedModel, TensorRange
from pipeline.quantize.inspect import ChannelRange, Deviation, InspectedLayer, Spoiled
from pipeline.schedule import Choices, TradeOff
from pipeline.stream import Portion

CLASSES = ("cat", "dog", "frog")

L4R5 = BoardFacts("nucleo_l4r5zi", "ST NUCLEO-L4R5ZI", 2 << 20, 640 << 10, 120_000_000, "cortex-m4")
MPS2 = BoardFacts("qemu_mps2_an386", "QEMU mps2-an386", 4 << 20, 4 << 20, 0, "cortex-m4")

IMAGE = Place("serving_default_input:0", (1, 16, 16, 3), "int8", 0)  # 768 B
CONV = Place("conv2d", (1, 16, 16, 8), "int8", 2048)  # 2048 B
CONV_1 = Place("conv2d_1", (1, 8, 8, 16), "int8", 1024)  # 1024 B
ADDED = Place("add", (1, 8, 8, 16), "int8", 1024)  # over conv2d_1
FLAT = Place("flatten", (1, 1024), "int8", 1024)  # the same bytes as add
DENSE = Place("dense", (1, 12), "int8", 0)
LOGITS = Place("dense_1", (1, 3), "int8", 16)
SCORES = Place("softmax", (1, 3), "int8", 16)  # over dense_1
ARENA_BYTES = 4096


def weights(name: str, *shape: int) -> Place:
    return Place(f"{name}/weights", shape, "int8", None, name)


def call(
    index: int, name: str, operator: str, kernel: str, macs: int, *, reads: tuple[Place, ...], writes: Place,
    live: tuple[Place, ...], **more: Any,
) -> Call:  # fmt: skip
    layer = Layer(
        index, name, operator, kernel, "portable", "plain C", macs, {}, reads, writes,
        predicted_cycles=0, **more,
    )  # fmt: skip
    return Call(index, (layer,), (Portion(0, 0, 1),), reads, writes, live)


PROGRAM = Program(
    name="small_net",
    calls=(
        call(0, "conv2d", "CONV_2D", "conv_2d", 55_296, reads=(IMAGE, weights("k0", 8, 3, 3, 3)),
             writes=CONV, live=(IMAGE, CONV), predicted_instructions=200_000, weights_bytes=248),
        call(1, "conv2d_1", "CONV_2D", "conv_2d", 73_728, reads=(CONV, weights("k1", 16, 3, 3, 8)),
             writes=CONV_1, live=(CONV, CONV_1), predicted_instructions=250_000, weights_bytes=1_216,
             fused=("per-channel MAXIMUM", "MAX_POOL_2D 2x2")),
        call(2, "add", "ADD", "add", 0, reads=(CONV_1,), writes=ADDED, live=(CONV_1, ADDED, FLAT),
             predicted_instructions=30_000, weights_bytes=0),
        call(3, "dense", "FULLY_CONNECTED", "fully_connected", 12_288,
             reads=(FLAT, weights("k3", 12, 1024)), writes=DENSE, live=(ADDED, FLAT, DENSE),
             predicted_instructions=40_000, weights_bytes=12_336),
        call(4, "dense_1", "FULLY_CONNECTED", "fully_connected", 36, reads=(DENSE, weights("k4", 3, 12)),
             writes=LOGITS, live=(DENSE, LOGITS), predicted_instructions=200, weights_bytes=48),
        call(5, "softmax", "SOFTMAX", "softmax", 0, reads=(LOGITS,), writes=SCORES,
             live=(LOGITS, SCORES), predicted_instructions=800, weights_bytes=1_024),
    ),
    constants=(),
    arena_bytes=ARENA_BYTES,
    arena_lower_bound_bytes=3_072,
    inputs=(IMAGE,),
    outputs=(SCORES,),
    tensors={p.tensor: p for p in (IMAGE, CONV, CONV_1, ADDED, FLAT, DENSE, LOGITS, SCORES)},
)  # fmt: skip

LAYER_COUNTS = (210_000, 240_000, 33_000, 41_000, 180, 820)  # 525,000 together


def firmware(board: str, digest: str, *, flash_extra: int = 0) -> Firmware:
    """Flash 14,872 weights + 9,128 others = 24,000; RAM 4,096 arena + 2,048 stack + 352 = 6,496."""
    symbols = (
        Symbol("small_net_dense_weights", 12_288, "flash", "weights", "model/small_net_weights.c"),
        Symbol("small_net_conv2d_1_weights", 1_152, "flash", "weights", "model/small_net_weights.c"),
        Symbol("small_net_softmax_table", 1_024, "flash", "weights", "model/small_net_weights.c"),
        Symbol("conv_2d_portable", 1_804, "flash", "kernels", "kernels/portable/conv_2d.c"),
        Symbol("fully_connected_portable", 402, "flash", "kernels", "kernels/portable/fully_connected.c"),
        Symbol("handle_command", 2_210, "flash", "harness", "harness/protocol.c"),
        Symbol("Reset_Handler", 96, "flash", "startup and HAL", "target/startup.c"),
        Symbol("memcpy", 210, "flash", "C library", "libc_nano.a"),
        Symbol("small_net_arena", 4_096, "ram", "arena", "model/small_net.c"),
        Symbol("reply", 128, "ram", "other", "harness/protocol.c"),
    )
    return Firmware(
        elf=Path("firmware.elf"),
        board=board,
        digest=digest,
        sections=((".text", 0x0800_0000, 9_000), (".rodata", 0x0800_2328, 14_872)),
        symbols=symbols,
        flash_bytes=24_000 + flash_extra,
        ram_bytes=6_496,
        flash_parts={
            "weights": 14_872,
            "model code": 812,
            "kernels": 3_300,
            "harness": 3_900 + flash_extra,
            "startup and HAL": 640,
            "C library": 376,
            "other": 100,
        },
        ram_parts={"arena": 4_096, "stack": 2_048, "other": 352},
        toolchain="arm-none-eabi-gcc 12.2.1",
        flags=("-mcpu=cortex-m4", "-O2"),
    )  # fmt: skip


LINKED = firmware("nucleo_l4r5zi", "0123456789abcdef")
RAN = firmware("qemu_mps2_an386", "fedcba9876543210", flash_extra=-300)

EXPECTED = np.array([[100, -100, -128], [-128, 127, -127], [0, 1, -1], [-5, 5, -128]], np.int8)


def measurement(outputs: np.ndarray = EXPECTED, **changes: Any) -> Measurement:
    """525,000 instructions in the layers and 400 around them."""
    made = Measurement(
        board="qemu_mps2_an386",
        runner="qemu",
        source=Source.INSTRUCTIONS,
        counter_hz=0,
        total=Cost((525_400, 525_400, 525_400)),
        layers=tuple(Cost((count, count, count)) for count in LAYER_COUNTS),
        outputs=outputs.view(np.uint8),
        stack_bytes=712,
        arena_bytes=ARENA_BYTES,
        digest=RAN.digest,
        counter="SysTick, one tick an instruction (-icount shift=0)",
    )
    return replace(made, **changes)


PREDICTION = Prediction(
    weights_bytes=14_872,
    code_bytes=10_128,
    flash_bytes=25_000,
    arena_bytes=ARENA_BYTES,
    ram_bytes=6_400,
    code_in_ram_bytes=0,
    instructions=521_000,
    layer_instructions=tuple(c.predicted_instructions for c in PROGRAM.calls),
    one_macc_per_cycle_seconds=141_348 / 120e6,
    board="nucleo_l4r5zi",
    clock_hz=120_000_000,
    basis={"code_bytes": "kernels of this model at their usual size, harness, startup"},
)


def analysis(kind: str, bytes_each: int) -> HostAnalysis:
    layers = tuple(
        LayerAnalysis(
            c.name, c.operator.title(), c.writes.shape, c.macs, c.weights_bytes, c.weights_bytes * bytes_each,
            1024 * bytes_each, c.macs / PROGRAM.macs, c.weights_bytes / 14_872,
        )
        for c in PROGRAM.calls
    )  # fmt: skip
    flash = RegionFit(14_872 * bytes_each, L4R5.flash_bytes, "weights only")
    ram = RegionFit(4_096 * bytes_each, L4R5.ram_bytes, "activations only")
    return HostAnalysis(
        model="small_net",
        kind=kind,
        board=L4R5.name,
        clock_hz=L4R5.clock_hz,
        layers=layers,
        totals=Totals(PROGRAM.macs, 14_872, 14_872 * bytes_each, 4_096 * bytes_each, 141_348 / 120e6),
        fit=Fit(L4R5.name, flash, ram, (("dense", 12_336),), ("nucleo_l4r5zi",)),
        conventions=("A convolution counts k*k*cin*cout*oh*ow + cout.", "Softmax counts 15 an element."),
    )


def classification(
    subject: str, confusion: list[list[int]], names: tuple[str, ...] = CLASSES
) -> Classification:
    matrix = np.array(confusion, np.int64)
    right, true, called = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    recall, precision = right / np.maximum(true, 1), right / np.maximum(called, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    return Classification(
        subject=subject,
        accuracy=float(right.sum() / matrix.sum()),
        macro_f1=float(f1.mean()),
        confusion=matrix,
        classes=tuple(
            ClassFigures(name, float(p), float(r), float(f), int(n))
            for name, p, r, f, n in zip(names, precision, recall, f1, true, strict=True)
        ),
    )


CLASSIFICATIONS = (
    classification("float model", [[90, 8, 2], [6, 93, 1], [0, 3, 97]]),
    classification("quantized model", [[89, 9, 2], [6, 93, 1], [0, 3, 97]]),
    classification("target", [[1, 0, 0], [0, 2, 0], [0, 0, 1]]),
)

QUANTIZED = QuantizedModel(
    name="small_net",
    tflite=b"TFL3" * 4_500,
    calibration=Calibration(
        origin="CIFAR-10 (keras.datasets), first 300 training images",
        samples=300,
        ranges=(
            TensorRange("serving_default_input:0", 0.0, 1.0, 1 / 255, -128, 0.021),
            TensorRange("conv2d", -1.25, 6.5, 0.0304, -87, 0.0004),
            TensorRange("dense_1", -14.0, 17.5, 0.1235, -15, 0.0),
        ),
        rewrites=("Batch norm behind conv2d folded into it (largest difference 4e-7).",),
    ),
    agreement=Agreement(300, 0.9967, 0.0021, 0.061),
    sha256="5f" * 32,
)


CONV_INSPECTED = InspectedLayer(
    name="conv2d", tensor="conv2d/Relu", operator="CONV_2D MAXIMUM", shape=(1, 8, 8, 16), scale=0.0304,
    zero_point=-87, low=-1.25, high=6.5, minimum=-1.3, maximum=6.4, unused=0.25, at_low=0.01, at_high=0.0004,
    floor=True, ceiling=False, clipped=0.0002, own=Deviation(31.25, 0.9996, 0.0152, 0.05),
    total=Deviation(28.5, 0.9993, 0.01, 0.07), channel_bias=-0.2, weights_db=42.0, cost=0.75, cost_db=30.0,
    changed=1, channels=16, constant_channels=2, lost_channels=0,
    spoiled=Spoiled((ChannelRange(7, -1.3, 6.4),), 4.5),
)  # fmt: skip
EXACT = Deviation(None, 1.0, 0.0, 0.0)
INSPECTION = Inspection(
    samples=64,
    costed_samples=32,
    layers=(
        replace(
            CONV_INSPECTED, name="picture", operator="INPUT", own=EXACT, total=EXACT,
            cost=0.0, cost_db=None, changed=0, weights_db=None, spoiled=None,
        ),
        CONV_INSPECTED,
        replace(CONV_INSPECTED, name="dense", operator="FULLY_CONNECTED", cost=0.25, spoiled=None),
    ),
    judged=("dense/BiasAdd",),
    output_db=27.6,
    explained=0.9649,
    predicted=(0, 1, 2, 2),
    predicted_float=(0, 1, 2, 0),
    without_float="",
    unmatched=(),
)  # fmt: skip
FINDINGS = (
    Finding("W_SATURATED", "conv2d", "3.2 % of the values of layer conv2d lie beyond.", "Calibrate again."),
)


@dataclass(frozen=True)
class Sample:
    """Keyword arguments of make_report, and what to expect of it."""

    inputs: dict[str, Any] = field(default_factory=dict)

    def but(self, **changes: Any) -> Sample:
        return Sample({**self.inputs, **changes})


OUTPUTS = compare_outputs(
    EXPECTED.view(np.uint8), EXPECTED, reference="TFLite's reference kernels (BUILTIN_REF)", program=PROGRAM
)

CHOICES = Choices(
    "balanced",
    TradeOff(1_250_000.0, ARENA_BYTES, 9_000, 20_000),
    (
        TradeOff(1_000_000.0, 8_192, 30_000, 40_000),
        TradeOff(1_250_000.0, ARENA_BYTES, 9_000, 20_000),
        TradeOff(2_400_000.0, 3_000, 3_000, 19_900),
    ),
)

FULL = Sample(
    {
        "program": PROGRAM,
        "board": L4R5,
        "firmware": LINKED,
        "run_firmware": RAN,
        "run_board": MPS2,
        "measurement": measurement(),
        "outputs": OUTPUTS,
        "prediction": PREDICTION,
        "float_analysis": analysis("float32", 4),
        "quantized_analysis": analysis("int8", 1),
        "quantized": QUANTIZED,
        "inspection": INSPECTION,
        "classifications": CLASSIFICATIONS,
        "choices": CHOICES,
        "provenance": {
            "model": "small_net.keras",
            "model SHA-256": "ab" * 32,
            "samples": "CIFAR-10 (keras.datasets), test images 0 to 3",
            "command": ["stm32-deploy", "deploy", "small_net.keras", "--board", "nucleo_l4r5zi"],
            "stm32-deploy": "0.1.0",
        },
    }
)
"""Linked for one board, run on another, with labels."""

FOUND = FULL.but(findings=FINDINGS)
"""Something about the quantization wants a look."""

SAME_BOARD = FULL.but(
    board=MPS2, firmware=RAN, run_firmware=None, run_board=None
)  # the linked image is the one that ran

UNLABELLED = FULL.but(classifications=())


def differing() -> Sample:
    """Sample 2, element 1 is 3 instead of 1; the host build's layer 1 has it already."""
    wrong = EXPECTED.copy()
    wrong[2, 1] = 3
    good = {(2, layer): np.zeros(PROGRAM.calls[layer].writes.shape, np.int8) for layer in range(6)}
    dumped = {key: value.copy() for key, value in good.items()}
    dumped[2, 1].reshape(-1)[17] = -7
    dumped[2, 2].reshape(-1)[17:20] = (-7, 2, 2)
    outputs = compare_outputs(
        wrong.view(np.uint8),
        EXPECTED,
        reference="TFLite's reference kernels (BUILTIN_REF)",
        layer_dumps=dumped,
        expected_layers=good,
        program=PROGRAM,
    )
    return FULL.but(outputs=outputs, measurement=measurement(wrong))


HOSTILE = "<b>&\"'|*_`](javascript:x)\n#{{ 7*7 }}{% raw %}--></style></script>"


def hostile() -> Sample:
    """Every name from outside is an attempt to break out of the page or the table."""
    place = replace(SCORES, tensor=HOSTILE)
    last = PROGRAM.calls[5]
    layer = replace(last.layers[0], name=HOSTILE, operator=HOSTILE, writes=place, fused=(HOSTILE,))
    calls = (*PROGRAM.calls[:5], replace(last, layers=(layer,), writes=place, live=(LOGITS, place)))
    program = replace(PROGRAM, name=HOSTILE, calls=calls, outputs=(place,))
    symbol = Symbol(HOSTILE, 5_000, "flash", "harness", HOSTILE)
    linked = replace(
        LINKED, symbols=(symbol, *LINKED.symbols), toolchain=HOSTILE, flags=(HOSTILE,), digest=HOSTILE
    )
    inspection = replace(
        INSPECTION,
        layers=tuple(replace(each, name=HOSTILE, operator=HOSTILE) for each in INSPECTION.layers),
        unmatched=(HOSTILE,),
    )
    calibration = Calibration(HOSTILE, 1, (TensorRange(HOSTILE, 0, 1, 1, 0, 0.5),), (HOSTILE,))
    return FULL.but(
        program=program,
        board=replace(L4R5, name=HOSTILE, title=HOSTILE),
        inspection=inspection,
        findings=(Finding("W_DEAD", HOSTILE, HOSTILE, HOSTILE),),
        run_board=replace(MPS2, title=HOSTILE),
        firmware=linked,
        measurement=measurement(runner=HOSTILE, board=HOSTILE, counter=HOSTILE, notes=(HOSTILE,)),
        outputs=replace(differing().inputs["outputs"], reference=HOSTILE, remark=HOSTILE),
        quantized=replace(QUANTIZED, calibration=calibration, sha256=HOSTILE),
        classifications=tuple(
            replace(c, subject=HOSTILE, classes=tuple(replace(k, name=HOSTILE) for k in c.classes))
            for c in CLASSIFICATIONS
        ),
        provenance={HOSTILE: HOSTILE, "list": [HOSTILE, HOSTILE]},
        prediction=replace(PREDICTION, basis={"flash_bytes": HOSTILE}),
    )
