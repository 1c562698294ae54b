"""The runner of Renode, against a program of that name: it takes Renode's command line, and runs the image
that it is told of on the virtual board. What Renode itself makes of the platform files is not seen here."""

from __future__ import annotations

import json
import os
import socket
import sys
import time

import numpy as np
import pytest
from small_model import small_layers, small_tree

from pipeline.boards import list_boards, load_board
from pipeline.build import build_firmware
from pipeline.errors import BuildFailed, TargetFailed, UsageError
from pipeline.registry import data_folder
from pipeline.runners import Source, Stimulus
from pipeline.runners.renode import Renode
from pipeline.targets import renode_files

pytestmark = [pytest.mark.toolchain, pytest.mark.simulator]
SAMPLES = np.random.default_rng(3).integers(0, 256, (2, 24), dtype=np.uint8)
ONE = Stimulus(SAMPLES[:1], timed_runs=1)
BOARDED = [board.name for board in list_boards() if renode_files(board)]
# Like Renode's own, a shell script that starts the program and waits for it.
SCRIPT = "#!/bin/sh\n'{python}' '{program}' \"$@\"\n"
FAKE = """
import json, os, re, sys, time
from pathlib import Path

here = Path(__file__).parent
if sys.argv[1:] == ["--version"]:
    print("Renode v1.16.1.12345\\n  build: abc")
    sys.exit(0)
(here / "called.json").write_text(json.dumps([os.getpid(), sys.argv[1:]]))
{before}
said = "; ".join(word for flag, word in zip(sys.argv, sys.argv[1:]) if flag == "-e")
told = re.fullmatch(r"\\$bin=@(.+); \\$port=(\\d+); include @(.+)\\.resc; start", said)
elf, platform = (told[n].replace("\\\\ ", " ") for n in (1, 3))

from pipeline.boards import load_board
from pipeline.runners.unicorn import family_of
from pipeline.virtual.machine import Machine

board = load_board(Path(platform).name)
machine = Machine(Path(elf), board, family_of(board), int(told[2]))
machine.start()
time.sleep(60)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a program called renode into a folder, by itself on PATH."""

    def put(before="", folder="bin", on_path=True):
        place = tmp_path / folder
        place.mkdir()
        (place / "fake.py").write_text(FAKE.format(before=before))
        script = place / "renode"
        script.write_text(SCRIPT.format(python=sys.executable, program=place / "fake.py"))
        script.chmod(0o755)
        if on_path:
            monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
        return place

    monkeypatch.delenv("RENODE_ROOT", raising=False)
    return put


@pytest.fixture(scope="module")
def board():
    return load_board("nucleo_l4r5zi")


@pytest.fixture(scope="module")
def firmware(tmp_path_factory, board):
    return build_firmware(small_tree(board), board, tmp_path_factory.mktemp("firm ware"))


def called(place):
    return json.loads((place / "called.json").read_text())


def is_gone(pid):
    """Within a moment: who ended a process need not be who buries it."""
    for _ in range(100):
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_every_board_with_platform_files_has_it_and_none_by_default():
    assert [board.name for board in list_boards() if "renode" in board.run] == BOARDED
    for name in BOARDED:
        assert load_board(name).simulators == ("unicorn", "renode")


def test_it_holds_the_whole_conversation(install, firmware, board):
    place = install()
    transcript = Renode().run(firmware, board, Stimulus(SAMPLES, timed_runs=2))
    for row, output in zip(SAMPLES, transcript.outputs, strict=True):
        assert output.tobytes() == small_layers(row.tobytes())[-1]
    assert (transcript.runner, transcript.source) == ("renode 1.16.1.12345", Source.INSTRUCTIONS)
    assert transcript.counter_hz == 0, "no time is made of virtual time"
    assert transcript.counter == "DWT CYCCNT at 120 MHz of virtual time, one tick an instruction"
    assert is_gone(called(place)[0])


def test_the_command_line_is_renodes(install, firmware, board):
    place = install()
    Renode().run(firmware, board, ONE)
    words = called(place)[1]
    assert words[:5] == ["--disable-gui", "--hide-log", "--plain", "-P", "-1"]
    assert words[5::2] == ["-e"] * 4
    binary, port, include, start = words[6::2]
    assert " " in str(firmware.elf)
    assert binary == "$bin=@" + str(firmware.elf).replace(" ", "\\ ")
    assert port.startswith("$port=")
    assert include == f"include @{data_folder('board') / board.name / board.name}.resc"
    assert start == "start"


def test_the_port_that_was_asked_for(install, firmware, board):
    place = install()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = probe.getsockname()[1]
    Renode(port=number).run(firmware, board, ONE)
    assert f"$port={number}" in called(place)[1]


def test_a_busy_port_is_told_before_anything_is_started(install, firmware, board):
    place = install()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(TargetFailed) as raised:
            Renode(port=number).run(firmware, board, ONE)
    assert (raised.value.code, str(number) in raised.value.problem) == ("E_PORT_BUSY", True)
    assert not (place / "called.json").exists()


def test_one_that_ends_at_once_says_why(install, firmware, board):
    install("sys.exit('no such platform')")
    with pytest.raises(TargetFailed) as raised:
        Renode().run(firmware, board, ONE)
    assert raised.value.code == "E_SIMULATOR_EXITED"
    assert "no such platform" in raised.value.details


def test_one_that_never_opens_its_port_is_given_up_and_ended(install, firmware, board):
    place = install("time.sleep(60)")
    with pytest.raises(TargetFailed) as raised:
        Renode(start_s=2).run(firmware, board, ONE)
    assert raised.value.code == "E_TARGET_SILENT"
    assert is_gone(called(place)[0])


def test_renode_root_wins_over_path(install, firmware, board, monkeypatch):
    on_path, root = install(), install(folder="root", on_path=False)
    monkeypatch.setenv("RENODE_ROOT", str(root))
    Renode().run(firmware, board, ONE)
    assert (root / "called.json").exists()
    assert not (on_path / "called.json").exists()


@pytest.mark.parametrize("root", [None, "empty"])
def test_a_missing_renode(monkeypatch, tmp_path, root):
    monkeypatch.setenv("PATH", str(tmp_path))
    if root:
        monkeypatch.setenv("RENODE_ROOT", str(tmp_path / root))
    else:
        monkeypatch.delenv("RENODE_ROOT", raising=False)
    with pytest.raises(BuildFailed) as raised:
        Renode().check()
    assert raised.value.code == "E_RENODE_MISSING"
    assert "renode.io" in raised.value.hint
    assert (root or "PATH") in raised.value.problem


def test_a_board_that_renode_cannot_run(install, firmware):
    with pytest.raises(UsageError) as raised:
        Renode().run(firmware, load_board("nucleo_g474re"), ONE)
    assert raised.value.code == "E_RUNNER_UNFIT"
