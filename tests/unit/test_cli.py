"""The command line: every bad input ends in one clear error, its exit code, and nothing half-written."""

from __future__ import annotations

import io
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from rich.console import Console

from pipeline import cli, limits
from pipeline.config import Settings
from pipeline.deploy import command_line
from pipeline.errors import UsageError
from tests.conftest import ROOT
from tests.tflite_chains import Chain, clamped_convolution


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command line in an empty folder: (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["stm32-deploy", *map(str, arguments)])
        code = cli.main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.tflite"
    path.write_bytes(clamped_convolution(np.random.default_rng(0), 6, (2, 3), ("RELU",), (2, 2)))
    return path


def tflite_file(tmp_path, build):
    chain = Chain()
    path = tmp_path / "model.tflite"
    path.write_bytes(build(chain))
    return path


def unsupported(chain):
    x, y = (chain.tensor(name, (1, 4), scale=0.1) for name in ("x", "net/strange/Op"))
    chain.operator("SIN", [x], y)
    return chain.finish([x], [y])


def in_float(chain):
    x, y = (chain.tensor(name, (1, 4), "float32") for name in ("x", "y"))
    chain.operator("RELU", [x], y)
    return chain.finish([x], [y])


def no_outputs(chain):
    x, y = (chain.tensor(name, (1, 4), scale=0.1) for name in ("x", "y"))
    chain.operator("RELU", [x], y)
    return chain.finish([x], [])


def dynamic(chain):
    x = chain.tensor("x", (1, 1, 4), scale=0.1, signature=[1, -1, 4])
    y = chain.tensor("y", (1, 1, 4), scale=0.1)
    chain.operator("RELU", [x], y)
    return chain.finish([x], [y])


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (unsupported, "E_OP_UNSUPPORTED"),
        (in_float, "E_MODEL_NOT_INT8"),
        (no_outputs, "E_MODEL_DAMAGED"),
        (dynamic, "E_SHAPE_DYNAMIC"),
        (lambda chain: b"nothing of the kind", "E_MODEL_DAMAGED"),
    ],
)
@pytest.mark.parametrize("verb", ["analyze", "generate", "deploy"])
def test_models_that_cannot_be_carried(run, tmp_path, build, code, verb):
    path = tflite_file(tmp_path, build)
    exit_code, _, err = run(verb, path)
    assert (exit_code, code in err, "try:" in err) == (3, True, True), err
    assert list(tmp_path.iterdir()) == [path], "something was written"


def test_a_missing_model_names_the_nearest_file(run, good):
    code, _, err = run("deploy", good.with_name("god.tflite"))
    assert code == 2
    assert "E_MODEL_MISSING" in err
    assert "good.tflite" in err


def test_a_text_file_called_keras(run, tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("this is no model\n")
    code, _, err = run("deploy", path)
    assert (code, "E_MODEL_DAMAGED" in err) == (3, True), err


def test_no_model_at_all(run):
    code, _, err = run("deploy")
    assert (code, "E_MODEL_MISSING" in err) == (2, True), err


@pytest.mark.parametrize(
    ("array", "code"),
    [
        (np.full((4, 6, 6, 2), np.nan, np.float32), "E_SAMPLES_NAN"),
        (np.zeros((4, 6, 5, 2), np.float32), "E_SAMPLES_SHAPE"),
        (np.array(["a", "b"]), "E_SAMPLES"),
    ],
)
def test_samples_that_cannot_be_right(run, good, tmp_path, array, code):
    np.save(tmp_path / "samples.npy", array)
    exit_code, _, err = run("deploy", good, "--samples", tmp_path / "samples.npy")
    assert (exit_code, code in err) == (2, True), err


def test_an_unknown_board_names_the_nearest(run, good):
    code, _, err = run("deploy", good, "--board", "nucleo_l4r5z")
    assert code == 2
    assert "E_BOARD_UNKNOWN" in err
    assert "nucleo_l4r5zi" in err


def test_an_unknown_runner(run, good):
    code, _, err = run("run", good, "--board", "qemu_mps2_an386", "--runner", "qemo")
    assert (code, "E_RUNNER" in err, "qemu" in err) == (2, True, True), err


@pytest.mark.parametrize(
    ("hidden", "code"), [("arm-none-eabi-gcc", "E_TOOLCHAIN_MISSING"), ("qemu-system-arm", "E_QEMU_MISSING")]
)
def test_a_missing_tool_is_named_before_any_work(run, good, tmp_path, monkeypatch, hidden, code):
    import shutil

    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name, *a, **k: None if hidden in str(name) else which(name, *a, **k)
    )
    exit_code, _, err = run("deploy", good, "--board", "qemu_mps2_an386")
    assert (exit_code, code in err, "apt install" in err) == (4, True, True), err
    assert list(tmp_path.iterdir()) == [good]


def test_a_model_too_large_is_refused_before_the_compiler_runs(run, tmp_path):
    chain = Chain()
    rows, columns = 2048, 1400
    x = chain.tensor("x", (1, columns), scale=0.1)
    w = chain.tensor("w", (rows, columns), scale=0.01, data=np.ones((rows, columns)))
    y = chain.tensor("net/big/MatMul", (1, rows), scale=0.1)
    chain.operator("FULLY_CONNECTED", [x, w], y, schema.FullyConnectedOptionsT())
    path = tmp_path / "big.tflite"
    path.write_bytes(chain.finish([x], [y]))
    code, _, err = run("build", path, "--board", "nucleo_l4r5zi")
    assert (code, "E_DOES_NOT_FIT" in err, "big: 2,8" in err) == (4, True, True), err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("bord = 'x'", "E_CONFIG_KEY", "did you mean `board`"),
        ("inferences = 0", "E_CONFIG_VALUE", "inferences"),
        ("optimize = 'speed'", "E_CONFIG_VALUE", "optimize"),
        ("board = ", "E_CONFIG_SYNTAX", "TOML"),
    ],
)
def test_mistakes_in_deploy_toml(run, good, tmp_path, text, code, word):
    (tmp_path / "deploy.toml").write_text(text)
    exit_code, _, err = run("generate", good)
    assert (exit_code, code in err, word in err) == (2, True, True), err


def test_options_win_over_deploy_toml(run, good, tmp_path):
    (tmp_path / "deploy.toml").write_text('model = "good.tflite"\nboard = "no_such_board"\n')
    code, out, err = run("generate", "--board", "host", "--format", "json", "-o", tmp_path / "made")
    assert code == 0, err
    assert json.loads(out)["layers"] == 1
    assert (tmp_path / "made" / "host" / "src" / "model" / "good.c").is_file()


def test_an_unknown_option_is_a_usage_error(run):
    code, _, err = run("deploy", "--bord", "x")
    assert (code, "E_USAGE" in err) == (2, True), err


def test_a_bug_is_called_one(run, good, monkeypatch):
    from pipeline import deploy

    def broken(*arguments):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(deploy, "analyze_model", broken)
    code, _, err = run("analyze", good)
    assert (code, "E_BUG" in err, "--debug" in err) == (70, True, True), err


def test_a_crash_of_native_code_ends_in_a_sentence():
    program = "import os, sys; from pipeline import cli; cli.main = os.abort; sys.exit(cli.entry())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, "E_NATIVE_CRASH" in done.stderr) == (70, True), done.stderr


def test_a_model_file_that_is_read_for_ever_is_damaged():
    program = (
        "import sys, time; from pipeline import cli, limits\n"
        "limits.READING_SECONDS = 1\n"
        "def main():\n    with limits.limited_time():\n        time.sleep(60)\n"
        "cli.main = main; sys.exit(cli.entry())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, "E_MODEL_DAMAGED" in done.stderr) == (3, True), done.stderr


def test_reading_in_time_leaves_no_alarm_behind(monkeypatch):
    monkeypatch.setattr(limits, "_own_process", True)
    before = signal.getsignal(signal.SIGALRM)
    with limits.limited_time():
        assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    assert (signal.alarm(0), signal.getsignal(signal.SIGALRM)) == (0, before)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_ends_it_and_says_so(number, code):
    program = (
        "import sys, time; from pipeline import cli\n"
        "@cli.app.command()\ndef wait():\n    print('here', flush=True); time.sleep(60)\n"
        "sys.argv = ['x', 'wait']; sys.exit(cli.entry())"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        start_new_session=True,
    )  # fmt: skip
    assert child.stdout.readline() == "here\n"
    child.send_signal(number)
    _, err = child.communicate(timeout=20)
    assert (child.returncode, "interrupted" in err) == (code, True), err


@pytest.mark.parametrize("name", ["model", "deployed", "digest", "float", "main", "harness", "2d"])
def test_any_file_name_makes_sources_that_compile(run, good, name, tmp_path):
    path = good.rename(tmp_path / f"{name}.tflite")
    code, out, err = run("build", path, "--board", "host", "--format", "json", "-o", tmp_path / "out")
    assert code == 0, err
    assert json.loads(out)["flash_bytes"] > 0


def test_a_model_that_computes_nothing_is_refused(run, tmp_path):
    chain = Chain()
    x, y = chain.tensor("x", (1, 4), scale=0.1), chain.tensor("y", (1, 2, 2), scale=0.1)
    shape = chain.tensor("shape", (3,), "int32", data=np.array([1, 2, 2]))
    chain.operator("RESHAPE", [x, shape], y, schema.ReshapeOptionsT())
    path = tmp_path / "shapes.tflite"
    path.write_bytes(chain.finish([x], [y]))
    code, _, err = run("generate", path, "--board", "host")
    assert (code, "E_MODEL_EMPTY" in err) == (3, True), err


@pytest.mark.parametrize(
    ("labels", "code", "said"), [([0, 3], 2, "E_SAMPLES_LABELS"), ([0, 2], 0, "accuracy")]
)
def test_labels_beyond_the_outputs_of_a_tflite_file(run, tmp_path, labels, code, said):
    chain = Chain()
    x = chain.tensor("x", (1, 3), scale=1 / 255, zero_point=-128)
    w = chain.tensor("w", (3, 3), scale=0.01, data=100 * np.eye(3))
    y = chain.tensor("y", (1, 3), scale=0.01)
    chain.operator("FULLY_CONNECTED", [x, w], y, schema.FullyConnectedOptionsT())
    path = tmp_path / "three.tflite"
    path.write_bytes(chain.finish([x], [y]))
    np.savez(tmp_path / "s.npz", x=np.eye(3, dtype=np.float32)[:2], y=np.array(labels))
    exit_code, out, err = run("analyze", path, "--samples", tmp_path / "s.npz")
    assert (exit_code, said in out + err) == (code, True), err


def test_a_bug_shows_its_traceback_on_demand():
    program = (
        "import sys; from pipeline import cli, deploy; deploy.analyze_model = lambda *a: {}['missing'];"
        "sys.argv = ['x', 'analyze', 'y', '--debug']; sys.exit(cli.entry())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, "KeyError: 'missing'" in done.stderr) == (70, True), done.stderr


@pytest.mark.parametrize("output", ["a_file", "a_file/below", "/proc/none"])
def test_an_output_that_cannot_be_written_is_refused(run, good, tmp_path, output):
    (tmp_path / "a_file").write_text("held")
    code, _, err = run("deploy", good, "--board", "host", "-o", tmp_path / output)
    assert (code, "E_OUTPUT" in err) == (2, True), err
    assert (tmp_path / "a_file").read_text() == "held"


def test_analysis_as_json(run, good):
    code, out, _ = run("analyze", good, "--board", "nucleo_l4r5zi", "--format", "json")
    figures = json.loads(out)
    assert code == 0
    assert figures["totals"]["macc"] >= 6 * 6 * 3 * 3 * 2 * 3
    assert figures["fit"]["flash"]["fits"] is True
    assert {"name", "macc", "parameters", "weights_bytes", "weights_share"} <= figures["layers"][0].keys()


def test_analysis_of_labelled_samples_has_their_accuracy(run, tmp_path):
    chain = Chain()
    x = chain.tensor("x", (1, 3), scale=1 / 255, zero_point=-128)
    w = chain.tensor("w", (3, 3), scale=0.01, data=100 * np.eye(3))
    y = chain.tensor("y", (1, 3), scale=0.01)
    chain.operator("FULLY_CONNECTED", [x, w], y, schema.FullyConnectedOptionsT())
    path = tmp_path / "largest.tflite"
    path.write_bytes(chain.finish([x], [y]))
    np.savez(tmp_path / "s.npz", x=np.eye(3, dtype=np.float32)[[0, 1, 2, 2]], y=np.array([0, 1, 2, 0]))
    code, out, err = run("analyze", path, "--samples", tmp_path / "s.npz", "--format", "json")
    assert code == 0, err
    figures = json.loads(out)["accuracy"]
    assert figures["accuracy"] == 0.75
    assert figures["confusion"] == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]
    assert [row["support"] for row in figures["classes"]] == [2, 1, 1]
    code, out, _ = run("analyze", path, "--samples", tmp_path / "s.npz")
    assert (code, "accuracy 0.7500" in out) == (0, True)


def test_boards_and_doctor_as_json(run):
    code, out, _ = run("boards", "--format", "json")
    assert code == 0
    assert {"host", "nucleo_l4r5zi", "qemu_mps2_an386"} <= {board["name"] for board in json.loads(out)}
    _, out, _ = run("doctor", "--format", "json")
    assert {"name", "found", "how"} <= json.loads(out)[0].keys()


@pytest.mark.parametrize("verb", ["boards", "doctor", "analyze"])
def test_verbs_without_keras_do_not_import_tensorflow(verb, good):
    program = (
        "import sys; from pipeline import cli; sys.argv[1:] = sys.argv[2:]; cli.main(); "
        "print([m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'keras', 'tf_keras')])"
    )
    model = [str(good)] if verb == "analyze" else []
    done = subprocess.run(
        [sys.executable, "-c", program, "", verb, *model],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_generated_bytes_do_not_depend_on_when_or_where(run, good, tmp_path):
    for folder in ("one", "two"):
        assert run("generate", good, "--board", "nucleo_l4r5zi", "-o", tmp_path / folder)[0] == 0
    one, two = (
        {
            p.relative_to(tmp_path / f): p.read_bytes()
            for p in sorted((tmp_path / f).rglob("*"))
            if p.is_file()
        }
        for f in ("one", "two")
    )
    assert one == two
    assert not any(str(tmp_path).encode() in content for content in one.values())


# --- a board's serial line --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("board", "baud", "words"),
    [
        ("nucleo_l4r5zi", 1_000_000, "1000000 is more than the 921600"),
        ("qemu_mps2_an386", 3_000_000, "more than the 921600"),
        # 42 MHz / 46 and / 47: both more than one percent away.
        ("nucleo_f401re", 903_226, "the nearest that USART2 makes from 42 MHz is 913043"),
    ],
)
def test_a_baud_rate_that_the_board_does_not_have(run, good, board, baud, words):
    code, _, err = run("deploy", good, "--board", board, "--baud", baud)
    assert code == 2
    assert "E_BAUD" in err
    assert words in err
    assert "921600" in err


@pytest.mark.parametrize(
    ("option", "value"), [("--port", "/dev/ttyACM0"), ("--probe", "066BFF"), ("--place", "rack-3")]
)
@pytest.mark.parametrize("runner", [(), ("--runner", "unicorn")])
def test_an_option_of_the_serial_line_without_its_runner(run, good, option, value, runner):
    code, _, err = run("deploy", good, option, value, *runner)
    assert code == 2
    assert "E_OPTION_UNUSED" in err
    assert option in err
    assert "--runner serial" in err


def test_a_port_in_the_settings_waits_for_its_day(run, good, tmp_path):
    (tmp_path / "deploy.toml").write_text('port = "/dev/ttyACM0"\nboard = "nowhere"\n')
    _, _, err = run("deploy", good)
    assert "E_BOARD_UNKNOWN" in err


def test_a_port_and_a_place(run, good):
    code, _, err = run("deploy", good, "--runner", "serial", "--port", "socket://rack:1", "--place", "rack-3")
    assert code == 2
    assert "E_PORT_AND_PLACE" in err


# --- bench ------------------------------------------------------------------------------------------


def test_bench_finds_its_model_from_any_folder(run, monkeypatch):
    from pipeline.bench import table

    asked = []

    def note(model, samples, aim, progress):
        asked.append((model, samples))
        raise UsageError("enough", code="E_ENOUGH")

    monkeypatch.setattr(table, "_bench", note)
    assert "E_ENOUGH" in run("bench")[2]
    assert all(path.is_file() for path in asked[0])


def test_inspecting_an_int8_file(run, good, tmp_path):
    code, out, err = run("quantize", good, "--inspect", "-o", tmp_path / "copy.tflite")
    assert code == 0, err
    assert "without samples there is nothing to inspect" in out
    x = np.random.default_rng(0).uniform(-6, 6, (12, 6, 6, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    code, out, err = run(
        "quantize", good, "--inspect", "--samples", tmp_path / "x.npy", "-o", tmp_path / "copy.tflite"
    )
    assert code == 0, err
    assert "no float model to hold it against" in out
    assert "CONV_2D RELU" in out
    assert "MAX_POOL_2D" in out


@pytest.mark.tensorflow
def test_inspecting_a_keras_model(run, tmp_path):
    keras = pytest.importorskip("keras")
    flat = keras.layers.Flatten(name="flat")
    layers = [keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3, name="conv"), flat]
    keras.Sequential([*layers, keras.layers.Dense(3, activation="softmax", name="out")]).save(
        tmp_path / "m.keras"
    )
    x = np.random.default_rng(0).random((40, 6, 6, 3)).astype(np.float32)
    np.savez(tmp_path / "s.npz", x=x, x_train=x[..., ::-1] / 4)
    code, out, err = run("quantize", tmp_path / "m.keras", "--inspect", "--samples", tmp_path / "s.npz")
    assert code == 0, err
    assert "what costs most: " in out
    assert "W_PREPARATION" in out
    code, out, err = run(
        "quantize", tmp_path / "m.keras", "--samples", tmp_path / "s.npz", "--format", "json"
    )
    found = json.loads(out)
    assert found["findings"][0]["code"] == "W_PREPARATION"
    layers = found["inspection"]["layers"]
    assert [layer["name"] for layer in layers[1:]] == ["conv", "flat", "out", "out_softmax"]
    assert sum(layer["cost"] or 0 for layer in layers) == pytest.approx(1)


# Other than by default, each; only where things stand, and what is allowed, changes no figure.
UNUSUAL = {
    "model": Path("model.keras"), "board": "host", "runner": "host", "samples": Path("test images.npz"),
    "estimate_for": "none", "optimize": "ram", "max_ram": 1000, "max_flash": 2000, "allocate_input": "rows",
    "allocate_output": "outside", "code_in_ram": "never", "weights_region": "sram2", "input_type": "uint8",
    "output_type": "float32", "inferences": 5, "timed_runs": 7, "evaluate": 11, "baud": 230_400,
    "preprocess": "scale=1/255,offset=0", "recipe": "equalize+train", "calibration_samples": 13,
    "training": Path("train.npz"), "epochs": 4,
}  # fmt: skip
CHANGES_NO_FIGURE = {"output", "port", "probe", "place", "programmer", "budget"}


def test_the_command_in_a_report_gives_its_settings_again(run, monkeypatch):
    assert {*UNUSUAL, *CHANGES_NO_FIGURE} == set(Settings.model_fields)
    settings = Settings.model_validate(UNUSUAL)
    usual = Settings(board="")
    assert not [name for name in UNUSUAL if getattr(settings, name) == getattr(usual, name)]
    elsewhere = {"port": "/dev/ttyACM0", "output": Path("out"), "programmer": "openocd"}
    command = command_line(settings.model_copy(update=elsewhere))
    asked = []

    def deploy_nothing(asked_for, _progress):
        asked.append(asked_for)
        raise UsageError("enough")

    monkeypatch.setattr("pipeline.deploy.deploy", deploy_nothing)
    run(*shlex.split(command)[1:])
    assert asked == [settings]


@pytest.mark.parametrize(("option", "value"), [("--runs", "0"), ("--max-ram", "-1"), ("--baud", "300")])
def test_a_typed_value_is_refused_under_its_option(run, option, value):
    code, _, err = run("measure", "net.keras", option, value)
    assert (code, f"command line: `{option}` is {value}:" in err) == (2, True), err


def test_the_command_of_a_usual_deployment_is_short():
    assert command_line(Settings(model=Path("here/net.keras"))) == (
        "stm32-deploy deploy net.keras --board nucleo_l4r5zi"
    )


@pytest.mark.parametrize(("typed", "applied"), [((), "mse"), (("--recipe", "bias"), "bias")])
def test_the_best_recipe_is_applied_unless_one_is_typed(run, monkeypatch, tmp_path, typed, applied):
    (tmp_path / "deploy.toml").write_text('recipe = "equalize"\n')
    asked = []

    def quantize_nothing(settings, _output, _progress):
        asked.append(settings.recipe)
        raise UsageError("enough")

    monkeypatch.setattr("pipeline.cures.cure_table", lambda *_: SimpleNamespace(best="mse"))
    monkeypatch.setattr("pipeline.deploy.quantize_file", quantize_nothing)
    run("quantize", "net.keras", "--cures", *typed)
    assert asked == [applied]


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_a_narrow_terminal_cuts_no_cell(monkeypatch, width):
    shown = io.StringIO()
    monkeypatch.setattr(cli, "out", Console(file=shown, width=width))
    words, numbers = (
        ("block_13_depthwise", "cortex_m4/depthwise_conv_2d"),
        ("12,345,678", "9,876,543", "0.1 %"),
    )
    table = cli._table("layer", "kernel", "instructions", "cycles", "share", numbers=slice(2, None))
    table.add_row(*words, *numbers)
    cli._print_table(table)
    lines = shown.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    columns = ["".join(cells) for cells in zip(*rows, strict=True)]
    assert columns == [*words, *numbers][: len(columns)]
    left_out = ["layer", "kernel", "instructions", "cycles", "share"][len(columns) :]
    assert lines[-1].endswith(", ".join(left_out)) if left_out else lines[-1].startswith("└")
    assert len(columns) == {40: 2, 60: 4, 80: 5, 160: 5}[width]
