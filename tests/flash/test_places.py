"""A labgrid place, with a pretended labgrid."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from racks import DEBUGGER, RFC2217

from pipeline.errors import FlashFailed, TargetFailed, UsageError
from pipeline.flash import verbs
from pipeline.flash.places import place_programmer, place_url
from pipeline.flash.ports import find_line


def test_the_port_of_a_place(labgrid, nucleo, monkeypatch):
    monkeypatch.setenv("LG_COORDINATOR", "farm:20408")
    line = find_line(nucleo, place="nucleo-3")
    assert (line.port, line.probe, line.is_remote) == ("rfc2217://rack1:40123", None, True)
    assert (labgrid.asked, labgrid.address, labgrid.stopped) == (["nucleo-3"], "farm:20408", ["stop"])


def test_a_raw_port(labgrid):
    labgrid.resources["NetworkSerialPort"] = {**RFC2217, "protocol": "raw"}
    assert place_url("nucleo-3") == "socket://rack1:40123"


@pytest.mark.parametrize("why", ["unreachable", "place nucleo-3 is not acquired"])
def test_a_place_that_is_not_ours(labgrid, why):
    labgrid.failure = RuntimeError(why)
    with pytest.raises(TargetFailed) as raised:
        place_url("nucleo-3")
    assert raised.value.code == "E_PLACE"
    assert why in raised.value.problem
    assert "labgrid-client -p nucleo-3 acquire" in raised.value.hint


def test_a_place_without_a_serial_port(labgrid):
    del labgrid.resources["NetworkSerialPort"]
    with pytest.raises(TargetFailed) as raised:
        place_url("nucleo-3")
    assert "0 resources NetworkSerialPort" in raised.value.problem
    assert labgrid.stopped == ["stop"]


def test_labgrid_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "labgrid.remote.client", None)
    with pytest.raises(UsageError) as raised:
        place_url("nucleo-3")
    assert raised.value.code == "E_LABGRID_MISSING"
    assert "stm32-deploy[labgrid]" in raised.value.hint


# ---- the debug probe beside it ----


@pytest.fixture
def rack(labgrid, desk):
    """A place with an ST-LINK, and OpenOCD on the machine that has it."""
    labgrid.resources["NetworkUSBDebugger"] = DEBUGGER
    desk.install("openocd")
    desk.holds(location=DEBUGGER["path"])
    return labgrid


def test_openocd_runs_where_the_probe_is(rack, desk, nucleo, tmp_path):
    """It is told where the ST-LINK is plugged in; the image is brought there; blanks survive the shell."""
    programmer, probe = place_programmer(nucleo, "nucleo-3")
    assert (probe.host, probe.location, probe.kind) == ("rack1", "1-4.2", "ST-LINK/V2-1")
    assert str(programmer) == "openocd 0.12.0"
    image = tmp_path / "my models" / "firmware.elf"
    image.parent.mkdir()
    image.write_bytes(b"ELF")
    session = verbs._Session(nucleo, programmer, probe, None)
    session.check_chip()
    there = programmer.site.image(image)
    session.do(lambda reset: programmer.write(session.chip, probe, there, reset), programmer.proof)
    assert (desk.chip / "flash.elf").read_bytes() == b"ELF"
    assert there.parent != image.parent
    assert rack.copied == [(image, there)]
    assert all(command[:2] == ("ssh", "rack1") for command in session.done().commands)
    assert all("adapter usb location 1-4.2" in command for command in desk.commands)
    assert rack.resource.extra == {"proxy_required": False}


def test_another_chip_of_a_place_is_not_written(rack, desk, nucleo):
    desk.holds(location=DEBUGGER["path"], device_id="0x10076461")
    programmer, probe = place_programmer(nucleo, "nucleo-3")
    with pytest.raises(FlashFailed) as raised:
        verbs.erase_board(nucleo, programmer, probe)
    assert raised.value.code == "E_FLASH_WRONG_CHIP"


def test_a_place_that_lends_no_probe(labgrid, nucleo):
    assert place_programmer(nucleo, "nucleo-3") is None


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"avail": False}, "E_FLASH_NO_PROBE", "is not connected"),
        ({"path": None}, "E_FLASH_NO_PROBE", "is not connected"),
        ({"vendor_id": 0x0403, "model_id": 0x6014}, "E_PLACE", "0403:6014 is no ST-LINK"),
    ],
)
def test_a_probe_that_is_none(rack, nucleo, change, code, words):
    rack.avail = change.pop("avail", True)
    rack.resources["NetworkUSBDebugger"] = {**DEBUGGER, **change}
    with pytest.raises((FlashFailed, TargetFailed)) as raised:
        place_programmer(nucleo, "nucleo-3")
    assert raised.value.code == code
    assert words in raised.value.problem


def test_a_machine_without_openocd(rack, desk, nucleo):
    (desk.bin / "openocd").unlink()
    with pytest.raises(FlashFailed) as raised:
        place_programmer(nucleo, "nucleo-3")
    assert raised.value.code == "E_FLASH_NO_TOOL"
    assert "ssh rack1 openocd --version" in raised.value.hint


def test_a_machine_that_is_not_reached(rack, nucleo, tmp_path):
    rack.ssh_failure = RuntimeError("failed to connect to rack1")
    with pytest.raises(FlashFailed) as raised:
        place_programmer(nucleo, "nucleo-3")
    assert raised.value.code == "E_PLACE_HOST"
    assert "ssh rack1 true" in raised.value.hint
    rack.ssh_failure = None
    programmer, _ = place_programmer(nucleo, "nucleo-3")
    rack.ssh_failure = RuntimeError("no space left")
    with pytest.raises(FlashFailed) as raised:
        programmer.site.image(tmp_path)
    assert "no space left" in raised.value.problem


def test_a_chip_that_openocd_does_not_know(rack, nucleo):
    with pytest.raises(UsageError) as raised:
        place_programmer(replace(nucleo, flash=replace(nucleo.flash, openocd=())), "nucleo-3")
    assert raised.value.code == "E_FLASH_TOOL_UNKNOWN"
