"""Ports that need no target: the C harness inside this process, and a port that says what it is told to."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

from small_model import small_tree

from pipeline.boards import load_board
from pipeline.build import Firmware, write_tree
from pipeline.render import DIGEST_FILE

HAL = Path(__file__).with_name("memory_hal.c")
# What the last layer costs on the test's clock, besides what a read costs.
LAST_LAYER_COUNTS = 1234


def compile_library(folder: Path) -> tuple[ctypes.CDLL, Firmware]:
    """The small model with harness and memory HAL as a shared library."""
    board = load_board("host")
    last = f"extern uint64_t test_clock; test_clock += {LAST_LAYER_COUNTS}u;"
    tree = small_tree(board, last=last)
    write_tree(tree, folder)
    sources = [p for p in tree.files if p.endswith(".c") and "soc/" not in p and "main.c" not in p]
    library = folder / "target.so"
    subprocess.run(
        ["cc", "-std=c11", "-O1", "-shared", "-fPIC", "-I.", *sources, str(HAL), "-o", str(library)],
        cwd=folder,
        check=True,
    )
    assert DIGEST_FILE in tree.files
    loaded = ctypes.CDLL(str(library))
    loaded.harness_start()
    return loaded, a_firmware(tree.digest, folder)


def a_firmware(digest: str, folder: Path = Path()) -> Firmware:
    """As much of a firmware as a conversation looks at."""
    return Firmware(folder / "absent.elf", "host", digest, (), (), 0, 0, {}, {}, "", ())


class Clock:
    """Time passes only while somebody waits for it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


Wire = Callable[[int, int], bytes]
"""(index of a byte since the start, the byte) -> what arrives in its place."""


def perfect(index: int, byte: int) -> bytes:
    return bytes((byte,))


class LibraryPort:
    """The C harness behind two wires."""

    def __init__(
        self, library: ctypes.CDLL, clock: Clock, to_target: Wire = perfect, to_host: Wire = perfect
    ) -> None:
        self.timeout: float | None = 0
        self._library, self._clock = library, clock
        self._to_target, self._to_host = to_target, to_host
        self.sent = self.received = 0
        self._arrived = b""
        self._room = ctypes.create_string_buffer(1 << 20)
        library.test_feed(b"%", 1)  # whatever the last test left
        library.test_take(self._room, len(self._room))
        ctypes.c_uint64.in_dll(library, "test_clock").value = 0

    def write(self, data: bytes) -> int:
        for byte in data:
            arrives = self._to_target(self.sent, byte)
            self._library.test_feed(arrives, len(arrives))
            self.sent += 1
        return len(data)

    def read(self, size: int = 1) -> bytes:
        count = self._library.test_take(self._room, len(self._room))
        for byte in self._room.raw[:count]:
            self._arrived += self._to_host(self.received, byte)
            self.received += 1
        if not self._arrived:
            self._clock.now += self.timeout or 0.001
        data, self._arrived = self._arrived[:size], self._arrived[size:]
        return data

    def close(self) -> None:
        pass


class ScriptPort:
    """Says `script(number of writes so far, data written)` after each write, and `first` at the start."""

    def __init__(
        self, clock: Clock, first: bytes = b"", script: Callable[[int, bytes], bytes] = lambda n, d: b""
    ) -> None:
        self.timeout: float | None = 0
        self._clock, self._script = clock, script
        self._arrived, self._writes = first, 0
        self.ends = False
        """Whether the port is closed when it has said all."""

    def write(self, data: bytes) -> int:
        self._arrived += self._script(self._writes, data)
        self._writes += 1
        return len(data)

    def read(self, size: int = 1) -> bytes:
        if not self._arrived:
            if self.ends:
                raise OSError("socket disconnected")
            self._clock.now += self.timeout or 0.001
        data, self._arrived = self._arrived[:size], self._arrived[size:]
        return data

    def close(self) -> None:
        pass
