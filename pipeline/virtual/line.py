"""The console's other end: one TCP connection on 127.0.0.1."""

from __future__ import annotations

import select
import socket
import time
from contextlib import suppress

from pipeline.errors import TargetFailed

CONNECT_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 10.0
IDLE_WAIT_S = 0.02


class LineLost(Exception):
    """Nobody listens any more."""


class SocketLine:
    """Bytes to and from whoever connects; used by the emulator's thread alone, but for `close`."""

    def __init__(self, port: int | None) -> None:
        """Listen. TargetFailed E_PORT_BUSY."""
        self._server = socket.socket()
        try:
            self._server.bind(("127.0.0.1", port or 0))
        except OSError as error:
            self._server.close()
            raise TargetFailed(
                f"TCP port {port} is in use by another program",
                code="E_PORT_BUSY",
                hint="leave the port out to have a free one chosen, or name another",
            ) from error
        self._server.listen(1)
        self.port = int(self._server.getsockname()[1])
        self._peer: socket.socket | None = None
        self._closed = False
        self._incoming = b""
        self._next = 0
        self._outgoing = bytearray()

    def accept(self) -> None:
        """Wait for the host. LineLost when it does not come."""
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while not self._closed and time.monotonic() < deadline:
            try:
                if select.select([self._server], [], [], IDLE_WAIT_S)[0]:
                    self._peer, _ = self._server.accept()
                    self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._peer.settimeout(SEND_TIMEOUT_S)
                    return
            except (OSError, ValueError) as error:
                raise LineLost from error
        raise LineLost

    def send(self, byte: int) -> None:
        self._outgoing.append(byte)
        if byte == ord("\n"):
            self.flush()

    def flush(self) -> None:
        if self._outgoing and self._peer is not None:
            try:
                self._peer.sendall(self._outgoing)
            except OSError as error:
                raise LineLost from error
            self._outgoing.clear()

    def has_input(self, *, wait: bool) -> bool:
        """Whether a byte is there; with `wait`, a short while later."""
        if self._next < len(self._incoming):
            return True
        self.flush()
        try:
            if self._peer is None or not select.select([self._peer], [], [], IDLE_WAIT_S if wait else 0)[0]:
                return False
            self._incoming = self._peer.recv(65536)
        except (OSError, ValueError) as error:
            raise LineLost from error
        self._next = 0
        if not self._incoming:
            raise LineLost
        return True

    def take(self) -> int | None:
        if not self.has_input(wait=False):
            return None
        byte = self._incoming[self._next]
        self._next += 1
        return byte

    def close(self) -> None:
        """From any thread, as often as you like."""
        self._closed = True
        for end in (self._peer, self._server):
            if end is not None:
                with suppress(OSError):  # it was not connected
                    end.shutdown(socket.SHUT_RDWR)
                end.close()
