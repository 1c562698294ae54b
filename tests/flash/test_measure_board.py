"""`flash` and `measure` from end to end: imitated programs put real images on a pretended board."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from desk import OTHER, SERIAL, TOOLS
from pretended import PretendedBoard
from racks import DEBUGGER

from pipeline import cli
from pipeline.flash import ports
from pipeline.kernels import candidates
from pipeline.passes import apply_passes
from pipeline.read_tflite import read_tflite
from tests.conftest import ROOT
from tests.tflite_networks import random_network

pytestmark = [
    pytest.mark.toolchain,
    pytest.mark.skipif(
        sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux, a compiler"
    ),
]


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "network.tflite"
    # The pretended board runs this computer's code: a model whose kernels are all plain C.
    made = (random_network(np.random.default_rng(seed), 3) for seed in range(1000))
    path.write_bytes(next(tflite for tflite in made if _runs_portable(tflite)))
    return path


def _runs_portable(tflite):
    """Whether the library for Arm cores has no kernel for any layer."""
    graph, _ = apply_passes(read_tflite(tflite, "network"))
    return not any(
        candidates(node.op, graph.operands(node), graph.tensors[node.output], ["cortex_m4"])
        for node in graph.nodes
    )


@pytest.fixture
def table(desk, monkeypatch):
    """A desk with OpenOCD and a Nucleo that takes what OpenOCD writes."""
    # The compilers are still needed; the imitated programs come first.
    monkeypatch.setenv("PATH", f"{desk.bin}:{PATH}")
    desk.install("openocd")
    with PretendedBoard() as board:
        board.watch(desk.chip)
        desk.plug(port=board.port, label="NOD_L4R5ZI")
        desk.board = board
        yield desk


PATH = os.environ["PATH"]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """The command line in this process: (exit code, standard output, standard error)."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["stm32-deploy", *map(str, words)])
        monkeypatch.chdir(tmp_path)
        code = cli.main()
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_measure(table, run, network):
    """Flashes, measures, is bit-exact; the second time it only measures."""
    words = ("measure", network, "--board", "nucleo_l4r5zi", "--with", "openocd", "--runs", 4, "-v")
    code, said, logged = run(*words)
    assert code == 0, said + logged
    assert "holds the new image" in said
    assert "openocd -f board/st_nucleo_l4.cfg" in logged
    folder = network.parent / "build/network/nucleo_l4r5zi"
    report = json.loads((folder / "report.json").read_text())
    assert report["verdict"]["level"] == "green"
    assert report["outputs"]["differing_elements"] == 0
    assert report["measured"]["unit"] == "cycles"
    assert report["measured"]["runner"] == "serial at 115200 baud"
    assert len(report["measured"]["runs"]) == 4
    assert report["measured"]["notes"] == [], "nothing had to be asked twice"
    cycles = next(row for row in report["figures"] if row["key"] == "count")
    assert all(cycles[source] for source in ("predicted", "measured", "estimated")), "side by side"
    assert table.board.flashed == 1

    code, said, _ = run(*words)
    assert code == 0
    assert "holds the new image" not in said
    assert table.board.flashed == 1, "the image runs there already"

    code, said, _ = run(*words, "--baud", 921600)
    assert code == 0
    assert table.board.flashed == 2, "another baud rate is another image"


def test_flash_erase_and_reset(table, run, network):
    code, said, logged = run("flash", network, "--board", "nucleo_l4r5zi", "--with", "openocd", "-v")
    assert code == 0, logged
    assert f"ST-LINK/V2-1 {SERIAL}" in said
    assert (table.chip / "flash.elf").is_file()
    assert run("reset", "--board", "nucleo_l4r5zi", "--with", "openocd")[0] == 0
    assert run("erase", "--board", "nucleo_l4r5zi", "--with", "openocd")[0] == 0
    assert not (table.chip / "flash.elf").exists()


def test_flash_and_erase_with_each_of_the_five_programs(desk, run, network, monkeypatch):
    """By the command line, one after the other on one desk: each alone writes, and says with what."""
    monkeypatch.setenv("PATH", f"{desk.bin}:{PATH}")
    desk.plug()
    for tool in TOOLS:
        desk.install(tool)
        code, said, logged = run("flash", network, "--board", "nucleo_l4r5zi", "--with", tool, "-v")
        assert code == 0, logged
        assert f"holds the new image and runs it: {tool} " in said
        assert tool in logged, "the exact command is shown"
        written = next(desk.chip.glob("flash.*"))
        assert written.stat().st_size > 4096
        written.unlink()
        code, said, logged = run("erase", "--board", "nucleo_l4r5zi", "--with", tool)
        assert code == 0, logged
        assert f"is erased: {tool} " in said


@pytest.mark.parametrize("verb", ["flash", "measure", "erase", "reset"])
def test_what_is_missing_is_said_before_anything_long(desk, run, network, verb):
    """Nothing is built while there is no program, no board, or two of them."""
    model = [network] if verb in {"flash", "measure"} else []
    words = (verb, *model, "--board", "nucleo_l4r5zi")
    desk.plug()
    code, _, logged = run(*words)
    assert (code, "E_FLASH_NO_TOOL" in logged) == (5, True), logged
    desk.install("openocd")
    desk.plug(OTHER, 0x374E, "1-5", port="/dev/ttyACM1")
    code, _, logged = run(*words)
    assert (code, "E_FLASH_MANY_PROBES" in logged) == (5, True)
    assert SERIAL in logged
    assert OTHER in logged
    code, _, logged = run(*words[:-1], "qemu_mps2_an386")
    assert code != 0
    assert "E_FLASH_BOARD" in logged
    assert not (network.parent / "build").exists()


@pytest.fixture
def place(table, labgrid, monkeypatch):
    """A place in a rack: what labgrid hands out is a URL, and a pseudo-terminal stands behind it here."""
    url = f"spy://{table.board.port}?file={os.devnull}"
    monkeypatch.setattr(ports, "place_url", lambda place: url)
    return labgrid


def test_a_place_is_flashed_and_measured(place, table, run, network):
    place.resources["NetworkUSBDebugger"] = DEBUGGER
    place.shares_files = True  # the board here looks for the image's sources beside it
    table.holds(location=DEBUGGER["path"])
    words = ("--board", "nucleo_l4r5zi", "--place", "rack-3")
    code, said, logged = run("measure", network, *words, "--inferences", 2, "-v")
    assert code == 0, logged
    assert "holds the new image and runs it: openocd 0.12.0, ST-LINK/V2-1 at 1-4.2 of rack1" in said
    assert "ssh rack1 -- openocd" in logged
    assert table.board.flashed == 1
    assert run("measure", network, *words, "--inferences", 2)[0] == 0
    assert table.board.flashed == 1, "the image runs there already"
    assert run("reset", *words)[0] == 0
    assert run("erase", *words)[0] == 0
    code, _, logged = run("flash", network, *words, "--with", "st-flash")
    assert (code, "E_FLASH_TOOL_UNKNOWN" in logged) == (2, True), logged


def test_a_place_without_a_probe_is_measured_and_not_flashed(place, table, run, network):
    """One refusal tells how its flash is written; nothing is built for one that could only be flashed."""
    words = (network, "--board", "nucleo_l4r5zi", "--place", "rack-3")
    code, _, logged = run("flash", *words)
    assert (code, "E_FLASH_REMOTE" in logged) == (5, True), logged
    assert "it lends no debug probe (NetworkUSBDebugger)" in logged
    assert not (network.parent / "build").exists()

    code, _, logged = run("flash", network, "--board", "nucleo_l4r5zi", "--with", "openocd")
    assert code == 0, logged
    code, _, logged = run("measure", *words, "--inferences", 2)
    assert code == 0, logged
    code, _, logged = run("measure", *words, "--optimize", "flash")
    assert (code, "E_FLASH_REMOTE" in logged) == (5, True), logged
    assert "another image runs there" in logged
    assert "stm32-deploy flash network.tflite --board nucleo_l4r5zi" in logged
    assert table.board.flashed == 1


def test_the_wrong_board(table, run, network):
    table.holds(device_id="0x10076415")
    code, _, logged = run("measure", network, "--board", "nucleo_l4r5zi", "--with", "openocd")
    assert code == 5
    assert "E_FLASH_WRONG_CHIP" in logged
    assert "nothing was written" in logged
    assert table.board.flashed == 0


def test_run_on_the_board_never_flashes(table, run, network):
    """`run --runner serial` measures what is there, or says that it is another image."""
    code, _, logged = run("flash", network, "--board", "nucleo_l4r5zi", "--with", "openocd")
    assert code == 0, logged
    words = ("run", network, "--board", "nucleo_l4r5zi", "--runner", "serial", "--inferences", 2)
    code, said, logged = run(*words, "--format", "json")
    assert code == 0, logged
    assert json.loads(said)["unit"] == "cycles"
    code, _, logged = run(*words, "--optimize", "time", "--port", table.board.port)
    assert (code, "E_IMAGE_STALE" in logged) == (6, True), "the same sources, compiled in another way"
    assert table.board.flashed == 1


def test_monitor(table, network, run):
    """What the board says is shown until Ctrl-C, and nothing else goes to standard output."""
    assert run("flash", network, "--board", "nucleo_l4r5zi", "--with", "openocd")[0] == 0
    table.board.let_go()
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "monitor",
        "--board",
        "nucleo_l4r5zi",
        "--port",
        table.board.port,
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    monitor = subprocess.Popen(command, env=environment, start_new_session=True, cwd=network.parent, **pipes)
    try:
        deadline = time.monotonic() + 20
        assert b"at 115200 baud" in monitor.stderr.readline()
        said = b""
        while b"m-name-dut-[nucleo_l4r5zi]" not in said and time.monotonic() < deadline:
            table.board.say(b"name%")
            if select.select([monitor.stdout], [], [], 0.2)[0]:
                said += os.read(monitor.stdout.fileno(), 4096)
        assert b"m-name-dut-[nucleo_l4r5zi]" in said
        monitor.send_signal(signal.SIGINT)
        assert monitor.wait(10) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(monitor.pid, signal.SIGKILL)
        monitor.communicate()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("flash", "flash M --board B --probe P --place L --with W --baud 9 -v"),
        ("measure", "measure M --board B --port X --baud 9 --probe P --place L --with W"),
        ("monitor", "monitor --board B --port X --baud 9 --probe P --place L"),
        ("reset", "reset --board B --probe P --place L --with W"),
        ("erase", "erase --board B --probe P --place L --with W"),
    ],
)
def test_make(target, expected):
    words = [
        "make",
        "--no-print-directory",
        "-n",
        target,
        "MODEL=M",
        "BOARD=B",
        "PROBE=P",
        "PLACE=L",
        "WITH=W",
        "PORT=X",
        "BAUD=9",
    ]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert " ".join(said.splitlines()[-1].split()) == f".venv/bin/stm32-deploy {expected}"
