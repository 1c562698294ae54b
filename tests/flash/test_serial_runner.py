"""The serial runner against the firmware's own C behind pseudo-terminals and sockets, good and bad."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from pretended import PretendedBoard, bad, compile_sources

from pipeline.boards import load_board
from pipeline.build import Firmware, write_tree
from pipeline.errors import TargetFailed, UsageError
from pipeline.flash import ports
from pipeline.flash.ports import Line, check_line, find_line, open_line
from pipeline.runners import RUNNERS, Source, Stimulus
from pipeline.runners.protocol import Limits
from pipeline.runners.serial import Serial
from tests.firmware.small_model import small_layers, small_tree

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler"
)
SAMPLES = np.random.default_rng(3).integers(0, 256, (3, 24), dtype=np.uint8)
STIMULUS = Stimulus(SAMPLES, timed_runs=5, layer_dumps=(1,))
QUICK = Limits(reply_s=0.3, inference_s=1.0, drain_s=0.3, quiet_s=0.05)


@pytest.fixture(scope="module")
def board():
    """Its line is the fastest that a user may ask for: what is slow here is waiting, not the wire."""
    nucleo = load_board("nucleo_l4r5zi")
    return replace(nucleo, console=replace(nucleo.console, baud=921_600))


@pytest.fixture(scope="module")
def built(board, tmp_path_factory):
    """(firmware as far as a runner looks at it, the image that plays it)."""
    folder = tmp_path_factory.mktemp("small")
    tree = small_tree(board)
    write_tree(tree, folder / "src")
    firmware = Firmware(folder / "absent.elf", board.name, tree.digest, (), (), 0, 0, {}, {}, "", ())
    return firmware, compile_sources(folder / "src", folder / "image")


@pytest.fixture
def pretended(built):
    with PretendedBoard() as device:
        device.flash(built[1])
        yield device


def assert_true(transcript):
    for row, output in zip(SAMPLES, transcript.outputs, strict=True):
        assert output.tobytes() == small_layers(row.tobytes())[-1]
    assert [transcript.dumps[1, k] for k in range(3)] == small_layers(SAMPLES[1].tobytes())
    assert transcript.source is Source.CYCLES
    assert len(transcript.totals) == len(transcript.layers) == 5


def refused(call, *arguments):
    with pytest.raises(TargetFailed) as raised:
        call(*arguments)
    assert raised.value.exit_code == 6
    assert raised.value.hint
    return raised.value


def test_a_board_is_measured(pretended, built, board):
    assert RUNNERS["serial"] is Serial
    runner = Serial(port=pretended.port)
    runner.check()
    transcript = runner.run(built[0], board, STIMULUS)
    assert_true(transcript)
    assert transcript.counter == "DWT CYCCNT at 120 MHz"
    assert transcript.counter_hz == 120_000_000
    assert transcript.runner == "serial at 921600 baud"
    assert transcript.notes == ()


@pytest.mark.parametrize("seed", range(4))
def test_a_bad_line_costs_retries_and_no_figure(built, board, seed):
    with PretendedBoard(bad(seed, 1500), bad(seed + 100, 1500)) as device:
        device.flash(built[1])
        limits = Limits(
            reply_s=0.5, inference_s=1.0, quiet_s=0.05, drain_s=0.5, attempts=12, silent_attempts=8
        )
        transcript = Serial(port=device.port, limits=limits).run(built[0], board, STIMULUS)
    assert_true(transcript)
    assert any("sent again" in note for note in transcript.notes), "the wire was bad indeed"


def test_a_line_that_is_too_bad_is_given_up(built, board):
    with PretendedBoard(to_host=bad(1, 12)) as device:
        device.flash(built[1])
        begin = time.monotonic()
        error = refused(Serial(port=device.port, limits=QUICK).run, built[0], board, STIMULUS)
    assert error.code in {"E_SERIAL_CORRUPT", "E_TARGET_SILENT"}
    assert time.monotonic() - begin < 20


def test_a_silent_board(built, board):
    with PretendedBoard() as device:
        error = refused(Serial(port=device.port, limits=QUICK).run, built[0], board, STIMULUS)
        assert Serial(port=device.port, limits=QUICK).running_digest(board) is None
    assert error.code == "E_TARGET_SILENT", (error.code, error.problem, error.details)


def test_another_image(pretended, built, board):
    assert Serial(port=pretended.port).running_digest(board) == built[0].digest
    error = refused(Serial(port=pretended.port).run, replace(built[0], digest="f" * 16), board, STIMULUS)
    assert error.code == "E_IMAGE_STALE"
    assert "flash" in error.hint


def test_a_core_that_did_not_reach_its_clock(built, board):
    with PretendedBoard(BOARD_RUNS_AT="4000000", BOARD_PROBLEM="the PLL did not lock (PLLRDY)") as device:
        device.flash(built[1])
        transcript = Serial(port=device.port).run(built[0], board, STIMULUS)
    assert_true(transcript)
    assert any("the PLL did not lock" in note for note in transcript.notes)
    assert any("4 MHz, not at the 120 MHz" in note for note in transcript.notes)


def test_the_state_of_prefetch_and_interrupts_is_recorded(built, board):
    with PretendedBoard() as device:
        device.flash(built[1])
        state = Serial(port=device.port).run(built[0], board, STIMULUS).state
    assert (state.wait_states, dict(state.accelerators), state.interrupts) == (5, {"prefetch": True}, ())
    with PretendedBoard(BOARD_WITHOUT_PREFETCH="1", BOARD_INTERRUPT="28") as device:
        device.flash(built[1])
        transcript = Serial(port=device.port).run(built[0], board, STIMULUS)
    assert str(transcript.state) == "5 flash wait states, prefetch off, interrupts enabled: line 28"
    assert any("prefetch is off; the estimate beside it" in note for note in transcript.notes)


def test_a_board_that_loses_power(pretended, built, board):
    def pull(stage, done, total):
        pretended.power_off()

    begin = time.monotonic()
    with pytest.raises(TargetFailed) as raised:
        Serial(port=pretended.port, limits=QUICK).run(built[0], board, STIMULUS, progress=pull)
    assert raised.value.code == "E_TARGET_SILENT"
    assert time.monotonic() - begin < 10


def test_a_board_that_is_reset(pretended, built, board):
    def reset(stage, done, total):
        pretended.flash(built[1])
        time.sleep(0.1)

    error = refused(lambda: Serial(port=pretended.port).run(built[0], board, STIMULUS, progress=reset))
    assert error.code == "E_TARGET_RESET"


def test_a_board_on_another_machine(pretended, built, board):
    """Behind a socket that hands the bytes on, as ser2net does."""
    with socket.create_server(("127.0.0.1", 0)) as server, open(pretended.port, "r+b", buffering=0) as device:

        def serve():
            connection, _ = server.accept()
            with connection:
                threading.Thread(target=copy, args=(device.read, connection.sendall), daemon=True).start()
                copy(connection.recv, device.write)

        def copy(take, give):
            try:
                while data := take(4096):
                    give(data)
            except OSError:
                return

        threading.Thread(target=serve, daemon=True).start()
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        runner = Serial(port=url)
        runner.check()
        assert runner.line(board).is_remote
        assert_true(runner.run(built[0], board, STIMULUS))
        pretended.power_off()


def test_a_board_behind_rfc2217(pretended, built, board):
    """pyserial's own server side: the baud rate travels with the bytes."""
    import serial
    from serial.rfc2217 import PortManager

    class Device(serial.Serial):
        """A pseudo-terminal has no modem lines, which the server asks for."""

        cts = dsr = ri = cd = False
        _update_rts_state = _update_dtr_state = _update_break_state = lambda self: None

    def serve(server, device):
        connection, _ = server.accept()
        with connection:
            wire = SimpleNamespace(write=connection.sendall)
            manager = PortManager(device, wire)

            def back():
                with suppress(OSError, TypeError, serial.SerialException):
                    while True:
                        data = device.read(max(1, device.in_waiting))
                        connection.sendall(b"".join(manager.escape(data)))

            threading.Thread(target=back, daemon=True).start()
            with suppress(OSError):
                while data := connection.recv(4096):
                    device.write(b"".join(manager.filter(data)))

    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        Device(pretended.port, timeout=0.05) as device,
    ):
        threading.Thread(target=serve, args=(server, device), daemon=True).start()
        runner = Serial(port=f"rfc2217://127.0.0.1:{server.getsockname()[1]}")
        assert_true(runner.run(built[0], board, STIMULUS))
        assert device.baudrate == 921_600


# ---- ports ----


def test_a_port_held_by_another_process_is_named(pretended, board):
    script = "import sys,time; f=open(sys.argv[1],'r+b',0); print('held',flush=True); time.sleep(30)"
    holder = subprocess.Popen([sys.executable, "-c", script, pretended.port], stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"held\n"
        error = refused(Serial(port=pretended.port).check)
        assert error.code == "E_PORT_BUSY"
        assert f"python (process {holder.pid})" in error.problem or str(holder.pid) in error.problem
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    Serial(port=pretended.port).check()


def test_a_port_is_opened_once(pretended):
    """Two measurements in one process: nobody else holds it, and the lock still says no."""
    line = Line(pretended.port, None)
    with open_line(line, 115_200), pytest.raises(TargetFailed) as raised, open_line(line, 115_200):
        pass
    assert raised.value.code == "E_PORT_BUSY"


def test_modem_manager(monkeypatch, pretended):
    monkeypatch.setattr(ports, "_holders", lambda device: ["ModemManager (process 612)"])
    assert "half a minute" in refused(check_line, Line(pretended.port, None)).hint


def test_a_port_that_is_not_there(tmp_path):
    assert refused(Serial(port=str(tmp_path / "ttyACM0")).check).code == "E_PORT_MISSING"


def test_no_permission(monkeypatch, pretended):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    error = refused(Serial(port=pretended.port).check)
    assert error.code == "E_PORT_PERMISSION"
    assert "usermod -a -G" in error.hint


@pytest.mark.parametrize("port", ["socket://127.0.0.1:1", "rfc2217://127.0.0.1:1", "carrier-pigeon://home"])
def test_a_remote_port_that_does_not_answer(board, port):
    def connect():
        with open_line(Line(port, None), 115_200):
            pass

    assert refused(connect).code == "E_PORT_OPEN"


def test_a_file_that_is_no_port(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no port")

    def connect():
        with open_line(Line(str(path), None), 115_200):
            pass

    assert refused(connect).code == "E_PORT_OPEN"


def test_a_named_port_finds_its_probe(desk, nucleo, pretended):
    desk.plug(port=pretended.port)
    link = desk.folder / "my-board"
    link.symlink_to(pretended.port)
    assert find_line(nucleo, port=str(link)).probe.ports == (pretended.port,)


def test_a_board_without_a_serial_line():
    with pytest.raises(UsageError) as raised:
        Serial(port="x").run(None, load_board("host"), STIMULUS)
    assert raised.value.code == "E_RUNNER_UNFIT"
