"""A board in somebody's rack: the serial port of a labgrid place."""

from __future__ import annotations

import os
from typing import Any

from pipeline.errors import TargetFailed, UsageError

COORDINATOR = "127.0.0.1:20408"


def place_url(name: str) -> str:
    """The URL under which pyserial opens the serial port of a place that this user has acquired.

    The coordinator is the one of LG_COORDINATOR. Raises UsageError E_LABGRID_MISSING, TargetFailed E_PLACE.
    """
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
        resources = [r for r in session.get_target_resources(place).values() if r.cls == "NetworkSerialPort"]
    except Exception as error:  # as above; the words are labgrid's
        raise _refused(name, str(error)) from error
    finally:
        session.loop.run_until_complete(session.stop())
    if len(resources) != 1:
        raise _refused(name, f"it has {len(resources)} resources NetworkSerialPort, expected one")
    return _url(resources[0].params)


def _url(port: dict[str, Any]) -> str:
    scheme = "socket" if port.get("protocol", "rfc2217") == "raw" else "rfc2217"
    return f"{scheme}://{port['host']}:{port['port']}"


def _refused(name: str, why: str) -> TargetFailed:
    return TargetFailed(
        f"the labgrid place {name!r} gives no serial port: {why}",
        code="E_PLACE",
        hint=f"labgrid-client -p {name} acquire; labgrid-client -p {name} show lists what it has",
    )
