"""A simulator as a child process, with its console behind a TCP port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pipeline.errors import TargetFailed
from pipeline.runners.protocol import Port

CONNECT_TIMEOUT_S = 10.0
END_TIMEOUT_S = 3.0
POLL_S = 0.02
ERROR_LINES = 12


class Child:
    """A running simulator: what it writes to its error channel is kept, for when it ends too early."""

    def __init__(
        self, command: Sequence[str], environment: dict[str, str] | None = None, *, family: bool = False
    ) -> None:
        """`family`: what the command starts in turn is ended with it: it may be a shell script."""
        self.name = Path(command[0]).name
        self._family = family
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                start_new_session=family,
            )
        except OSError as error:
            raise TargetFailed(
                f"{command[0]} cannot be started: {error.strerror}", code="E_SIMULATOR_EXITED"
            ) from error
        self._said: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._threads = [
            threading.Thread(target=self._keep, args=(name, stream), daemon=True)
            for name, stream in (("stdout", self._process.stdout), ("stderr", self._process.stderr))
            if stream is not None
        ]
        for thread in self._threads:
            thread.start()

    def _keep(self, name: str, stream: IO[bytes]) -> None:
        for line in stream:
            self._said[name].append(line.decode(errors="replace").rstrip())

    @property
    def output(self) -> tuple[str, ...]:
        return tuple(self._said["stdout"])

    @property
    def errors(self) -> tuple[str, ...]:
        return tuple(self._said["stderr"])

    def ended(self, wait_s: float = 0.0) -> int | None:
        """The exit status, or None while it runs."""
        try:
            status = self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return None
        for thread in self._threads:
            thread.join(END_TIMEOUT_S)
        return status

    def end(self) -> None:
        """Leave nothing running, whatever it takes."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            if self.ended(END_TIMEOUT_S) is None:
                self._signal(signal.SIGKILL)
                self._process.wait()
        if self._family:
            self._signal(signal.SIGKILL)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _signal(self, number: signal.Signals) -> None:
        if not self._family:
            self._process.send_signal(number)
            return
        # Nobody is left, or (on macOS) nobody who still runs.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def failure(self) -> TargetFailed:
        """Why it is gone."""
        status = self.ended(END_TIMEOUT_S)
        what = "closed its console" if status is None else f"ended with status {status}"
        return TargetFailed(
            f"{self.name} {what} in the middle of the conversation",
            code="E_SIMULATOR_EXITED",
            hint="what it said may tell why",
            details=self.errors[:ERROR_LINES] or ("it wrote nothing to its error channel",),
        )


def port_busy(what: str) -> TargetFailed:
    """`what` names the port."""
    return TargetFailed(
        f"{what} is in use by another program",
        code="E_PORT_BUSY",
        hint="leave the port out to have a free one chosen, or name another",
    )


def wait_for_words(child: Child, words: str) -> None:
    """Until the child has written these words: before that, the port may be another program's."""
    deadline = time.monotonic() + CONNECT_TIMEOUT_S
    while not any(words in line for line in (*child.output, *child.errors)):
        if child.ended(POLL_S) is not None:
            raise child.failure()
        if time.monotonic() > deadline:
            raise TargetFailed(
                f"{child.name} is not ready within {CONNECT_TIMEOUT_S:g} s",
                code="E_TARGET_SILENT",
                details=child.errors[:ERROR_LINES],
            )


def free_port() -> int:
    """A port that was free a moment ago; somebody may take it in between."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def open_socket(child: Child, number: int, patience_s: float = CONNECT_TIMEOUT_S) -> Iterator[Port]:
    """The child's console through pyserial, as a board's port would be opened."""
    import serial

    deadline = time.monotonic() + patience_s
    while True:
        try:
            port: Port = serial.serial_for_url(  # type: ignore[no-untyped-call]
                f"socket://127.0.0.1:{number}", timeout=0.05
            )
            break
        except serial.SerialException:
            if child.ended() is not None:
                raise child.failure() from None
            if time.monotonic() > deadline:
                raise TargetFailed(
                    f"{child.name} does not open port {number} within {patience_s:g} s",
                    code="E_TARGET_SILENT",
                    details=child.errors[:ERROR_LINES],
                ) from None
            time.sleep(POLL_S)
    try:
        yield port
    finally:
        port.close()
