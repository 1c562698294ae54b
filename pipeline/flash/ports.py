"""A board's serial line: which port it is, who else holds it, and how to open it."""

from __future__ import annotations

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.boards import Board
from pipeline.errors import TargetFailed, UsageError
from pipeline.flash.places import place_url
from pipeline.flash.probes import Probe, choose_probe, find_probes, port_of

PROC = Path("/proc")
POLL_S = 0.05
# A line that takes no bytes is given up after this long.
WRITE_TIMEOUT_S = 10.0


class OpenPort(Protocol):
    """What is used of a port that pyserial has opened."""

    timeout: float | None

    @property
    def in_waiting(self) -> int: ...
    def read(self, size: int = 1, /) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...
    def reset_input_buffer(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Line:
    """A serial port that leads to a board."""

    port: str
    """A device, or a URL that pyserial knows."""
    probe: Probe | None
    """The ST-LINK whose virtual COM port it is; None where that is not known, or it is elsewhere."""

    @property
    def is_remote(self) -> bool:
        return "://" in self.port

    def __str__(self) -> str:
        return f"{self.port} of the {self.probe.kind} {self.probe.serial}" if self.probe else self.port


def find_line(
    board: Board, port: str | None = None, probe: str | None = None, place: str | None = None
) -> Line:
    """The port that was named, that of a labgrid place, or that of the probe that is found.

    Raises FlashFailed as choose_probe does, and E_VCP_MISSING; UsageError E_PORT_AND_PLACE; what place_url
    raises.
    """
    check_named(port, place)
    if place:
        return Line(place_url(place), None)
    if port is None:
        chosen = choose_probe(board, probe)
        return Line(port_of(chosen), chosen)
    if "://" in port:
        return Line(port, None)
    device = os.path.realpath(port)
    owner = next((p for p in find_probes() if device in {os.path.realpath(known) for known in p.ports}), None)
    return Line(port, owner)


def check_named(port: str | None, place: str | None) -> None:
    """UsageError E_PORT_AND_PLACE where two lines are named."""
    if port and place:
        raise UsageError(
            f"two serial lines are named: the port {port} and the labgrid place {place!r}",
            code="E_PORT_AND_PLACE",
            hint="leave one of --port and --place out, also of deploy.toml",
        )


def check_line(line: Line) -> None:
    """Refuse a port that is not there, not permitted, or held by another process. TargetFailed E_PORT_...

    A remote one is left to the attempt to open it.
    """
    if line.is_remote or platform.system() == "Windows":
        return
    device = Path(line.port)
    if not device.exists():
        raise _missing(line.port)
    if not os.access(device, os.R_OK | os.W_OK):
        raise _forbidden(line.port)
    holders = list(_holders(device))
    if holders:
        raise _busy(line.port, holders)


@contextmanager
def open_line(line: Line, baud: int) -> Iterator[OpenPort]:
    """The open port, this process's alone. TargetFailed E_PORT_..."""
    import serial

    check_line(line)
    # pyserial's RFC 2217 knows neither; its sockets have time limits of their own.
    options: dict[str, float] = (
        {} if line.is_remote else {"exclusive": True, "write_timeout": WRITE_TIMEOUT_S}
    )
    try:
        port: OpenPort = serial.serial_for_url(  # type: ignore[no-untyped-call]
            _url(line.port), baudrate=baud, timeout=POLL_S, **options
        )
    except (OSError, ValueError, NotImplementedError) as error:
        raise _not_opened(line, error) from error
    try:
        port.reset_input_buffer()
        yield _SteadyPort(port) if line.port.startswith("rfc2217:") else port
    finally:
        port.close()


class _SteadyPort:
    """A port whose time limit costs nothing to change: over RFC 2217 each change is negotiated anew."""

    def __init__(self, port: OpenPort) -> None:
        self._port = port
        self.timeout: float | None = POLL_S

    @property
    def in_waiting(self) -> int:
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        waiting = min(size, self.in_waiting)
        return self._port.read(waiting or 1) if waiting or self.timeout else b""

    def write(self, data: bytes, /) -> int | None:
        return self._port.write(data)

    def reset_input_buffer(self) -> None:
        self._port.reset_input_buffer()

    def close(self) -> None:
        self._port.close()


def _url(port: str) -> str:
    """An ST-LINK has no control lines to set: not every server answers where one asks for that."""
    return f"{port}?ign_set_control" if port.startswith("rfc2217:") and "?" not in port else port


def _holders(device: Path) -> Iterator[str]:
    """Other processes that have the device open, by name and id: Linux tells, for this user's own."""
    wanted = os.path.realpath(device)
    for process in PROC.glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            if any(os.path.realpath(entry) == wanted for entry in (process / "fd").iterdir()):
                name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
                yield f"{name} (process {process.name})"
        except OSError:
            continue


def _not_opened(line: Line, error: Exception) -> TargetFailed:
    number = getattr(error, "errno", None)
    if number in {errno.EACCES, errno.EPERM} or "Access is denied" in str(error):
        return _forbidden(line.port)
    if number in {errno.EBUSY, errno.EAGAIN} or "exclusively lock" in str(error):
        return _busy(line.port, [])
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return _missing(line.port)
    return TargetFailed(
        f"{line.port} cannot be opened: {error}",
        code="E_PORT_OPEN",
        hint=(
            "does its server run, and does a firewall let it through? ser2net, or on the machine with the "
            "board: python -m serial.rfc2217 is part of pyserial's examples"
            if line.is_remote
            else "name a serial port with --port, such as /dev/ttyACM0, COM3 or socket://host:4000"
        ),
    )


def _missing(port: str) -> TargetFailed:
    return TargetFailed(
        f"there is no serial port {port}",
        code="E_PORT_MISSING",
        hint="leave --port out to have the board's own found; python -m serial.tools.list_ports lists all",
    )


def _forbidden(port: str) -> TargetFailed:
    group = _group_of(port)
    return TargetFailed(
        f"you may not use the serial port {port}",
        code="E_PORT_PERMISSION",
        hint=f"sudo usermod -a -G {group} $USER, then log out and in again (at once: newgrp {group})",
    )


def _group_of(port: str) -> str:
    """The group that owns the port: dialout on Debian and Ubuntu, uucp on Arch."""
    try:
        return Path(port).group()
    except (OSError, KeyError, NotImplementedError):
        return "dialout"


def _busy(port: str, holders: list[str]) -> TargetFailed:
    by = " and ".join(holders) if holders else "a process of another user"
    wait = "; ModemManager lets go within half a minute" if "ModemManager" in by else ""
    return TargetFailed(
        f"the serial port {port} is held by {by}",
        code="E_PORT_BUSY",
        hint=f"end it (a terminal program? another measurement?){wait}",
    )
