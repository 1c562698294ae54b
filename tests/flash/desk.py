"""A desk without a board: imitated programs, USB devices and serial ports."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.flash import probes, programmers

TOOLS = ("STM32_Programmer_CLI", "openocd", "st-flash", "probe-rs", "pyocd")
SERIAL = "066BFF3035344E5043141238"
OTHER = "0033003A3038510734333935"
L4R5 = "0x10076470"


class Desk:
    """What is connected and installed, as far as the product can see."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._monkeypatch = folder, monkeypatch
        self.bin, self.chip = folder / "bin", folder / "chip"
        self.devices, self.dev = folder / "sys", folder / "dev"
        for path in (self.bin, self.chip, self.devices, self.dev):
            path.mkdir()
        self.ports: list[SimpleNamespace] = []
        monkeypatch.setenv("PATH", f"{self.bin}:{Path(sys.executable).parent}")
        monkeypatch.setenv("FAKE_CHIP", str(self.chip))
        monkeypatch.setattr(probes, "USB_DEVICES", self.devices)
        monkeypatch.setattr(probes, "DEV", self.dev)
        monkeypatch.setattr("serial.tools.list_ports.comports", lambda: list(self.ports))
        monkeypatch.setattr(programmers, "CUBE_FOLDERS", (folder / "cube",))
        self.holds()

    def holds(self, device_id: str = L4R5, trouble: str = "", register: str = "0xe0042000", **more) -> None:
        """The chip behind the ST-LINK."""
        state = {"device_id": device_id, "serial": SERIAL, "trouble": trouble, "register": register, **more}
        (self.chip / "state.json").write_text(json.dumps(state))

    def install(self, *names: str, folder: Path | None = None) -> None:
        source = Path(__file__).with_name("fake_tool.py").read_text()
        for name in (*names, *(["st-info"] if "st-flash" in names else [])):
            path = (folder or self.bin) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"#!{sys.executable} -IS\n{source}")
            path.chmod(0o755)

    def plug(
        self, serial: str = SERIAL, product: int = 0x374B, place: str = "1-4", label: str = "",
        port: str | None = "/dev/ttyACM0",
    ) -> Path:  # fmt: skip
        """An ST-LINK, as the kernel and pyserial tell of it; its device node."""
        number = len(list(self.devices.iterdir())) + 1
        folder = self.devices / place
        folder.mkdir()
        facts = {"idVendor": "0483", "idProduct": f"{product:04x}", "serial": serial, "busnum": "1",
                 "devnum": str(number), "product": "STM32 STLink"}  # fmt: skip
        for name, value in facts.items():
            (folder / name).write_bytes(value.encode("latin-1") + b"\n")
        node = self.dev / f"bus/usb/001/{number:03}"
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()
        if label:
            disk = f"sd{'abcdef'[number]}"
            (folder / f"{place}:1.1/host6/target6:0:0/6:0:0:0/block/{disk}").mkdir(parents=True)
            (self.dev / disk).touch()
            labels = self.dev / "disk/by-label"
            labels.mkdir(parents=True, exist_ok=True)
            (labels / label).symlink_to(f"../../{disk}")
        if port:
            self.ports.append(
                SimpleNamespace(device=port, vid=0x0483, pid=product, serial_number=serial,
                                location=f"{place}:1.2")
            )  # fmt: skip
        return node

    @property
    def commands(self) -> list[list[str]]:
        log = self.chip / "commands.jsonl"
        lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [line for line in lines if "--version" not in line]
