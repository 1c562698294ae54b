"""The set-up: what it looks for, what it installs where it may, and what it says where it may not."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from pipeline import bootstrap


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A pretended machine: the tools on its PATH, who is logged in, and the commands that were run."""
    made = SimpleNamespace(tools={"apt-get", "sudo"}, root=True, sudo=True, newlib=True, runs=[], fails=())

    def run(command, **_):
        made.runs.append(command)
        if command[0] == "arm-none-eabi-gcc":
            return subprocess.CompletedProcess(command, 0, "/lib/nano.specs" if made.newlib else "nano.specs")
        if command[:2] == ["sudo", "-n"]:
            return subprocess.CompletedProcess(command, 0 if made.sudo else 1, "")
        if "venv" in command:
            (tmp_path / ".venv" / "bin").mkdir(parents=True)
            (tmp_path / ".venv" / "bin" / "python").touch()
        failed = any(word in command for word in made.fails)
        return subprocess.CompletedProcess(command, 1 if failed else 0, "it went wrong")

    monkeypatch.setattr(
        bootstrap.shutil, "which", lambda tool: f"/bin/{tool}" if tool in made.tools else None
    )
    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0 if made.root else 1000)
    monkeypatch.setattr(bootstrap.sys.stdin, "isatty", lambda: False, raising=False)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / ".venv" / "installed-for")
    monkeypatch.setattr(sys, "argv", ["bootstrap"])
    return made


ALL = {"arm-none-eabi-gcc", "qemu-system-arm", "cc", "apt-get", "sudo"}


def test_everything_missing_is_installed_as_root(machine, capsys):
    assert bootstrap.main() == 0
    assert machine.runs[0] == ["apt-get", "update"]
    assert machine.runs[1][:3] == ["apt-get", "install", "-y"]
    wanted = {"gcc-arm-none-eabi", "libnewlib-arm-none-eabi", "qemu-system-arm", "gcc", "libc6-dev"}
    assert wanted <= set(machine.runs[1])
    assert "installing with apt" in capsys.readouterr().out


def test_a_second_run_does_nothing(machine, capsys):
    machine.tools = ALL
    assert bootstrap.main() == 0
    machine.runs.clear()
    capsys.readouterr()
    assert bootstrap.main() == 0
    assert [command[0] for command in machine.runs] == ["arm-none-eabi-gcc"]
    assert capsys.readouterr().out == ""


def test_sudo_is_used_where_it_works(machine):
    machine.root = False
    assert bootstrap.main() == 0
    assert ["sudo", "apt-get", "update"] in machine.runs


@pytest.mark.parametrize("without", ["apt-get", "sudo"])
def test_what_cannot_be_installed_is_told(machine, capsys, without):
    machine.root = False
    machine.tools.discard(without)
    assert bootstrap.main() == 4
    said = capsys.readouterr().err
    assert "sudo apt-get install -y" in said
    assert "gcc-arm-none-eabi" in said
    assert "brew install" in said
    assert not any("pip" in command for command in machine.runs), "nothing else was done before"


def test_the_c_library_alone_may_be_missing(machine):
    machine.tools, machine.newlib = ALL, False
    assert bootstrap.main() == 0
    installed = next(command for command in machine.runs if "install" in command and "apt-get" in command)
    assert installed[-1] == "libnewlib-arm-none-eabi"


def test_the_machine_is_left_alone_on_demand(machine, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bootstrap", "--no-system"])
    assert bootstrap.main() == 0
    assert not any("apt-get" in command for command in machine.runs)


@pytest.mark.parametrize("broken", ["update", "pip"])
def test_a_step_that_fails_is_named_and_the_next_run_tries_again(machine, capsys, broken):
    machine.fails = (broken,)
    assert bootstrap.main() == 4
    assert "failed" in capsys.readouterr().err
    machine.fails = ()
    assert bootstrap.main() == 0


def test_an_old_python_is_refused(machine, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 2))
    assert bootstrap.main() == 4
    assert "3.9.2 is too old, expected 3.11 or newer" in capsys.readouterr().err
