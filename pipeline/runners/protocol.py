"""The host's side of the serial protocol, over any port that pyserial opens.

harness.h describes the target's side. Every command here carries a sequence number and a CRC-32, and
every line of its reply ends in the CRC of the command and all lines so far: a byte lost, changed or
doubled, and a reply to another command, show as a wrong CRC. What is wrong is asked for again, a few
times; nothing unproven is ever believed.
"""

from __future__ import annotations

import re
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol, TypeVar

import numpy as np

from pipeline.build import Firmware, function_at
from pipeline.errors import TargetFailed
from pipeline.progress import Progress
from pipeline.runners.base import CoreState, Source, Stimulus, Transcript

T = TypeVar("T")
PROTOCOL = 1
LOG_LINES = 200
TAIL_BYTES = 80
LONGEST_LINE = 4096
BANNER = b"m-init-done"
READY = b"m-ready"
STAGE = "run"
FAULT = b"e-fault-["


class Port(Protocol):
    """What is used of a pyserial port."""

    timeout: float | None

    def read(self, size: int = 1, /) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often to wait before giving up."""

    reply_s: float = 5.0
    """Silence before a reply's first line, and within the reply to a quick command."""
    inference_s: float = 120.0
    """Silence while the target computes."""
    quiet_s: float = 0.15
    """Silence after which the line is taken to be idle."""
    drain_s: float = 2.0
    """At most this long is noise listened to before trying again."""
    attempts: int = 5
    silent_attempts: int = 2
    boots: int = 3
    """Resets seen before the first answer that make a boot loop."""
    poll_s: float = 0.05


class LineClosed(TargetFailed):
    """The port is gone: the simulator ended, or the cable was pulled."""

    default_code = "E_LINE_CLOSED"


class _Broken(Exception):
    """A reply with a wrong CRC, out of place, or none at all; never leaves this module."""

    def __init__(self, why: str, *, silent: bool = False) -> None:
        super().__init__(why)
        self.silent = silent


@dataclass(frozen=True, slots=True)
class Identity:
    """What the image says of itself."""

    protocol: int
    board: str
    model: str
    digest: str
    arena_bytes: int
    input_bytes: int
    output_bytes: int
    layers: int
    counter: str
    unit: str
    counter_hz: int
    read_cost: int
    stack_bytes: int
    chunk_bytes: int
    boots: int
    problem: str

    @classmethod
    def read(cls, lines: list[str]) -> Identity:
        given = dict(re.findall(r"^m-info-(\w+)-\[(.*)\]$", "\n".join(lines), re.MULTILINE))
        kinds = {"int": int, "str": str}
        try:
            return cls(**{name: kinds[str(cls.__annotations__[name])](given[name]) for name in cls.__slots__})
        except (KeyError, ValueError) as error:
            raise TargetFailed(
                f"the image speaks another protocol: its identity lacks {error}", code="E_PROTOCOL"
            ) from error


@dataclass(frozen=True, slots=True)
class Inference:
    """The reply to `infer`."""

    counts: tuple[int, ...]
    output: bytes
    stack_bytes: int
    state: CoreState | None


@dataclass
class Target:
    """One conversation with a target. Not safe for threads; use it once."""

    port: Port
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.retries = 0
        self._tail = b""
        self._buffer = bytearray()
        self._sequence = 0
        self._banners = 0
        self._synchronised = False

    # ---- commands ----

    def identity(self) -> Identity:
        """Who is there; the first call also finds the rhythm of the line."""
        found = Identity.read(self._command("info"))
        self._synchronised = True
        return found

    def load(self, sample: bytes, chunk_bytes: int) -> None:
        """Give the target its input; each chunk is acknowledged with the CRC of all bytes so far."""

        def send() -> None:
            self._once(f"db load {len(sample)}")
            for start in range(0, len(sample), chunk_bytes):
                so_far = sample[: start + chunk_bytes]
                reply = self._once(f"db {sample[start : start + chunk_bytes].hex()}")
                if f"m-db-[{len(so_far)} {zlib.crc32(so_far):08x}]" not in reply:
                    raise _Broken(f"the target acknowledged other bytes: {reply}")

        # After any doubt the whole sample is sent again: a chunk has no place of its own.
        self._insist(send, f"db load {len(sample)}")

    def infer(self, sample: bytes, runs: int, warmups: int) -> Inference:
        """Measured inferences of the loaded input, which has to be `sample`."""
        lines = self._command(f"infer {runs} {warmups}", slow=True)
        self._check_input(lines, sample)
        counts = tuple(int(text, 16) for text in _values(lines, "count"))
        stack = [int(text) for text in _values(lines, "stack")]
        if len(counts) != runs or len(stack) != 1:
            raise TargetFailed(f"{runs} runs were asked for, {len(counts)} reported", code="E_PROTOCOL")
        return Inference(counts, _bytes(lines, "output"), stack[0], _state(_values(lines, "state")))

    def laps(self, sample: bytes, runs: int, layers: int) -> tuple[tuple[tuple[int, ...], ...], bytes]:
        """Counts [run][layer] of the loaded input, and the output that these runs led to."""
        lines = self._command(f"layers {runs}", slow=True)
        self._check_input(lines, sample)
        entries = [text.split(" ") for text in _values(lines, "layer")]
        if [(int(run), int(layer)) for run, layer, _ in entries] != [
            (run, layer) for run in range(runs) for layer in range(layers)
        ]:
            raise TargetFailed(
                f"{runs} x {layers} laps were asked for, {len(entries)} reported", code="E_PROTOCOL"
            )
        counts = [int(count, 16) for _, _, count in entries]
        return (
            tuple(tuple(counts[run * layers : (run + 1) * layers]) for run in range(runs)),
            _bytes(lines, "output"),
        )

    def dump(self, sample: bytes, layer: int) -> bytes:
        """The output of one layer of the loaded input."""
        lines = self._command(f"layer {layer}", slow=True)
        self._check_input(lines, sample)
        return _bytes(lines, "dump")

    def _check_input(self, lines: list[str], sample: bytes) -> None:
        held = _values(lines, "input")
        if held != [f"{zlib.crc32(sample):08x}"]:
            raise TargetFailed(
                f"the target holds an input of CRC {held}, it was sent {zlib.crc32(sample):08x}",
                code="E_TARGET_INPUT",
                hint="something writes over deployed_input, or the target was reset in between",
                details=self._last_words(),
            )

    # ---- the line ----

    def _command(self, text: str, *, slow: bool = False) -> list[str]:
        return self._insist(lambda: self._once(text, slow=slow), text, slow=slow)

    def _insist(self, attempt: Callable[[], T], what: str, *, slow: bool = False) -> T:
        """Try until a reply proves right, a bounded number of times."""
        broken = _Broken("")
        silences = harmed = 0
        while silences + harmed < self.limits.attempts and silences < self.limits.silent_attempts + harmed:
            if silences + harmed:
                self.retries += 1
                self._recover(busy=slow and not broken.silent)
            try:
                return attempt()
            except _Broken as error:
                broken = error
                silences += broken.silent
                harmed += not broken.silent
        if self._banners > 1 and not self._synchronised:
            raise self._boot_loop()
        if not harmed:
            raise TargetFailed(
                f"the target does not finish {what!r}: {broken}",
                code="E_TARGET_SILENT",
                hint="is it the right port and baud rate, and does the image run? see the last bytes",
                details=self._last_words(),
            )
        raise TargetFailed(
            f"no intact reply to {what!r} in {silences + harmed} attempts: {broken}",
            code="E_SERIAL_CORRUPT",
            hint="bytes are lost or changed on the way: check the cable and the baud rate",
            details=self._last_words(),
        )

    def _once(self, text: str, *, slow: bool = False) -> list[str]:
        """Send a command, take its reply; _Broken unless every line of it is proven."""
        self._sequence = (self._sequence + 1) % 256
        head = f"{text} *{self._sequence:02x}".encode()
        chain = zlib.crc32(head)
        self._send(head + b"%08x%%" % chain)
        lines: list[str] = []
        while True:
            line = self._line(self.limits.inference_s if slow and lines else self.limits.reply_s)
            if line in (BANNER, READY, b""):
                continue  # from before the command, or in answer to a lone `%`
            match = re.fullmatch(rb"(.*) \*([0-9a-f]{8})", line)
            if match is None:
                raise _Broken(f"a line without a CRC: {_shown(line)}")
            chain = zlib.crc32(match[1], chain)
            if int(match[2], 16) != chain:
                raise _Broken(f"a wrong CRC: {_shown(line)}")
            chain = zlib.crc32(b"\n", chain)
            if match[1] == READY:
                break
            lines.append(match[1].decode("ascii", errors="replace"))
        refused = [line for line in lines if line.startswith("e-[")]
        if refused:
            raise TargetFailed(
                f"the target refuses {text[:40]!r}: {refused[0][3:-1]}",
                code="E_TARGET_REFUSED",
                details=self._last_words(),
            )
        return lines

    def _line(self, patience_s: float) -> bytes:
        """The next line without its end; faults and resets are raised from here, whenever they come."""
        deadline = self.clock() + patience_s
        while b"\n" not in self._buffer:
            data = self._receive()
            if data:
                deadline = self.clock() + patience_s
                self._buffer += data
            elif self.clock() >= deadline:
                raise _Broken(f"it is silent for {patience_s:g} s", silent=True)
            if len(self._buffer) > LONGEST_LINE and b"\n" not in self._buffer:
                self._buffer.clear()
                raise _Broken("a line without an end")
        raw, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer[:] = rest
        line = raw.removesuffix(b"\r")
        self.log.append(_shown(line))
        if line == BANNER:
            self._count_boot()
        if line.startswith(FAULT):
            raise self._fault(line)
        return line

    def _receive(self) -> bytes:
        """Some bytes, or none after a short while."""
        try:
            self.port.timeout = self.limits.poll_s
            data = self.port.read(1)
            if data:
                # pyserial's sockets do not tell how much waits: take what is there, without waiting.
                self.port.timeout = 0
                data += self.port.read(65536)
        except OSError as error:
            if not self._buffer:
                raise LineClosed(
                    f"the serial line was closed by the other end ({error})", details=self._last_words()
                ) from error
            data = b"\n"  # a last line without its end: let it be read first
        if data:
            self._tail = (self._tail + data)[-TAIL_BYTES:]
        return data

    def _send(self, data: bytes) -> None:
        try:
            self.port.write(data)
        except OSError as error:
            self._listen_for_a_fault()
            raise LineClosed(
                f"the serial line was closed by the other end ({error})", details=self._last_words()
            ) from error

    def _listen_for_a_fault(self) -> None:
        """What came before the line was closed may say why."""
        try:
            while True:
                self._line(self.limits.quiet_s)
        except (_Broken, LineClosed):
            return

    def _recover(self, *, busy: bool) -> None:
        """End whatever the target has of a command, and let it say what it has to say.

        A busy target may still compute, deaf to what is sent: its `m-ready` is waited for.
        """
        self._send(b"%")
        begin = self.clock()
        try:
            while busy and not self._line(self.limits.inference_s).startswith(READY):
                pass
            while self.clock() - begin < self.limits.drain_s:
                self._line(self.limits.quiet_s)
        except _Broken:
            pass
        self._buffer.clear()

    def _count_boot(self) -> None:
        self._banners += 1
        if self._synchronised:
            raise TargetFailed(
                "the target was reset in the middle of the conversation",
                code="E_TARGET_RESET",
                hint="a watchdog, a brown-out, or somebody's finger",
                details=self._last_words(),
            )
        if self._banners > self.limits.boots:
            raise self._boot_loop()

    def _boot_loop(self) -> TargetFailed:
        return TargetFailed(
            f"the target starts again and again: {self._banners} times without one answer",
            code="E_BOOT_LOOP",
            hint="a watchdog that nobody feeds, or a supply that sags when the clock rises",
            details=self._last_words(),
        )

    def _fault(self, line: bytes) -> TargetFailed:
        match = re.fullmatch(rb"e-fault-\[(.*)\] \*([0-9a-f]{8})", line)
        intact = match is not None and int(match[2], 16) == zlib.crc32(line[: match.end(1) + 1])
        words = (match[1] if match else line).decode("ascii", errors="replace")
        layer = re.search(r"layer=(\d+)", words)
        place = f" in layer {layer[1]}" if layer else ""
        return TargetFailed(
            f"the firmware faulted{place}: {words.partition(' layer=')[0]}",
            code="E_TARGET_FAULT",
            hint="pc tells where: arm-none-eabi-addr2line -fe firmware.elf <pc>",
            details=[words if intact else f"{words} (this record arrived damaged)"],
        )

    def _last_words(self) -> list[str]:
        return [f"last bytes: {_shown(self._tail)}" if self._tail else "not one byte was received"]


def _shown(data: bytes) -> str:
    return "".join(chr(b) if 32 <= b < 127 else {10: "\\n", 13: "\\r"}.get(b, f"\\x{b:02x}") for b in data)


def _values(lines: list[str], key: str) -> list[str]:
    prefix = f"m-{key}-["
    return [line[len(prefix) : -1] for line in lines if line.startswith(prefix)]


def _state(told: list[str]) -> CoreState | None:
    """From `wait_states=5 prefetch=1 interrupts_masked=0 interrupt=28`, as board/soc/hal.h has it."""
    facts = [(name, int(value)) for name, value in re.findall(r"(\w+)=(\d+)", " ".join(told))]
    if not facts:
        return None
    given = dict(facts)
    systick = ["SysTick"] if given.pop("systick_interrupt", 0) else []
    wait_states = given.pop("wait_states", None)
    masked = bool(given.pop("interrupts_masked", 0))
    given.pop("interrupt", None)
    return CoreState(
        wait_states=wait_states,
        accelerators={name.replace("_", " "): bool(value) for name, value in given.items()},
        interrupts_masked=masked,
        interrupts=(*systick, *(f"line {value}" for name, value in facts if name == "interrupt")),
    )


def _bytes(lines: list[str], key: str) -> bytes:
    return bytes.fromhex("".join(_values(lines, key)))


@dataclass(frozen=True, slots=True)
class Counting:
    """What one count of a target's counter stands for."""

    source: Source
    unit: str
    """What the image has to call its counts."""
    per_count: Fraction
    """Units of `source` in one count."""
    hertz: int | None
    """Counts of `source` per second, None for the counter's own rate."""

    def convert(self, counts: int) -> int:
        return round(counts * self.per_count)


def converse(
    port: Port,
    firmware: Firmware,
    stimulus: Stimulus,
    counting: Counting,
    *,
    runner: str,
    limits: Limits | None = None,
    clock: Callable[[], float] = time.monotonic,
    progress: Progress | None = None,
) -> Transcript:
    """Hold the whole conversation over an open port. Raises TargetFailed; never hangs."""
    try:
        return _hold(
            Target(port, limits or Limits(), clock), firmware, stimulus, counting, runner, clock, progress
        )
    except TargetFailed as error:
        if error.code == "E_TARGET_FAULT":
            error.details += _places(firmware, error.details[0])
        raise


def _places(firmware: Firmware, registers: str) -> tuple[str, ...]:
    """Which functions the addresses in a fault's record lie in."""
    found = {
        name: function_at(firmware.elf, int(value, 16) & ~1)
        for name, value in re.findall(r"\b(pc|lr)=([0-9a-f]{8})", registers)
    }
    return tuple(f"{name} lies in {function}" for name, function in found.items() if function)


def _hold(
    target: Target,
    firmware: Firmware,
    stimulus: Stimulus,
    counting: Counting,
    runner: str,
    clock: Callable[[], float],
    progress: Progress | None,
) -> Transcript:
    begin = clock()
    identity = target.identity()
    _check_identity(identity, firmware, stimulus, counting)
    samples = [row.tobytes() for row in stimulus.inputs]
    steps = len(samples) + 1 + len(stimulus.layer_dumps)
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if progress:
            progress(STAGE, done, steps)

    outputs, stack_bytes = [], 0
    dumps: dict[tuple[int, int], bytes] = {}
    totals: tuple[int, ...] = ()
    layers: tuple[tuple[int, ...], ...] = ()
    state: CoreState | None = None
    for number, sample in enumerate(samples):
        target.load(sample, identity.chunk_bytes)
        first = number == 0
        result = target.infer(sample, stimulus.timed_runs if first else 1, stimulus.warmups if first else 0)
        outputs.append(_output(result.output, identity, number))
        stack_bytes = max(stack_bytes, result.stack_bytes)
        advance()
        if first:
            totals, state = result.counts, result.state
            layers, again = target.laps(sample, stimulus.timed_runs, identity.layers)
            if again != result.output:
                raise TargetFailed(
                    "the same input gave another output the second time", code="E_TARGET_UNSTEADY",
                    hint="a kernel reads memory that it did not write",
                )  # fmt: skip
            advance()
        if number in stimulus.layer_dumps:
            for layer in range(identity.layers):
                dumps[number, layer] = target.dump(sample, layer)
            advance()
    last = target.identity()
    if last != identity:
        raise TargetFailed(f"another image answers now: {last}, before {identity}", code="E_TARGET_RESET")
    seconds = clock() - begin
    return _transcript(
        identity, counting, target, outputs, totals, layers, state, dumps, stack_bytes, runner, seconds
    )


def _check_identity(identity: Identity, firmware: Firmware, stimulus: Stimulus, counting: Counting) -> None:
    if identity.protocol != PROTOCOL:
        raise TargetFailed(
            f"the image speaks protocol {identity.protocol}, expected {PROTOCOL}", code="E_PROTOCOL"
        )
    if identity.digest != firmware.digest:
        raise TargetFailed(
            f"another image runs: its digest is {identity.digest}, built was {firmware.digest}",
            code="E_IMAGE_STALE",
            hint="flash the image that was just built",
        )
    if identity.input_bytes != stimulus.inputs.shape[1]:
        raise TargetFailed(
            f"the image takes {identity.input_bytes} bytes of input, a sample has {stimulus.inputs.shape[1]}",
            code="E_STIMULUS",
        )
    if identity.unit != counting.unit:
        raise TargetFailed(f"the image counts {identity.unit}, expected {counting.unit}", code="E_PROTOCOL")


def _output(output: bytes, identity: Identity, number: int) -> np.ndarray:
    if len(output) != identity.output_bytes:
        raise TargetFailed(
            f"sample {number}: {len(output)} bytes of output, expected {identity.output_bytes}",
            code="E_PROTOCOL",
        )
    return np.frombuffer(output, np.uint8)


def _transcript(
    identity: Identity,
    counting: Counting,
    target: Target,
    outputs: list[np.ndarray],
    totals: tuple[int, ...],
    layers: tuple[tuple[int, ...], ...],
    state: CoreState | None,
    dumps: Mapping[tuple[int, int], bytes],
    stack_bytes: int,
    runner: str,
    seconds: float,
) -> Transcript:
    notes = []
    if identity.problem:
        notes.append(f"the board's start-up reports: {identity.problem}")
    if target.retries:
        notes.append(f"{target.retries} command(s) had to be sent again: the line loses or changes bytes")
    hertz = identity.counter_hz if counting.hertz is None else counting.hertz
    return Transcript(
        runner=runner,
        board=identity.board,
        model=identity.model,
        digest=identity.digest,
        arena_bytes=identity.arena_bytes,
        input_bytes=identity.input_bytes,
        output_bytes=identity.output_bytes,
        layer_count=identity.layers,
        protocol=identity.protocol,
        source=counting.source,
        counter=f"{identity.counter} at {identity.counter_hz / 1e6:g} MHz",
        counter_hz=hertz,
        stack_reserved_bytes=identity.stack_bytes,
        stack_bytes=stack_bytes,
        outputs=np.stack(outputs),
        totals=tuple(counting.convert(counts) for counts in totals),
        layers=tuple(tuple(counting.convert(counts) for counts in run) for run in layers),
        dumps=dict(dumps),
        log=tuple(target.log),
        seconds=seconds,
        state=state,
        notes=tuple(notes),
    )
