"""Models with several inputs and outputs: named C functions, one reference, any memory."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from pipeline.config import Settings
from pipeline.deploy import deploy, generate_sources
from tests.tflite_chains import Chain

pytestmark = [pytest.mark.simulator, pytest.mark.toolchain]


def quiet(stage, done, total):
    pass


@pytest.fixture
def network(tmp_path):
    """left + right, that sum clamped, the sum under another shape, and an input that is an output as well."""
    chain = Chain()
    left, right, total = (
        chain.tensor(name, (1, 2, 3, 4), scale=scale, zero_point=zero)
        for name, scale, zero in (("a", 0.1, 3), ("b", 0.2, -7), ("c", 0.15, 1))
    )
    chain.operator("ADD", [right, left], total, schema.AddOptionsT())
    flat = chain.tensor("flat", (1, 24), scale=0.15, zero_point=1)
    shape = chain.tensor("shape", (2,), "int32", data=np.array([1, 24]))
    chain.operator("RESHAPE", [total, shape], flat, schema.ReshapeOptionsT())
    clamped = chain.tensor("d", (1, 2, 3, 4), scale=0.15, zero_point=1)
    chain.operator("RELU", [total], clamped)
    chain.signature(
        inputs={"right": right, "left": left}, outputs={"clamped": clamped, "flat": flat, "echo": left}
    )
    path = tmp_path / "joined.tflite"
    path.write_bytes(chain.finish([left, right], [clamped, flat, left]))
    return path


@pytest.fixture
def samples(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "samples.npz"
    # Written in another order than the model's: names count.
    np.savez(path, right=rng.normal(0, 4, (4, 2, 3, 4)), left=rng.normal(0, 3, (4, 2, 3, 4)))
    return path


@pytest.mark.parametrize(
    ("board", "inputs", "outputs"),
    [("host", *both) for both in itertools.product(["arena", "outside"], repeat=2)]
    + [("nucleo_l4r5zi", "arena", "arena")],
)
def test_every_output_is_exact_wherever_inputs_and_outputs_lie(
    network, samples, tmp_path, board, inputs, outputs
):
    settings = Settings(
        model=network, board=board, samples=samples, output=tmp_path / "out",
        allocate_input=inputs, allocate_output=outputs, estimate_for="none",
    )  # fmt: skip
    report, _ = deploy(settings, quiet)
    figures = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report.verdict.level == "green", report.verdict.cautions
    assert figures["outputs"]["elements"] == 4 * 3 * 24
    assert figures["outputs"]["differing_elements"] == 0
    assert [(each["name"], each["elements"]) for each in figures["outputs"]["each"]] == [
        ("output_clamped", 96), ("output_flat", 96), ("output_echo", 96),
    ]  # fmt: skip
    assert [place["bytes"] for place in figures["model"]["inputs"]] == [24, 24]
    # The sum is written over what it reads, unless that is kept elsewhere; the left input is an output too.
    held = {"arena": {"arena": 3, "outside": 1}, "outside": {"arena": 2, "outside": 0}}
    assert figures["arena_bytes"] == max(24 * held[inputs][outputs], 4)


def test_c_names_each_input_and_output(network, samples, tmp_path):
    settings = Settings(model=network, board="host", samples=samples, output=tmp_path)
    _, generated = generate_sources(settings, quiet)
    header = generated.tree.files["model/joined.h"]
    for words in (
        "int8_t *joined_input_left(void);",
        "int8_t *joined_input_right(void);",
        "const int8_t *joined_output_clamped(void);",
        "const int8_t *joined_output_flat(void);",
        "#define JOINED_INPUT_RIGHT_ZERO_POINT (-7)",
        "#define JOINED_OUTPUT_FLAT_BYTES 24u",
    ):
        assert words in header
    assert "joined_input(void)" not in header
    deployed = generated.tree.files["model/deployed.c"]
    assert "deployed_input[JOINED_INPUT_LEFT_BYTES + JOINED_INPUT_RIGHT_BYTES]" in deployed


def test_without_names_the_inputs_are_numbered(tmp_path):
    chain = Chain()
    a, b, y = (chain.tensor(name, (1, 4), scale=0.1) for name in ("a", "b", "y"))
    chain.operator("ADD", [a, b], y, schema.AddOptionsT())
    path = tmp_path / "joined.tflite"
    path.write_bytes(chain.finish([a, b], [y]))
    _, generated = generate_sources(Settings(model=path, board="host", output=tmp_path), quiet)
    header = generated.tree.files["model/joined.h"]
    assert "int8_t *joined_input_0(void);" in header
    assert "int8_t *joined_input_1(void);" in header
    assert "const int8_t *joined_output(void);" in header
