"""End to end in the simulator: from a model file to a report, bit-exact, with the promised keys."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from pipeline import cli
from pipeline.boards import list_boards, load_board
from pipeline.config import Settings
from pipeline.demand import predict
from pipeline.deploy import build_image, deploy, generate_sources, quantize_file
from pipeline.errors import DoesNotFit, TargetFailed
from pipeline.render import DIGEST_FILE, SourceTree
from tests.property.cases import Dice
from tests.property.test_lstm import lstm
from tests.tflite_chains import Chain, clamped_convolution, convolution_options, pool_options

pytestmark = [pytest.mark.simulator, pytest.mark.toolchain]


def quiet(stage, done, total):
    pass


def deployed(model, folder, board="nucleo_l4r5zi", **settings):
    report, files = deploy(Settings(model=model, board=board, output=folder, **settings), quiet)
    assert all(file.is_file() for file in files)
    return report, json.loads((folder / "report.json").read_text())


def residual_network(rng):
    """Two convolutions around a skip, then pooling, dense and softmax: most operators in one small model."""
    chain = Chain()

    def weights(name, shape, scale, bias_scale):
        w = chain.tensor(f"{name}_w", shape, scale=scale, data=rng.integers(-127, 128, shape))
        b = chain.tensor(
            f"{name}_b", shape[:1], "int32", scale=bias_scale, data=rng.integers(-500, 500, shape[0])
        )
        return [w, b]

    x = chain.tensor("image", (1, 8, 8, 3), scale=1 / 255, zero_point=-128)
    a = chain.tensor("net/first/BiasAdd", (1, 8, 8, 8), scale=0.03, zero_point=-128)
    chain.operator(
        "CONV_2D", [x, *weights("first", (8, 3, 3, 3), 0.01, 0.01 / 255)], a, convolution_options(1, True, 1)
    )
    b = chain.tensor("net/second/BiasAdd", (1, 8, 8, 8), scale=0.05, zero_point=4)
    chain.operator("CONV_2D", [a, *weights("second", (8, 3, 3, 8), 0.01, 0.0003)], b, convolution_options())
    c = chain.tensor("net/sum/add", (1, 8, 8, 8), scale=0.06, zero_point=-20)
    chain.operator("ADD", [a, b], c, schema.AddOptionsT())
    d = chain.tensor("net/pool/AvgPool", (1, 2, 2, 8), scale=0.06, zero_point=-20)
    chain.operator("AVERAGE_POOL_2D", [c], d, pool_options(4, 4))
    e = chain.tensor("net/flatten/Reshape", (1, 32), scale=0.06, zero_point=-20)
    shape = chain.tensor("shape", (2,), "int32", data=np.array([1, 32]))
    chain.operator("RESHAPE", [d, shape], e, schema.ReshapeOptionsT())
    f = chain.tensor("net/dense/BiasAdd", (1, 10), scale=0.1, zero_point=3)
    chain.operator(
        "FULLY_CONNECTED", [e, *weights("dense", (10, 32), 0.02, 0.0012)], f, schema.FullyConnectedOptionsT()
    )
    g = chain.tensor("net/dense/Softmax", (1, 10), scale=1 / 256, zero_point=-128)
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    chain.operator("SOFTMAX", [f], g, options)
    return chain.finish([x], [g])


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.tflite"
    path.write_bytes(residual_network(np.random.default_rng(0)))
    return path


def test_the_image_of_an_stm32_board_is_the_one_that_runs(network, tmp_path):
    report, figures = deployed(network, tmp_path / "out")
    assert report.verdict.level == "green"
    assert figures["outputs"]["samples"] >= 10
    assert figures["outputs"]["differing_elements"] == 0
    assert figures["measured"]["unit"] == "instructions"
    assert figures["measured"]["runner"].startswith("unicorn ")
    assert figures["measured"]["board"] == figures["linked"]["board"] == "nucleo_l4r5zi"
    assert figures["run_image"] is None


@pytest.mark.parametrize("board", [board for board in list_boards() if board.is_stm32], ids=lambda b: b.name)
def test_every_stm32_board_answers_at_its_full_clock(network, tmp_path, request, board):
    """The image that would be flashed: ResNet8 where the real models are at hand, else a smaller network.

    It is built with -Werror.
    """
    shared = request.config.getoption("--shared")
    resnet = Path(shared or "") / "models" / "mlperf_tiny" / "pretrainedResnet_quant.tflite"
    model = resnet if shared and resnet.is_file() else network
    report, _ = deployed(model, tmp_path / "out", board=board.name, inferences=10, estimate_for="none")
    assert "-Werror" in report.linked.flags
    assert (report.outputs.samples, report.outputs.differing_elements) == (10, 0)
    assert report.measured.same_image
    assert report.measured.counter == f"DWT CYCCNT at {board.hclk_hz / 1e6:g} MHz"
    assert report.measured.notes == ()
    assert 0 < report.linked.flash_bytes <= board.flash_bytes
    assert 0 < report.linked.ram_bytes <= board.all_ram_bytes
    assert 0 < report.measured.stack_bytes < board.stack_bytes


@pytest.mark.tensorflow
@pytest.mark.slow
def test_the_reference_model_fits_two_megabytes_and_no_half(reference_model, tmp_path):
    settings = Settings(model=reference_model, samples=reference_model.with_name("cifar10_cnn_samples.npz"))
    int8, *_ = quantize_file(settings, tmp_path / "cifar10_cnn.tflite", quiet)
    report, _ = deployed(int8, tmp_path / "out", board="nucleo_l4r5zi", inferences=10, estimate_for="none")
    assert report.outputs.differing_elements == 0
    assert report.measured.counter == "DWT CYCCNT at 120 MHz"
    with pytest.raises(DoesNotFit) as raised:
        deployed(int8, tmp_path / "small", board="nucleo_f446re")
    assert "nucleo_f446re has 524,288" in raised.value.problem
    assert {"nucleo_l4r5zi", "nucleo_f767zi"} <= set(re.findall(r"nucleo_\w+", raised.value.hint))
    assert "nucleo_f401re" not in raised.value.hint


def test_the_virtual_board_counts_as_qemu_does(network, tmp_path):
    virtual, simulated = (
        deployed(network, tmp_path / runner, runner=runner)[1]["measured"] for runner in ("unicorn", "qemu")
    )
    assert simulated["board"] == "qemu_mps2_an386"
    assert virtual["count"] == pytest.approx(simulated["count"], rel=1e-3)


def test_an_stm32_board_is_linked_and_its_core_simulated(network, tmp_path):
    report, figures = deployed(network, tmp_path / "out", runner="qemu")
    assert report.verdict.level == "green"
    assert figures["outputs"]["samples"] >= 10
    assert figures["outputs"]["differing_elements"] == 0
    assert figures["outputs"]["elements"] == figures["outputs"]["samples"] * 10
    assert figures["measured"]["unit"] == "instructions"
    assert figures["measured"]["board"] == "qemu_mps2_an386"
    assert figures["linked"]["board"] == "nucleo_l4r5zi"
    assert figures["measured"]["count"] > figures["model"]["macs"]  # loads, rounding and stores besides
    assert figures["linked"]["flash_bytes"] > 4000
    assert figures["linked"]["ram_bytes"] > figures["arena_bytes"] > 0
    assert figures["predicted"]["flash_bytes"] > 0
    assert figures["schema_version"] == 2


def test_the_reshape_is_no_layer_and_softmax_works_in_place(network, tmp_path):
    _, figures = deployed(network, tmp_path / "out", board="qemu_mps2_an386")
    assert [layer["name"] for layer in figures["layers"]] == [
        "first",
        "second",
        "sum",
        "pool",
        "dense",
        "dense_softmax",
    ]
    # first and second of 512 bytes each: the sum is written over one of them
    scratch = max(layer["scratch_bytes"] for layer in figures["layers"])
    assert 2 * 8 * 8 * 8 <= figures["arena_bytes"] <= 2 * 8 * 8 * 8 + scratch


def test_the_same_counts_at_every_run(network, tmp_path):
    counts = [
        deployed(network, tmp_path / folder, board="qemu_mps2_an386", timed_runs=2)[1]["measured"]
        for folder in ("one", "two")
    ]
    assert counts[0]["count"] == counts[1]["count"]
    assert len(set(counts[0]["runs"])) == 1


def test_every_part_of_the_report_is_the_same_at_every_run(network, tmp_path):
    for folder in ("one", "two"):
        deployed(network, tmp_path / folder)
    for name in ("report.html", "report.md", "report.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("board", "optimize"),
    [
        ("qemu_mps2_an386", "time"),
        ("qemu_mps2_an386", "ram"),
        ("qemu_mps2_an386", "flash"),
        ("qemu_mps2_an386", "balanced"),
        ("qemu_mps2_an500", "time"),
        ("qemu_mps2_an505", "time"),
    ],
)
def test_every_aim_is_bit_exact(network, tmp_path, board, optimize):
    """On M4, M7 and M33, by the same kernels."""
    _, figures = deployed(network, tmp_path / "out", board=board, optimize=optimize)
    assert figures["outputs"]["differing_elements"] == 0
    assert any(layer["kernel"].startswith("cortex_m4/") for layer in figures["layers"])


@pytest.mark.parametrize("board", ["qemu_mps2_an500", "qemu_mps2_an505"])
def test_a_trained_model_on_an_m7_and_an_m33(shared, tmp_path, board):
    model = shared / "models" / "mlperf_tiny" / "pretrainedResnet_quant.tflite"
    _, figures = deployed(model, tmp_path / "out", board, optimize="time", inferences=3)
    assert figures["outputs"]["differing_elements"] == 0
    plain = [layer["operator"] for layer in figures["layers"] if layer["kernel"].startswith("portable/")]
    assert set(plain) <= {"FULLY_CONNECTED", "SOFTMAX"}


@pytest.mark.parametrize("board", ["nucleo_l4r5zi", "qemu_mps2_an500"])
def test_an_input_that_is_fed_row_by_row(network, tmp_path, board):
    report, figures = deployed(network, tmp_path / "out", board, optimize="ram", allocate_input="rows")
    assert report.verdict.level == "green"
    assert figures["outputs"]["differing_elements"] == 0
    (header,) = tmp_path.rglob("network.h")
    assert "network_feed_row(const int8_t *row); /* 24 bytes */" in header.read_text()
    assert "network_run" not in header.read_text()


def test_on_the_host_the_same_code_gives_the_same_integers(network, tmp_path):
    _, figures = deployed(network, tmp_path / "out", board="host")
    assert figures["outputs"]["differing_elements"] == 0
    assert figures["measured"]["unit"] == "host nanoseconds"


def test_a_boards_strips_are_single_layers_on_the_host(network, tmp_path):
    """Its kernels work row by row, the portable ones do not: other steps, the same layers and integers."""
    report, figures = deployed(network, tmp_path / "out", runner="host")
    assert any(len(step["layers"]) > 1 for step in figures["steps"])
    assert all(step["count"] is not None for step in figures["steps"])
    assert figures["outputs"]["differing_elements"] == 0
    assert report.verdict.failures == ()
    (arena,) = (row for row in figures["figures"] if row["key"] == "arena")
    assert arena["measured"] is None


@pytest.mark.parametrize("reach", [0.05, 0.5], ids=["all alike", "as calibrated"])
def test_what_is_odd_about_samples_is_a_caution(network, tmp_path, reach):
    x = 0.5 + reach * np.random.default_rng(1).uniform(-1, 1, (20, 8, 8, 3))
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    _, figures = deployed(network, tmp_path / "out", board="host", samples=tmp_path / "x.npy")
    found = [finding["code"] for finding in figures["quantization"]["findings"]]
    assert ("W_INPUT_RANGE" in found) is (reach < 0.1)
    assert figures["outputs"]["differing_elements"] == 0
    cautions = " ".join(figures["verdict"]["cautions"])
    assert ("range that input image was calibrated for, 0 to 1" in cautions) is (reach < 0.1)
    layers = figures["quantization"]["inspection"]["layers"]
    assert [layer["name"] for layer in layers[:4]] == ["image", "first", "second", "sum"]


def test_a_wrong_kernel_is_found_and_its_layer_named(network, tmp_path, monkeypatch):
    from pipeline import deploy as module

    render = module.render_sources

    def sabotaged(program, board, **options):
        tree = render(program, board, **options)
        source = tree.files["kernels/portable/add_body.h"]
        broken = source.replace("p->output_zero", "p->output_zero + 1")
        assert broken != source
        changed = SourceTree({**tree.files, "kernels/portable/add_body.h": broken})
        digest = tree.files[DIGEST_FILE].replace(tree.digest, changed.digest)
        return SourceTree({**changed.files, DIGEST_FILE: digest})

    monkeypatch.setattr(module, "render_sources", sabotaged)
    report, figures = deployed(network, tmp_path / "out", board="host")
    assert report.verdict.level == "red"
    assert figures["outputs"]["differing_elements"] > 0
    assert figures["outputs"]["first"]["layer_name"] == "sum"
    assert figures["outputs"]["first"]["measured"] != figures["outputs"]["first"]["expected"]


def test_an_image_of_other_sources_is_not_measured(network, tmp_path, monkeypatch):
    from pipeline import deploy as module

    render = module.render_sources

    def changed(program, board, **options):
        tree = render(program, board, **options)
        return SourceTree({**tree.files, "harness/main.c": f"/* other */\n{tree.files['harness/main.c']}"})

    monkeypatch.setattr(module, "render_sources", changed)
    with pytest.raises(TargetFailed) as caught:
        deployed(network, tmp_path / "out", board="host")
    assert caught.value.code == "E_IMAGE_STALE"


def test_the_command_ends_with_its_verdict(network, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys, "argv", ["stm32-deploy", "deploy", str(network), "-o", str(tmp_path / "o"), "--format", "json"]
    )
    assert cli.main() == 0
    assert json.loads(capsys.readouterr().out)["outputs"]["differing_elements"] == 0
    monkeypatch.setattr(sys, "argv", ["stm32-deploy", "report", str(tmp_path / "o")])
    assert cli.main() == 0
    assert "report.html" in capsys.readouterr().out


@pytest.mark.parametrize("pool", [None, (2, 2), (3, 1)])
def test_clamped_and_pooled_convolutions(tmp_path, pool):
    path = tmp_path / "chain.tflite"
    path.write_bytes(clamped_convolution(np.random.default_rng(3), 9, (3, 7), ("MAXIMUM", "MINIMUM"), pool))
    _, figures = deployed(path, tmp_path / "out", board="qemu_mps2_an386")
    assert figures["outputs"]["differing_elements"] == 0


def test_an_lstm_begins_each_inference_anew(tmp_path):
    path = tmp_path / "memory.tflite"
    path.write_bytes(lstm(Dice(3, 8))[0])
    _, figures = deployed(path, tmp_path / "out", board="qemu_mps2_an386", inferences=4)
    assert figures["layers"][0]["scratch_bytes"] > 0  # the cell state
    assert figures["outputs"]["samples"] == 4
    assert figures["outputs"]["differing_elements"] == 0


TRAINED = ["pretrainedResnet_quant", "kws_ref_model", "ad01_int8"]


@pytest.mark.parametrize("name", TRAINED)
def test_trained_int8_models_are_bit_exact(shared, tmp_path, name):
    _, figures = deployed(trained(shared, name), tmp_path / "out", inferences=10)
    assert figures["outputs"]["samples"] == 10
    assert figures["outputs"]["differing_elements"] == 0


@pytest.mark.parametrize(
    ("name", "optimize", "kibibytes"),
    [
        ("pretrainedResnet_quant", "time", 28),
        ("pretrainedResnet_quant", "balanced", 28),
        ("kws_ref_model", "time", 20),
        ("kws_ref_model", "balanced", 20),
        ("ad01_int8", "time", 10),
        ("ad01_int8", "balanced", 10),
    ],
)
def test_code_besides_weights(shared, tmp_path, name, optimize, kibibytes):
    settings = Settings(
        model=trained(shared, name), board="nucleo_l4r5zi", output=tmp_path / "out", optimize=optimize
    )
    generated, firmware = build_image(settings, quiet)
    assert firmware.code_bytes <= kibibytes * 1024
    predicted = predict(generated.program, generated.schedule, load_board(settings.board), None, optimize)
    assert predicted.code_bytes == pytest.approx(firmware.code_bytes, rel=0.1)
    assert predicted.code_in_ram_bytes == pytest.approx(firmware.ram_parts["code in RAM"], rel=0.15)
    assert predicted.ram_bytes == pytest.approx(firmware.ram_bytes, rel=0.03)
    # A routine without .size is in no table, nor in what its kernel is known to take.
    named = sum(symbol.bytes for symbol in firmware.symbols if symbol.part == "code in RAM")
    assert named == pytest.approx(firmware.ram_parts["code in RAM"], rel=0.03)


def parameter_bytes(path):
    """Weights and biases as the file has them, and for each scale a multiplier of four bytes and a shift."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes()))
    graph, total = model.subgraphs[0], 0
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        if max(code.builtinCode, code.deprecatedBuiltinCode) in (
            schema.BuiltinOperator.CONV_2D,
            schema.BuiltinOperator.DEPTHWISE_CONV_2D,
            schema.BuiltinOperator.FULLY_CONNECTED,
        ):
            weights, bias = (graph.tensors[index] for index in operator.inputs[1:3])
            total += sum(len(model.buffers[each.buffer].data) for each in (weights, bias))
            total += 5 * len(weights.quantization.scale)
    return total


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("optimize", ["ram", "flash"])
def test_weights_take_no_more_than_the_parameters(shared, tmp_path, name, optimize):
    """Tables of other layers, such as softmax's, among them."""
    path = trained(shared, name)
    settings = Settings(model=path, board="nucleo_l4r5zi", output=tmp_path / "out", optimize=optimize)
    _, firmware = build_image(settings, quiet)
    assert parameter_bytes(path) <= firmware.weights_bytes <= 1.02 * parameter_bytes(path)


def test_what_an_aim_may_cost_of_another(shared, tmp_path):
    """Predicted cycles, and the planned arena, of ResNet8 for NUCLEO-L4R5ZI."""
    cycles, arena = {}, {}
    for aim in ("time", "ram", "balanced"):
        settings = Settings(
            model=trained(shared, "pretrainedResnet_quant"),
            board="nucleo_l4r5zi",
            output=tmp_path / aim,
            optimize=aim,
        )
        _, generated = generate_sources(settings, quiet)
        cycles[aim] = sum(step.cycles for step in generated.schedule.steps)
        arena[aim] = generated.program.arena_bytes
    assert arena["ram"] < 18_000
    # Waiting for code in flash comes on top of what is predicted of it.
    assert cycles["ram"] < 2.2 * cycles["time"] / 1.03
    assert cycles["balanced"] < 1.25 * cycles["time"]
    assert arena["balanced"] < 1.5 * arena["ram"]


def trained(shared, name):
    return shared / "models" / "mlperf_tiny" / f"{name}.tflite"
