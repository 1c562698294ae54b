"""A board in somebody's rack: the serial port of a labgrid place, and the debug probe beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pipeline.boards import Board
from pipeline.errors import FlashFailed, TargetFailed, UsageError
from pipeline.flash.probes import PRODUCTS, VENDOR_ID, Probe
from pipeline.flash.programmers import Command, OpenOcd, Site, flash_names

COORDINATOR = "127.0.0.1:20408"
# Of the resources that labgrid's exporter hands out.
SERIAL_PORT, DEBUGGER = "NetworkSerialPort", "NetworkUSBDebugger"


def place_url(name: str) -> str:
    """The URL under which pyserial opens the serial port of a place that this user has acquired.

    The coordinator is the one of LG_COORDINATOR. Raises UsageError E_LABGRID_MISSING, TargetFailed E_PLACE.
    """
    found = [entry for entry in _resources(name) if entry.cls == SERIAL_PORT]
    if len(found) != 1:
        raise _refused(name, f"it has {len(found)} resources {SERIAL_PORT}, expected one")
    port = found[0].args
    scheme = "socket" if port.get("protocol", "rfc2217") == "raw" else "rfc2217"
    return f"{scheme}://{port['host']}:{port['port']}"


def place_programmer(board: Board, name: str) -> tuple[OpenOcd, Probe] | None:
    """OpenOCD on the machine that has the place's ST-LINK, and that ST-LINK; None where it exports none.

    Raises what place_url does; FlashFailed E_FLASH_NO_PROBE, E_FLASH_NO_TOOL; UsageError E_FLASH_BOARD,
    E_FLASH_TOOL_UNKNOWN.
    """
    if not OpenOcd.knows(flash_names(board)):
        raise UsageError(
            f"OpenOCD, which writes the flash of a place, does not know the chip of {board.name}",
            code="E_FLASH_TOOL_UNKNOWN",
            hint="name its files with the key openocd of [flash] in board.toml",
        )
    found = [entry for entry in _resources(name) if entry.cls == DEBUGGER]
    if not found:
        return None
    if len(found) > 1:
        raise _refused(name, f"it has {len(found)} resources {DEBUGGER}, expected one")
    probe, site = _probe(name, found[0]), _Exporter(name, found[0])
    programmer = OpenOcd("openocd", site)
    if not programmer.answers:
        raise FlashFailed(
            f"OpenOCD cannot be run on {probe.host}, which has the board of the place {name!r}",
            code="E_FLASH_NO_TOOL",
            hint=f"ssh {probe.host} openocd --version has to work, without a password; there: "
            "sudo apt install openocd",
        )
    return programmer, probe


class _Exporter(Site):
    """The machine that exports a place's resource: commands run there over ssh, files are copied there.

    Both are labgrid's own doing: it keeps one connection a machine, and what it has copied once.
    """

    def __init__(self, place: str, entry: Any) -> None:
        from labgrid import Target
        from labgrid.resource.remote import NetworkUSBDebugger

        self._place = place
        self._resource = NetworkUSBDebugger(Target(place), None, **entry.args)
        # Which of the two machines ssh has to go to is told beside the arguments.
        self._resource.extra = entry.extra

    def command(self, command: Command) -> Command:
        try:
            return list(self._resource.wrap_command(command))
        except Exception as error:  # labgrid's own, and those of the processes that it starts
            raise self._unreachable(error) from error

    def image(self, path: Path) -> Path:
        from labgrid.util.managedfile import ManagedFile

        try:
            file = ManagedFile(str(path), self._resource)
            file.sync_to_resource()
            return Path(file.get_remote_path())
        except Exception as error:  # of labgrid, ssh and OpenOCD, which share no class
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> FlashFailed:
        host = self._resource.host
        return FlashFailed(
            f"{host}, which has the board of the place {self._place!r}, is not reached over ssh: {error}",
            code="E_PLACE_HOST",
            hint=f"ssh {host} true has to work without a password, and /var/cache/labgrid has to be there "
            "and yours to write; labgrid's documentation calls that machine the exporter",
        )


def _probe(name: str, entry: Any) -> Probe:
    """The ST-LINK of a resource: labgrid tells where it is plugged in, not its serial number."""
    facts = entry.args
    vendor, product = facts.get("vendor_id"), facts.get("model_id")
    if not entry.avail or not facts.get("path"):
        raise FlashFailed(
            f"the ST-LINK of the place {name!r} is not connected",
            code="E_FLASH_NO_PROBE",
            hint=f"labgrid-client -p {name} show tells on which machine it should be",
        )
    if vendor != VENDOR_ID or product not in PRODUCTS:
        raise _refused(name, f"its debug probe {vendor or 0:04x}:{product or 0:04x} is no ST-LINK")
    return Probe("", product, facts["path"], (), "", accessible=True, host=facts["host"])


def _resources(name: str) -> list[Any]:
    """labgrid's entries of what the place lends, which this user has acquired."""
    try:
        from labgrid.remote.client import start_session
    except ImportError as error:
        raise UsageError(
            "a labgrid place was named, and labgrid is not installed",
            code="E_LABGRID_MISSING",
            hint="pip install 'stm32-deploy[labgrid]'",
        ) from error
    coordinator = os.environ.get("LG_COORDINATOR", COORDINATOR)
    try:
        session = start_session(coordinator)
    except Exception as error:  # gRPC's, asyncio's and labgrid's own, which share no class
        raise _refused(name, f"its coordinator at {coordinator} does not answer: {error}") from error
    try:
        place = session.get_acquired_place(name)
        return list(session.get_target_resources(place).values())
    except Exception as error:  # as above; the words are labgrid's
        raise _refused(name, str(error)) from error
    finally:
        session.loop.run_until_complete(session.stop())


def _refused(name: str, why: str) -> TargetFailed:
    return TargetFailed(
        f"the labgrid place {name!r} cannot be used: {why}",
        code="E_PLACE",
        hint=f"labgrid-client -p {name} acquire; labgrid-client -p {name} show lists what it has",
    )
