"""The generated <model>_preprocess.h, compiled for this computer, against TFLite and exact arithmetic."""

from __future__ import annotations

import ctypes
import math
import re
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.boards import load_board
from pipeline.border import thousandths
from pipeline.config import Settings
from pipeline.deploy import generate
from pipeline.load import Preprocessing
from pipeline.quantize import QuantizedModel
from pipeline.quantize.predict import quantize_input
from tests.property.c_kernels import WARNINGS
from tests.property.oracle import run_reference
from tests.property.tflite_builder import Spec, build
from tests.tflite_chains import Chain, clamped_convolution

SHAPE = (1, 2, 2, 3)
AS_CAMERAS = Preprocessing(scale=1 / 255, of_bytes=True)


TYPES = {
    "int8_t": ctypes.c_int8, "uint8_t": ctypes.c_uint8, "int16_t": ctypes.c_int16, "int32_t": ctypes.c_int32,
    "float": ctypes.c_float, "void": None,
}  # fmt: skip


class Header:
    """The functions of one header, called as attributes: `header.net_input_quantize(0.5)`."""

    def __init__(
        self, folder: Path, tflite: bytes, *preprocessings: Preprocessing, settings: Settings | None = None
    ) -> None:
        quantized = QuantizedModel("net", tflite, None, None, "")
        board = load_board("qemu_mps2_an386")
        tree = generate(quantized, board, settings or Settings(), preprocessings).tree
        self.text = tree.files["model/net_preprocess.h"]
        (folder / "net_preprocess.h").write_text(self.text)
        self.functions = re.findall(r"static inline (\w+) (\w+)\((.*)\)", self.text)
        source = '#include "net_preprocess.h"\n'
        for kind, name, arguments in self.functions:
            passed = ", ".join(argument.split()[-1].lstrip("*") for argument in arguments.split(","))
            returned = "" if kind == "void" else "return "
            source += f"{kind} c_{name}({arguments});\n"
            source += f"{kind} c_{name}({arguments}) {{ {returned}{name}({passed}); }}\n"
        (folder / "net.c").write_text(source)
        library = folder / "net.so"
        subprocess.run(
            ["gcc", *WARNINGS, "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all", "-shared", "-fPIC",
             "-o", str(library), str(folder / "net.c")],
            check=True,
        )  # fmt: skip
        library = ctypes.CDLL(str(library))
        for kind, name, arguments in self.functions:
            function = getattr(library, f"c_{name}")
            function.restype = TYPES[kind]
            function.argtypes = [
                ctypes.c_void_p if "*" in argument else TYPES[argument.split()[0]]
                for argument in arguments.split(",")
            ]
            setattr(self, name, function)

    def quantize(self, reals: np.ndarray) -> list[int]:
        return [self.net_input_quantize(float(x)) for x in reals]

    def bytes(self, bytes_: np.ndarray, dtype: type = np.int8) -> np.ndarray:
        made = np.empty(bytes_.shape, dtype)
        self.net_input_from_bytes(bytes_.ctypes.data, made.ctypes.data)
        return made


def relu(scale: float, zero: int) -> bytes:
    return build("RELU", None, [Spec(SHAPE, "int8", scale, zero)], Spec(SHAPE, "int8", scale, zero))


def tflite_quantize(reals: np.ndarray, scale: float, zero: int) -> list[int]:
    model = build("QUANTIZE", None, [Spec(reals.shape, "float32")], Spec(reals.shape, "int8", scale, zero))
    return run_reference(model, [reals]).tolist()


def reals_around(scale: float, zero: int) -> np.ndarray:
    """Every tie and its neighbours, the integers themselves, and what lies far outside of them."""
    integers = np.arange(-130, 131).astype(np.float32) - np.float32(zero)
    ties = (integers + np.float32(0.5)) * np.float32(scale)
    near = [np.nextafter(ties, np.float32(sign * np.inf), dtype=np.float32) for sign in (-1, 1)]
    tiny = np.array([0.0, -0.0, 1e-45, -1e-45, 0.49999997 * scale, -0.49999997 * scale], np.float32)
    far = np.array([1.0, -1.0, 1e3, -1e3], np.float32) * np.float32(scale) * 300
    return np.concatenate([integers * np.float32(scale), ties, *near, tiny, far]).astype(np.float32)


# Each example is compiled, so that making one smaller takes longer than reading it.
@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    scale=st.floats(2**-14, 8, width=32),
    zero=st.integers(-128, 127),
    byte_scale=st.sampled_from([1.0, 1 / 255, 1 / 127.5, 2 / 255]),
    byte_offset=st.sampled_from([0.0, -1.0, -128.0, 0.5]),
    seed=st.integers(0, 2**31),
)
def test_the_header_does_what_tflite_does(tmp_path_factory, scale, zero, byte_scale, byte_offset, seed):
    preprocessing = Preprocessing(scale=byte_scale, offset=byte_offset, of_bytes=True)
    header = Header(tmp_path_factory.mktemp("header"), relu(scale, zero), preprocessing)
    rng = np.random.default_rng(seed)
    spread = rng.normal(0, 200 * scale, 200).astype(np.float32)
    reals = np.concatenate([reals_around(scale, zero), spread])
    assert header.quantize(reals) == tflite_quantize(reals, scale, zero)
    # as the bytes of the samples were quantized
    all_bytes = np.arange(256, dtype=np.uint8)
    detail = {"dtype": np.int8, "quantization": (scale, zero)}
    (expected,) = quantize_input(preprocessing.apply(all_bytes)[None], detail)
    assert [header.net_input_from_byte(int(byte)) for byte in all_bytes] == expected.tolist()
    integers = np.arange(-128, 128).astype(np.int8)
    dequantize = build("DEQUANTIZE", None, [Spec((256,), "int8", scale, zero)], Spec((256,), "float32"))
    scores = [header.net_output_score(int(q)) for q in integers]
    assert scores == run_reference(dequantize, [integers]).tolist()
    for q in range(-128, 128):
        exact = 1000 * Fraction(float(np.float32(scale))) * (q - zero)
        nearest = (exact + Fraction(1, 2)).__floor__()
        assert header.net_output_permille(q) == nearest


def test_what_is_no_number_and_what_has_no_end(tmp_path):
    header = Header(tmp_path, relu(0.5, 3), Preprocessing())
    reals = np.array([np.nan, -np.nan, np.inf, -np.inf, 3.4e38, -3.4e38], np.float32)
    assert header.quantize(reals) == [-128, -128, 127, -128, 127, -128]


def test_bytes_that_only_move_need_no_table(tmp_path):
    header = Header(tmp_path, relu(1 / 255, -128), AS_CAMERAS)
    assert "return (int8_t)(byte - 128);" in header.text
    assert "of_byte" not in header.text
    picture = np.arange(12, dtype=np.uint8) * 23
    assert header.bytes(picture).tolist() == (picture.astype(int) - 128).tolist()


def test_channels_are_reversed_where_the_model_takes_blue_first(tmp_path):
    header = Header(tmp_path, relu(1 / 255, -128), Preprocessing(scale=1 / 255, bgr=True, of_bytes=True))
    picture = np.arange(12, dtype=np.uint8)
    expected = picture.reshape(4, 3)[:, ::-1].reshape(-1).astype(int) - 128
    assert header.bytes(picture).tolist() == expected.tolist()


def test_the_examples_in_the_comment_are_right(tmp_path):
    header = Header(tmp_path, relu(0.05, 3), Preprocessing(scale=1 / 127.5, offset=-1, of_bytes=True))
    assert header.net_input_from_byte(200) == 14
    assert "the byte 200 is 0.568627596f, and becomes 14." in header.text
    assert header.quantize(np.array([0.25]))[0] == 8
    assert "the real number 0.25 becomes 8." in header.text
    assert header.net_output_permille(64) == 3050
    assert f"64 is {header.net_output_score(64):.9g}f, or 3050 thousandths." in header.text


def test_samples_that_are_no_bytes_say_nothing_of_bytes(tmp_path):
    header = Header(tmp_path, relu(0.05, 3), Preprocessing())
    assert "from_byte" not in header.text
    assert "nobody knows what a byte becomes" in header.text


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_borders_of_other_types(tmp_path, dtype):
    """dtype -> QUANTIZE -> RELU -> DEQUANTIZE or QUANTIZE -> dtype."""
    chain = Chain()
    quantization = {} if dtype == "float32" else {"scale": 1 / 127.5, "zero_point": 128}
    x, y = (chain.tensor(name, SHAPE, dtype, **quantization) for name in "xy")
    a, b = (chain.tensor(name, SHAPE, scale=1 / 127.5, zero_point=0) for name in "ab")
    chain.operator("QUANTIZE", [x], a, schema.QuantizeOptionsT())
    chain.operator("RELU", [a], b)
    last = "DEQUANTIZE" if dtype == "float32" else "QUANTIZE"
    chain.operator(last, [b], y, getattr(schema, f"{last.title()}OptionsT")())
    centred = Preprocessing(scale=1 / 127.5, offset=-1, of_bytes=True)
    header = Header(tmp_path, chain.finish([x], [y]), centred)
    made = [header.net_input_from_byte(byte) for byte in range(256)]
    reals = np.arange(256, dtype=np.float32) * np.float32(1 / 127.5) + np.float32(-1)
    assert header.bytes(np.arange(12, dtype=np.uint8), np.dtype(dtype)).tolist() == made[:12]
    if dtype == "float32":
        assert made == reals.tolist()
        assert [name for _, name, _ in header.functions] == ["net_input_from_byte", "net_input_from_bytes"]
        return
    quotients = np.floor(np.abs(reals * 127.5) + 0.5) * np.sign(reals)
    assert np.abs(np.array(made) - np.clip(quotients + 128, 0, 255)).max() <= 1  # every second one is a tie
    (expected,) = quantize_input(
        centred.apply(np.arange(256, dtype=np.uint8))[None],
        {"dtype": np.uint8, "quantization": (1 / 127.5, 128)},
    )
    assert made == expected.tolist()
    assert header.net_input_quantize(1e9) == 255
    assert header.net_input_quantize(-1e9) == header.net_input_quantize(float("nan")) == 0
    assert header.net_output_permille(255) == 996
    assert header.net_output_score(128) == 0


def test_rows_that_are_fed_one_by_one_are_filled_one_by_one(tmp_path):
    tflite = clamped_convolution(np.random.default_rng(0), 12, (2, 3), ("RELU",), None)
    by_rows = Settings(allocate_input="rows", optimize="ram")
    header = Header(tmp_path, tflite, Preprocessing(scale=0.05, bgr=True, of_bytes=True), settings=by_rows)
    assert "The 24 bytes of a row of the input" in header.text
    row = np.arange(24, dtype=np.uint8)
    made = np.full(30, 99, np.int8)
    header.net_input_from_bytes(row.ctypes.data, made.ctypes.data)
    turned = row.reshape(12, 2)[:, ::-1].reshape(-1).tolist()
    assert made.tolist() == [*(header.net_input_from_byte(byte) for byte in turned), *[99] * 6]


def test_the_headers_can_be_included_from_c_plus_plus(tmp_path):
    tree = generate(
        QuantizedModel("net", relu(1 / 255, -128), None, None, ""),
        load_board("host"),
        Settings(),
        (AS_CAMERAS,),
    ).tree
    for path, text in tree.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "use.cpp").write_text(
        '#include "model/net.h"\n#include "model/net_preprocess.h"\n'
        "int main() {\n"
        "    const uint8_t picture[NET_INPUT_BYTES] = {200};\n"
        "    net_init();\n"
        "    net_input_from_bytes(picture, net_input());\n"
        "    net_run();\n"
        "    return net_output_permille(net_output()[0]) == 784 ? 0 : 1;\n"
        "}\n"
    )
    objects = []
    kernels = [path for path in tree.files if path.startswith("kernels/") and path.endswith(".c")]
    for source in ["model/net.c", "model/net_weights.c", *kernels, "use.cpp"]:
        objects.append(f"{source.replace('/', '_')}.o")
        compiler = ["g++", "-std=c++17"] if source.endswith("cpp") else ["gcc", "-std=c11"]
        command = [*compiler, "-Wall", "-Wextra", "-Werror", "-I.", "-c", source, "-o", objects[-1]]
        subprocess.run(command, cwd=tmp_path, check=True)
    subprocess.run(["g++", *objects, "-o", "use"], cwd=tmp_path, check=True)
    assert subprocess.run([str(tmp_path / "use")], check=False).returncode == 0


def test_each_of_several_inputs_has_its_own_functions(tmp_path):
    inputs = [Spec(SHAPE, "int8", 1 / 255, -128), Spec(SHAPE, "int8", 0.5, 3)]
    tflite = build("ADD", schema.AddOptionsT(), inputs, Spec(SHAPE, "int8", 0.5, 0))
    header = Header(tmp_path, tflite, AS_CAMERAS, Preprocessing())
    assert header.net_input_0_from_byte(200) == 72
    assert header.net_input_1_quantize(-2.0) == -1
    assert not hasattr(header, "net_input_1_from_byte")
    assert header.net_output_score(4) == 2.0


@given(
    mantissa=st.integers(2**23, 2**24 - 1),
    exponent=st.integers(-150, 80),
    integer=st.integers(-(2**16), 2**16),
)
@settings(max_examples=200)
def test_thousandths_are_the_nearest_integers(mantissa, exponent, integer):
    scale = math.ldexp(mantissa, exponent)
    factor, shift, half = thousandths(scale)
    if shift:
        assert abs(integer * factor + half) < 2**63
    exact = 1000 * Fraction(scale) * integer
    assert (integer * factor + half) >> shift == (exact + Fraction(1, 2)).__floor__()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_integers_of_every_type_saturate_at_their_ends(dtype):
    bounds = np.iinfo(dtype)
    (made,) = quantize_input(
        np.array([[1e9, -1e9, 0.0]], np.float32), {"dtype": np.dtype(dtype), "quantization": (0.1, 7)}
    )
    assert made.dtype == dtype
    assert made.tolist() == [bounds.max, bounds.min, 7]
