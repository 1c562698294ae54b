"""Which ST-LINKs are connected, and which of them is meant."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.boards import Board
from pipeline.errors import FlashFailed

VENDOR_ID = 0x0483
# Product ids of OpenOCD's interface/stlink.cfg and pyOCD's table; the last words tell ST's variants apart.
PRODUCTS = {
    0x3748: "ST-LINK/V2",
    0x374A: "ST-LINK/V2-1",
    0x374B: "ST-LINK/V2-1",
    0x3752: "ST-LINK/V2-1",
    0x374D: "STLINK-V3 in its loader",
    0x374E: "STLINK-V3E",
    0x374F: "STLINK-V3",
    0x3753: "STLINK-V3 with two serial lines",
    0x3754: "STLINK-V3 without a disk",
    0x3755: "STLINK-V3",
    0x3757: "STLINK-V3PWR",
}
UDEV_FILE = "/etc/udev/rules.d/70-st-link.rules"
UDEV_RULE = 'SUBSYSTEMS=="usb", ATTRS{idVendor}=="0483", ATTRS{idProduct}=="37*", MODE="0660", TAG+="uaccess"'
# Where Linux tells of USB devices, device nodes and disks.
USB_DEVICES = Path("/sys/bus/usb/devices")
DEV = Path("/dev")


class SerialPort(Protocol):
    """What is used of an entry of pyserial's list of ports."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    location: str | None


@dataclass(frozen=True, slots=True)
class Probe:
    """An ST-LINK that is connected."""

    serial: str
    product_id: int
    location: str
    """Where it is plugged in, such as `1-4.2`: bus and ports; empty where the system does not tell."""
    ports: tuple[str, ...]
    """Devices of its virtual COM ports: none, one, or two."""
    label: str
    """Its disk's name, which tells the board, such as `NOD_L4R5ZI`; empty where there is none."""
    accessible: bool
    """Whether this user may talk to it."""
    host: str = ""
    """The other machine that it is plugged in at, where only `location` is known; empty: this one."""

    @property
    def kind(self) -> str:
        return PRODUCTS[self.product_id]

    @property
    def name(self) -> str:
        """What tells it from others: its serial number, or where it is plugged in."""
        return self.serial or f"at {self.location} of {self.host}"

    def __str__(self) -> str:
        facts = [self.kind, self.label, self.ports[0] if self.ports else "no virtual COM port"]
        return f"{self.serial} ({', '.join(fact for fact in facts if fact)})"

    def is_on(self, board: Board) -> bool:
        """Whether the disk's name is this board's: what follows `_` in it is part of the board's name."""
        _, _, chip = self.label.partition("_")
        return bool(chip) and chip.lower() in board.name.lower()


def find_probes(comports: Callable[[], Iterable[SerialPort]] | None = None) -> tuple[Probe, ...]:
    """Every ST-LINK, by serial number: from Linux's USB devices, elsewhere from the serial ports."""
    if comports is None:
        from serial.tools import list_ports

        comports = list_ports.comports  # type: ignore[attr-defined]
    ports = sorted(
        (port for port in comports() if port.vid == VENDOR_ID and port.pid in PRODUCTS),
        key=lambda port: port.device,
    )
    found = {probe.serial: probe for probe in _usb_probes(ports)}
    for port in ports:
        serial = readable_serial(port.serial_number or "")
        if serial not in found:
            devices = tuple(p.device for p in ports if readable_serial(p.serial_number or "") == serial)
            place = (port.location or "").partition(":")[0]
            found[serial] = Probe(serial, port.pid or 0, place, devices, "", accessible=True)
    return tuple(found[serial] for serial in sorted(found))


def readable_serial(serial: str) -> str:
    """As programs name it: some ST-LINK/V2 report twelve raw bytes where others report their hex digits."""
    if len(serial) == 12 and not serial.isalnum():
        return "".join(f"{ord(letter) & 0xFF:02X}" for letter in serial)
    return serial


def choose_probe(board: Board, wanted: str | None = None, probes: tuple[Probe, ...] | None = None) -> Probe:
    """The probe of this serial number (or part of it, or disk's name), else the only one, else this board's.

    Raises FlashFailed: E_FLASH_NO_PROBE, E_FLASH_MANY_PROBES, E_FLASH_PERMISSION.
    """
    known = find_probes() if probes is None else probes
    fitting = [probe for probe in known if _is_meant(probe, wanted)]
    if not fitting:
        raise _no_probe(known, wanted)
    if len(fitting) > 1:
        fitting = [probe for probe in fitting if probe.is_on(board)] or fitting
    if len(fitting) > 1:
        raise FlashFailed(
            f"{len(fitting)} ST-LINKs are connected, and any of them may be the {board.name}",
            code="E_FLASH_MANY_PROBES",
            hint=f"choose one with --probe {fitting[0].serial}, or PROBE={fitting[0].serial} with make",
            details=map(str, fitting),
        )
    (probe,) = fitting
    if not probe.accessible:
        raise permission_denied(probe)
    return probe


def permission_denied(probe: Probe) -> FlashFailed:
    """The probe is there, and this user may not talk to it."""
    return FlashFailed(
        f"you may not talk to the ST-LINK {probe.serial}",
        code="E_FLASH_PERMISSION",
        hint=f"echo '{UDEV_RULE}' | sudo tee {UDEV_FILE} && sudo udevadm control --reload && "
        "sudo udevadm trigger; then pull the cable and plug it in again",
        details=[f"a udev rule gives the permission: {UDEV_RULE}"],
    )


def port_of(probe: Probe) -> str:
    """The device of its virtual COM port. FlashFailed E_VCP_MISSING."""
    if probe.ports:
        return probe.ports[0]
    linux = "is the kernel's module cdc_acm loaded (sudo modprobe cdc_acm)? "
    raise FlashFailed(
        f"the ST-LINK {probe.serial} ({probe.kind}) shows no virtual COM port",
        code="E_VCP_MISSING",
        hint=(linux if platform.system() == "Linux" else "is ST's driver installed? ")
        + "else name the port with --port, or update the ST-LINK's firmware with STM32CubeProgrammer",
    )


def _is_meant(probe: Probe, wanted: str | None) -> bool:
    if not wanted:
        return True
    return wanted.lower() in probe.serial.lower() or wanted.lower() == probe.label.lower()


def _no_probe(known: tuple[Probe, ...], wanted: str | None) -> FlashFailed:
    if known:
        return FlashFailed(
            f"no ST-LINK has {wanted!r} in its serial number",
            code="E_FLASH_NO_PROBE",
            hint="leave --probe out, or give one of these",
            details=map(str, known),
        )
    release = platform.release().lower()
    if "microsoft" in release:
        hint = (
            "Windows keeps USB to itself: usbipd list, then usbipd attach --wsl --busid BUSID, in PowerShell"
        )
    elif Path("/.dockerenv").exists():
        hint = "a container sees no USB: start it with --device /dev/bus/usb --device /dev/ttyACM0"
    else:
        hint = (
            "plug a USB cable that carries data into the board's ST-LINK connector; its LED LD1 lights up "
            "(COM), and lsusb lists 0483:37xx"
        )
    return FlashFailed("no ST-LINK is connected", code="E_FLASH_NO_PROBE", hint=hint)


# --- Linux --------------------------------------------------------------------------------------------


def _usb_probes(ports: list[SerialPort]) -> Iterable[Probe]:
    for folder in sorted(USB_DEVICES.glob("*")) if USB_DEVICES.is_dir() else []:
        vendor, product = _number(folder / "idVendor"), _number(folder / "idProduct")
        if vendor != VENDOR_ID or product not in PRODUCTS:
            continue
        serial = readable_serial(_line(folder / "serial"))
        yield Probe(
            serial=serial,
            product_id=product,
            location=folder.name,
            ports=tuple(
                port.device
                for port in ports
                if (port.location or "").partition(":")[0] == folder.name
                or (not port.location and readable_serial(port.serial_number or "") == serial)
            ),
            label=_label(folder),
            accessible=_is_accessible(folder),
        )


def _line(file: Path) -> str:
    try:
        # The kernel hands on a serial number's bytes as they are: latin-1 reads them one by one.
        return file.read_text(encoding="latin-1").strip("\n")
    except OSError:
        return ""


def _number(file: Path) -> int:
    try:
        return int(_line(file), 16)
    except ValueError:
        return 0


def _is_accessible(folder: Path) -> bool:
    """By the device node's own permissions, whichever rule gave them; true where there is no node to ask."""
    try:
        node = DEV / "bus/usb" / f"{int(_line(folder / 'busnum')):03}" / f"{int(_line(folder / 'devnum')):03}"
    except ValueError:
        return True
    return not node.exists() or os.access(node, os.R_OK | os.W_OK)


def _label(folder: Path) -> str:
    """The name of the disk that the ST-LINK shows, by udev's links."""
    disks = {path.name for path in folder.glob("*:*/host*/target*/*/block/*")}
    for link in sorted((DEV / "disk/by-label").glob("*")):
        if link.resolve().name in disks:
            return link.name
    return ""
