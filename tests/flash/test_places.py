"""A labgrid place, with a pretended labgrid."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from pipeline.errors import TargetFailed, UsageError
from pipeline.flash.places import place_url
from pipeline.flash.ports import find_line

RFC2217 = {"host": "rack1", "port": 40123, "speed": 115200, "protocol": "rfc2217"}


@pytest.fixture
def labgrid(monkeypatch):
    """The two functions of labgrid 26 that are used, and the session that they lead to."""
    session = SimpleNamespace(
        resources={("console", "NetworkSerialPort"): RFC2217, ("power", "NetworkPowerPort"): {}},
        stopped=[], asked=[], failure=None,
    )  # fmt: skip

    def get_acquired_place(name):
        if session.failure:
            raise session.failure
        session.asked.append(name)
        return name

    session.get_acquired_place = get_acquired_place
    session.get_target_resources = lambda place: {
        key: SimpleNamespace(cls=key[1], params=params) for key, params in session.resources.items()
    }
    session.stop = lambda: "stop"
    session.loop = SimpleNamespace(run_until_complete=session.stopped.append)

    def start_session(address):
        session.address = address
        if session.failure and session.failure.args == ("unreachable",):
            raise session.failure
        return session

    client = ModuleType("labgrid.remote.client")
    client.start_session = start_session
    for name in ("labgrid", "labgrid.remote"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "labgrid.remote.client", client)
    return session


def test_the_port_of_a_place(labgrid, nucleo, monkeypatch):
    monkeypatch.setenv("LG_COORDINATOR", "farm:20408")
    line = find_line(nucleo, place="nucleo-3")
    assert (line.port, line.probe, line.is_remote) == ("rfc2217://rack1:40123", None, True)
    assert (labgrid.asked, labgrid.address, labgrid.stopped) == (["nucleo-3"], "farm:20408", ["stop"])


def test_a_raw_port(labgrid):
    labgrid.resources["console", "NetworkSerialPort"] = {**RFC2217, "protocol": "raw"}
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
    del labgrid.resources["console", "NetworkSerialPort"]
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
