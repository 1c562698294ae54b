"""float32 and uint8 at the border: the model itself converts, on the target as on the host."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pipeline.config import Settings
from pipeline.deploy import deploy, load_quantized
from pipeline.errors import UsageError
from tests.architectures.zoo import make

pytestmark = [pytest.mark.tensorflow, pytest.mark.toolchain]


def quiet(stage, done, total):
    pass


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    """The two-input model and its samples."""
    folder = tmp_path_factory.mktemp("joined")
    network, samples = make("two_inputs")
    network.save(folder / "joined.keras")
    np.savez(folder / "samples.npz", **samples)
    return folder / "joined.keras", folder / "samples.npz"


@pytest.mark.parametrize(
    ("input_type", "output_type"), [("uint8", "float32"), ("float32", "uint8"), (None, "uint8")]
)
def test_the_border_has_the_type_that_was_asked_for(joined, tmp_path, input_type, output_type):
    model, samples = joined
    settings = Settings(
        model=model, samples=samples, board="host", output=tmp_path, inferences=4, timed_runs=1,
        input_type=input_type, output_type=output_type, estimate_for="none",
    )  # fmt: skip
    report, _ = deploy(settings, quiet)
    figures = json.loads((tmp_path / "report.json").read_text())
    assert [place["dtype"] for place in figures["model"]["inputs"]] == [input_type or "int8"] * 2
    assert [place["dtype"] for place in figures["model"]["outputs"]] == [output_type]
    assert report.outputs.elements == 4 * 4
    assert report.outputs.differing_elements == 0
    # The model still ends in a softmax, whatever converts its integers.
    assert report.agreement.same_class >= 0.8
    header = (tmp_path / "host" / "src" / "model" / "joined.h").read_text()
    in_c = {"uint8": "uint8_t", "float32": "float", None: "int8_t"}
    assert f"{in_c[input_type]} *joined_input_image(void);" in header
    assert f"const {in_c[output_type]} *joined_output(void);" in header


def test_a_tflite_file_keeps_its_types(joined, tmp_path):
    model, samples = joined
    loaded = load_quantized(Settings(model=model, samples=samples, output_type="float32"), quiet)
    given = tmp_path / "given.tflite"
    given.write_bytes(loaded.quantized.tflite)
    with pytest.raises(UsageError) as caught:
        load_quantized(Settings(model=given, input_type="int8", output_type="int8"), quiet)
    assert caught.value.code == "E_BORDER_TYPE"
    assert len(caught.value.details) == 1
    assert caught.value.details[0].endswith(": float32")
    assert load_quantized(Settings(model=given, output_type="float32"), quiet).name == "given"
