"""A pretended labgrid: what is used of version 26, and a machine whose commands run here."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

RFC2217 = {"host": "rack1", "port": 40123, "speed": 115200, "protocol": "rfc2217"}
DEBUGGER = {
    "host": "rack1", "busnum": 1, "devnum": 5, "path": "1-4.2", "vendor_id": 0x0483, "model_id": 0x374B,
}  # fmt: skip
# In place of a login on the other machine: its shell, which takes the words apart again.
SSH = """#!/bin/sh
[ "$1" = rack1 ] && [ "$2" = -- ] && shift 2 && exec /bin/sh -c "$*"
"""


class Labgrid:
    """A coordinator with one place, acquired."""

    def __init__(self, folder: Path, bin_folder: Path, monkeypatch: Any) -> None:
        self.resources: dict[str, dict[str, Any]] = {"NetworkSerialPort": RFC2217, "NetworkPowerPort": {}}
        self.avail = True
        self.stopped: list[str] = []
        self.asked: list[str] = []
        self.copied: list[tuple[Path, Path]] = []
        self.failure: Exception | None = None
        self.ssh_failure: Exception | None = None
        self.loop = SimpleNamespace(run_until_complete=self.stopped.append)
        self.resource: Any = None
        self.shares_files = False
        """Whether the machine has this one's files under the same names, as over NFS: none is copied then."""
        self._cache = folder / "another machine"
        (bin_folder / "ssh").write_text(SSH)
        (bin_folder / "ssh").chmod(0o755)
        modules = {
            "labgrid": {"Target": lambda name: name},
            "labgrid.remote": {},
            "labgrid.remote.client": {"start_session": self.start_session},
            "labgrid.resource": {},
            "labgrid.resource.remote": {"NetworkUSBDebugger": self.make_debugger},
            "labgrid.util": {},
            "labgrid.util.managedfile": {"ManagedFile": self.make_file},
        }
        for name, parts in modules.items():
            module = ModuleType(name)
            vars(module).update(parts)
            monkeypatch.setitem(sys.modules, name, module)

    def start_session(self, address: str) -> Labgrid:
        self.address = address
        if self.failure and self.failure.args == ("unreachable",):
            raise self.failure
        return self

    def get_acquired_place(self, name: str) -> str:
        if self.failure:
            raise self.failure
        self.asked.append(name)
        return name

    def get_target_resources(self, place: str) -> dict[tuple[str, str], Any]:
        return {
            ("rack", kind): SimpleNamespace(
                cls=kind, args=dict(facts), extra={"proxy_required": False}, avail=self.avail
            )
            for kind, facts in self.resources.items()
        }

    def stop(self) -> str:
        return "stop"

    def make_debugger(self, target: str, name: None, **facts: Any) -> Any:
        assert set(facts) == set(DEBUGGER), "labgrid's resource takes these and no other"
        self.resource = SimpleNamespace(**facts, wrap_command=self.wrap_command)
        return self.resource

    def wrap_command(self, command: list[str]) -> list[str]:
        if self.ssh_failure:
            raise self.ssh_failure
        return ["ssh", "rack1", "--", *map(shlex.quote, command)]

    def make_file(self, path: str, resource: Any) -> Any:
        assert resource is self.resource
        there = Path(path) if self.shares_files else self._cache / Path(path).name

        def sync_to_resource() -> None:
            if self.ssh_failure:
                raise self.ssh_failure
            if self.shares_files:
                return
            self._cache.mkdir(exist_ok=True)
            shutil.copy(path, there)
            self.copied.append((Path(path), there))

        return SimpleNamespace(sync_to_resource=sync_to_resource, get_remote_path=lambda: str(there))
