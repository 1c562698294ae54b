"""A pretended board: the firmware's own C on this computer, behind a pseudo-terminal and its wires."""

from __future__ import annotations

import json
import os
import random
import select
import subprocess
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path

HAL = Path(__file__).with_name("board_hal.c")
Wire = Callable[[bytes], bytes]


def compile_sources(source: Path, image: Path) -> Path:
    """What of an image's sources is no chip's: model, kernels, harness."""
    files = [p for folder in ("model", "kernels", "harness") for p in sorted((source / folder).rglob("*.c"))]
    subprocess.run(["cc", "-std=c11", "-O1", "-I", str(source), *map(str, files), str(HAL), "-o", str(image)],
                   check=True)  # fmt: skip
    return image


def bad(seed: int, every: int) -> Wire:
    """About one byte in `every` is lost, changed, doubled, or comes late."""
    rng = random.Random(seed)

    def harm(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if rng.randrange(every):
                out.append(byte)
                continue
            kind = rng.randrange(4)
            if kind == 0:
                time.sleep(0.02)
            out += (bytes((byte,)), b"", bytes((byte ^ 1 << rng.randrange(8),)), bytes((byte, byte)))[kind]
        return bytes(out)

    return harm


class PretendedBoard:
    """Its device is `port`. `flash` puts an image on it; while a desk is watched, the desk's programs do."""

    def __init__(self, to_board: Wire = bytes, to_host: Wire = bytes, **environment: str) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._to_board, self._to_host = to_board, to_host
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self.flashed = 0
        self._threads: list[threading.Thread] = []
        self._start(self._from_host)

    def __enter__(self) -> PretendedBoard:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        # All of them: one that still had bytes to hand on would give them to the next board, whose
        # pseudo-terminal gets the same file descriptor.
        for thread in self._threads:
            self.power_off()  # each time: the one that watches may have put another image on
            thread.join()
        os.close(self._master)
        os.close(self._slave)

    def flash(self, image: Path) -> None:
        self.power_off()
        self._process = subprocess.Popen(
            [image], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=self._environment
        )
        self.flashed += 1
        self._start(self._from_board, self._process)

    def let_go(self) -> None:
        """Close this process's own end: for a test whose other process has to find the port free."""
        os.close(self._slave)
        self._slave = os.open(os.devnull, os.O_RDONLY)

    def say(self, data: bytes) -> None:
        """As if it came from the host: what a test types past the program that holds the port."""
        if self._process and self._process.stdin:
            self._process.stdin.write(data)

    def power_off(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def watch(self, chip: Path) -> None:
        """Take over whatever image an imitated program writes into this chip."""
        self._start(self._watch, chip)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments, daemon=True))
        self._threads[-1].start()

    def _watch(self, chip: Path) -> None:
        seen = None
        while not self._ended.wait(0.02):
            log = chip / "commands.jsonl"
            lines = log.read_text().splitlines() if log.exists() else []
            written = [line for line in map(json.loads, lines) if line[-1].startswith("program {")]
            if len(written) != seen and (chip / "flash.elf").exists() and written:
                seen = len(written)
                elf = Path(written[-1][-1].removeprefix("program {").partition("}")[0])
                self.flash(compile_sources(elf.parent / "src", chip / f"board{seen}"))

    def _from_host(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._master], [], [], 0.05)[0]:
                continue
            try:
                data = self._to_board(os.read(self._master, 4096))
                if self._process and self._process.stdin:
                    self._process.stdin.write(data)
            except OSError:
                time.sleep(0.01)  # nothing runs, or nobody holds the port: the bytes are lost, as on a wire

    def _from_board(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        while data := process.stdout.read(4096):
            left = self._to_host(data)
            while left and not self._ended.is_set():
                if select.select([], [self._master], [], 0.05)[1]:
                    left = left[os.write(self._master, left) :]
