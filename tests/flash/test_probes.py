"""Which ST-LINK is meant: one, none, several, not permitted."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from desk import OTHER, SERIAL

from pipeline.errors import FlashFailed
from pipeline.flash import choose_probe, find_probes, port_of, probes
from pipeline.flash.ports import find_line


def refused(call, *arguments):
    with pytest.raises(FlashFailed) as raised:
        call(*arguments)
    assert raised.value.exit_code == 5
    assert raised.value.hint
    return raised.value


def test_a_nucleo(desk, nucleo):
    desk.plug(label="NOD_L4R5ZI")
    probe = choose_probe(nucleo)
    assert (probe.serial, probe.kind, probe.location) == (SERIAL, "ST-LINK/V2-1", "1-4")
    assert (probe.ports, probe.label, probe.accessible) == (("/dev/ttyACM0",), "NOD_L4R5ZI", True)
    assert port_of(probe) == "/dev/ttyACM0"
    assert find_line(nucleo).port == "/dev/ttyACM0"


def test_what_else_is_plugged_in_is_left_alone(desk):
    desk.plug(product=0x5740)  # ST's vendor id, somebody's own device
    desk.ports.append(
        SimpleNamespace(device="/dev/ttyUSB0", vid=0x10C4, pid=0xEA60, serial_number="1", location="1-9")
    )
    assert find_probes() == ()


@pytest.mark.parametrize("product", sorted(probes.PRODUCTS))
def test_every_kind_of_st_link(desk, nucleo, product):
    desk.plug(product=product)
    assert choose_probe(nucleo).product_id == product


def test_no_board(desk, nucleo, monkeypatch):
    error = refused(choose_probe, nucleo)
    assert (error.code, error.problem) == ("E_FLASH_NO_PROBE", "no ST-LINK is connected")
    monkeypatch.setattr("platform.release", lambda: "5.15.0-microsoft-standard-WSL2")
    assert "usbipd attach" in refused(choose_probe, nucleo).hint


def test_two_boards_are_a_question(desk, nucleo):
    desk.plug()
    desk.plug(OTHER, 0x374E, "1-5", port="/dev/ttyACM1")
    error = refused(choose_probe, nucleo)
    assert error.code == "E_FLASH_MANY_PROBES"
    assert [line.split()[0] for line in error.details] == [OTHER, SERIAL]
    assert f"--probe {OTHER}" in error.hint
    for wanted in (SERIAL, SERIAL[:6], SERIAL.lower(), SERIAL[-8:]):
        assert choose_probe(nucleo, wanted).serial == SERIAL
    assert choose_probe(nucleo, OTHER).ports == ("/dev/ttyACM1",)
    unknown = refused(choose_probe, nucleo, "1234FFFF")
    assert unknown.code == "E_FLASH_NO_PROBE"
    assert len(unknown.details) == 2


def test_of_two_boards_the_one_whose_disk_says_so(desk, nucleo):
    desk.plug(label="NODE_F446RE")
    desk.plug(OTHER, 0x374E, "1-5", label="NOD_L4R5ZI", port="/dev/ttyACM1")
    assert choose_probe(nucleo).serial == OTHER
    assert choose_probe(nucleo, "NODE_F446RE").serial == SERIAL


def test_of_two_boards_of_a_kind_none_is_taken(desk, nucleo):
    desk.plug(label="NOD_L4R5ZI")
    desk.plug(OTHER, 0x374B, "1-5", port="/dev/ttyACM1")
    assert choose_probe(nucleo).serial == SERIAL
    (desk.dev / "disk/by-label/NOD_L4R5ZI").unlink()
    assert refused(choose_probe, nucleo).code == "E_FLASH_MANY_PROBES"


def test_no_permission(desk, nucleo, monkeypatch):
    node = desk.plug()
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(node) and allowed(path, mode))
    error = refused(choose_probe, nucleo)
    assert error.code == "E_FLASH_PERMISSION"
    assert 'ATTRS{idVendor}=="0483"' in error.details[0]
    assert probes.UDEV_FILE in error.hint


def test_no_virtual_com_port(desk, nucleo):
    desk.plug(port=None)
    error = refused(find_line, nucleo)
    assert error.code == "E_VCP_MISSING"
    assert SERIAL in error.problem


def test_a_v3_with_two_ports_gives_its_first(desk, nucleo):
    desk.plug(product=0x3753, port="/dev/ttyACM2")
    desk.ports.append(
        SimpleNamespace(**{**vars(desk.ports[0]), "device": "/dev/ttyACM1", "location": "1-4:1.4"})
    )
    assert choose_probe(nucleo).ports == ("/dev/ttyACM1", "/dev/ttyACM2")


def test_two_probes_with_one_serial_number_part_keep_their_own_ports(desk, nucleo):
    """A location ends at a colon: 1-4 is not the beginning of 1-40."""
    desk.plug(place="1-40", port="/dev/ttyACM7")
    desk.plug(OTHER, place="1-4", port="/dev/ttyACM8")
    assert choose_probe(nucleo, SERIAL).ports == ("/dev/ttyACM7",)
    assert choose_probe(nucleo, OTHER).ports == ("/dev/ttyACM8",)


def test_raw_bytes_of_an_old_st_link(desk):
    raw = "\x06\x6b\xff\x30\x35\x34\x4e\x50\x43\x14\x12\x38"
    desk.plug(raw, 0x3748, port=None)
    assert [probe.serial for probe in find_probes()] == [SERIAL]


def test_systems_without_a_list_of_usb_devices(desk, nucleo, monkeypatch):
    monkeypatch.setattr(probes, "USB_DEVICES", desk.folder / "absent")
    desk.ports.append(
        SimpleNamespace(device="COM7", vid=0x0483, pid=0x374B, serial_number=SERIAL, location=None)
    )
    probe = choose_probe(nucleo)
    assert (probe.serial, probe.ports, probe.accessible) == (SERIAL, ("COM7",), True)


def test_a_probe_that_is_pulled_while_it_is_looked_at(desk):
    desk.plug()
    (desk.devices / "1-4/idProduct").unlink()
    desk.ports.clear()
    assert find_probes() == ()
