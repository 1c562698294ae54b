"""The serial protocol: the host's side against the C harness itself, over wires good and bad."""

from __future__ import annotations

import ctypes
import re
import zlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_model import LAYERS, small_layers
from wire import LAST_LAYER_COUNTS, Clock, LibraryPort, ScriptPort, a_firmware, compile_library, perfect

from pipeline.errors import PipelineError, TargetFailed
from pipeline.runners import Source, Stimulus
from pipeline.runners.protocol import Counting, Limits, LineClosed, Target, converse

COUNTING = Counting(Source.INSTRUCTIONS, "ticks", Fraction(1), 0)
SAMPLES = np.random.default_rng(1).integers(0, 256, (3, 24), dtype=np.uint8)
STIMULUS = Stimulus(SAMPLES, timed_runs=2, warmups=1, layer_dumps=(1,))


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    return compile_library(tmp_path_factory.mktemp("library"))


def hold(target, to_target=perfect, to_host=perfect, stimulus=STIMULUS, firmware=None, limits=None):
    library, built = target
    clock = Clock()
    port = LibraryPort(library, clock, to_target, to_host)
    transcript = converse(
        port, firmware or built, stimulus, COUNTING, runner="test", clock=clock, limits=limits
    )
    return transcript, port


def assert_true(transcript):
    """Everything in it is what the model, evaluated in Python, and the test's clock say."""
    for row, output in zip(SAMPLES, transcript.outputs, strict=True):
        assert output.tobytes() == small_layers(row.tobytes())[-1]
    assert str(transcript.state) == (
        "5 flash wait states, prefetch on, data cache off, interrupts enabled: SysTick, line 28, line 101"
    )
    assert transcript.totals == (LAST_LAYER_COUNTS,) * 2
    assert transcript.layers == ((0, 0, LAST_LAYER_COUNTS),) * 2
    expected = dict(enumerate(small_layers(SAMPLES[1].tobytes())))
    assert transcript.dumps == {(1, layer): output for layer, output in expected.items()}


def test_a_perfect_wire(target):
    transcript, _ = hold(target)
    assert_true(transcript)
    assert transcript.notes == ()
    assert (transcript.model, transcript.board, transcript.layer_count) == ("small", "host", LAYERS)


def length_of_a_conversation(target):
    _, port = hold(target)
    return port.sent, port.received


DAMAGE = st.one_of(
    st.tuples(st.just("change"), st.integers(1, 255)),
    st.tuples(st.just("drop"), st.just(0)),
    st.tuples(st.just("double"), st.just(0)),
    st.tuples(st.just("insert"), st.integers(0, 255)),
)


def damaged(places):
    """A wire that harms the bytes at these places: {index: (kind, value)}."""

    def wire(index, byte):
        kind, value = places.get(index, ("", 0))
        return {
            "": bytes((byte,)),
            "change": bytes((byte ^ value,)),
            "drop": b"",
            "double": bytes((byte, byte)),
            "insert": bytes((byte, value)),
        }[kind]

    return wire


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_harmed_byte_costs_a_retry_and_never_a_wrong_figure(target, data):
    sent, received = length_of_a_conversation(target)
    to_target = data.draw(st.booleans(), label="to the target")
    place = data.draw(st.integers(0, (sent if to_target else received) - 1), label="place")
    wire = damaged({place: data.draw(DAMAGE, label="damage")})
    transcript, _ = hold(target, to_target=wire if to_target else perfect,
                         to_host=perfect if to_target else wire)  # fmt: skip
    assert_true(transcript)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.integers(0, 2000), DAMAGE, max_size=12),
    st.dictionaries(st.integers(0, 6000), DAMAGE, max_size=12),
)
def test_a_bad_line_gives_the_truth_or_an_error(target, to_target, to_host):
    try:
        transcript, _ = hold(target, damaged(to_target), damaged(to_host))
    except TargetFailed as error:
        code = error.code
    else:
        assert_true(transcript)
        return
    assert code in {"E_SERIAL_CORRUPT", "E_TARGET_SILENT"}


@pytest.mark.parametrize("every", [7, 50])
def test_a_line_that_never_stops_harming_is_given_up(target, every):
    def wire(index, byte):
        return b"" if index % every == 0 else bytes((byte,))

    with pytest.raises(TargetFailed) as raised:
        hold(target, to_host=wire)
    assert raised.value.code == "E_SERIAL_CORRUPT"
    assert "last bytes" in raised.value.details[0]


def test_bytes_that_come_one_at_a_time_and_late(target):
    library, built = target
    clock = Clock()
    port = LibraryPort(library, clock)
    whole = port.read
    waited = False

    def slow(size=1):
        nonlocal waited
        waited = not waited
        clock.now += 0.09  # every byte comes after a pause, short of giving up
        return b"" if waited else whole(1)

    port.read = slow
    assert_true(converse(port, built, STIMULUS, COUNTING, runner="test", clock=clock))


class BusyPort(LibraryPort):
    """After the first line of the reply to `infer` it computes for half a minute, deaf and silent."""

    def __init__(self, library, clock):
        super().__init__(library, clock)
        self.asked, self._until, self._first_line = [], 0.0, b""

    def write(self, data):
        if self._clock.now < self._until:
            return len(data)
        self.asked.append(data)
        super().write(data)
        if data.startswith(b"infer 2"):
            self._until = self._clock.now + 30
            while not self._first_line.endswith(b"\n"):
                self._first_line += super().read(1)
            if sum(b"infer 2" in command for command in self.asked) == 1:
                self._first_line = b"x" + self._first_line
        return len(data)

    def read(self, size=1):
        if self._first_line:
            data, self._first_line = self._first_line, b""
            return data
        if self._clock.now < self._until:
            self._clock.now += self.timeout or 0.001
            return b""
        return super().read(size)


def test_a_harmed_reply_while_the_target_computes(target):
    """It is asked again only after it has said all that it had to say."""
    library, built = target
    clock = Clock()
    port = BusyPort(library, clock)
    transcript = converse(port, built, STIMULUS, COUNTING, runner="test", clock=clock)
    assert_true(transcript)
    assert sum(command.startswith(b"infer 2") for command in port.asked) == 2
    assert 60 < clock.now < 70
    assert transcript.notes == ("1 command(s) had to be sent again: the line loses or changes bytes",)


def test_a_stale_image(target):
    with pytest.raises(TargetFailed) as raised:
        hold(target, firmware=a_firmware("0123456789abcdef"))
    assert raised.value.code == "E_IMAGE_STALE"
    assert "0123456789abcdef" in raised.value.problem


def test_a_stimulus_of_the_wrong_size(target):
    with pytest.raises(TargetFailed) as raised:
        hold(target, stimulus=Stimulus(np.zeros((1, 25), np.uint8)))
    assert raised.value.code == "E_STIMULUS"


def fail(port_of):
    clock = Clock()
    with pytest.raises(PipelineError) as raised:
        converse(port_of(clock), a_firmware("0" * 16), STIMULUS, COUNTING, runner="test", clock=clock)
    assert clock.now < 60, "giving up took too long"
    return raised.value


def test_silence():
    error = fail(ScriptPort)
    assert error.code == "E_TARGET_SILENT"
    assert error.details == ("not one byte was received",)


def test_noise():
    error = fail(lambda clock: ScriptPort(clock, script=lambda n, d: b"\x00\xff\x80\n" * 9))
    assert error.code == "E_SERIAL_CORRUPT"
    assert "\\x00\\xff" in error.details[0]


def test_noise_without_line_ends():
    assert (
        fail(lambda clock: ScriptPort(clock, script=lambda n, d: b"\x55" * 5000)).code == "E_SERIAL_CORRUPT"
    )


def test_a_boot_loop():
    banner = b"m-init-done\r\nm-ready\r\n"
    assert fail(lambda clock: ScriptPort(clock, banner * 9)).code == "E_BOOT_LOOP"
    slowly = fail(lambda clock: ScriptPort(clock, script=lambda n, d: banner))
    assert slowly.code == "E_BOOT_LOOP"


def record(words):
    body = f"e-fault-[{words}]".encode()
    return b"m-lap-us-12\r\n" + body + b" *%08x\r\n" % zlib.crc32(body)


def test_a_fault():
    words = "BusFault layer=2 pc=00000e46 lr=00000325 cfsr=00008200"
    error = fail(lambda clock: ScriptPort(clock, script=lambda n, d: record(words)[13:]))
    assert error.code == "E_TARGET_FAULT"
    assert "layer 2" in error.problem
    assert error.details[0] == words
    harmed = fail(
        lambda clock: ScriptPort(clock, script=lambda n, d: record(words)[13:].replace(b"2 pc", b"3 pc"))
    )
    assert "damaged" in harmed.details[0]


def test_a_fault_that_ends_the_line():
    def port(clock):
        made = ScriptPort(clock, record("HardFault layer=none pc=00000000")[13:])
        made.ends = True
        return made

    assert fail(port).code == "E_TARGET_FAULT"


def test_a_closed_line():
    def port(clock):
        made = ScriptPort(clock)
        made.ends = True
        return made

    assert isinstance(fail(port), LineClosed)


def test_a_reset_in_the_middle(target):
    library, built = target
    clock = Clock()
    port = LibraryPort(library, clock)
    write = port.write

    def restart(data):
        if data.startswith(b"layers"):
            library.harness_start()  # greets, as after a reset, and the command is lost
            return len(data)
        return write(data)

    port.write = restart
    with pytest.raises(TargetFailed) as raised:
        converse(port, built, STIMULUS, COUNTING, runner="test", clock=clock)
    assert raised.value.code == "E_TARGET_RESET"


def test_an_input_that_changed_under_the_harness(target):
    library, built = target
    clock = Clock()
    port = LibraryPort(library, clock)
    write = port.write

    def overwrite(data):
        if data.startswith(b"infer"):
            ctypes.c_uint8.in_dll(library, "deployed_input").value ^= 1
        return write(data)

    port.write = overwrite
    with pytest.raises(TargetFailed) as raised:
        converse(port, built, STIMULUS, COUNTING, runner="test", clock=clock)
    assert raised.value.code == "E_TARGET_INPUT"


def test_a_chunk_that_is_not_held_as_it_was_sent_is_noticed_at_once(target):
    library, _ = target
    clock = Clock()
    port = LibraryPort(library, clock)
    write = port.write
    sample = SAMPLES[0].tobytes()
    chunks = []

    def overwrite(data):
        done = write(data)
        if data.startswith(b"db ") and not data.startswith(b"db load"):
            chunks.append(data)
            if len(chunks) == 1:
                ctypes.c_uint8.in_dll(library, "deployed_input").value ^= 1
        return done

    port.write = overwrite
    tested = Target(port, Limits(), clock)
    tested.load(sample, chunk_bytes=8)
    assert len(chunks) == 2 + 3, "the second chunk's acknowledgement is wrong: all is sent again"
    assert tested.infer(sample, 1, 0).output == small_layers(sample)[-1]


def test_what_the_target_refuses_is_told(target):
    library, _ = target
    clock = Clock()
    tested = Target(LibraryPort(library, clock), Limits(), clock)
    with pytest.raises(TargetFailed) as raised:
        tested.dump(SAMPLES[0].tobytes(), LAYERS)
    assert raised.value.code == "E_TARGET_REFUSED"
    assert f"the model has {LAYERS} layers" in raised.value.problem


def say(library, *commands):
    """What the harness replies to commands without a CRC, as MLPerf Tiny's runner sends them."""
    port = LibraryPort(library, Clock())
    port.write("".join(f"{command}%" for command in commands).encode())
    return port.read(100_000).decode().split("\r\n")


def test_the_protocol_of_mlperf_tiny(target):
    library, _ = target
    sample = SAMPLES[2].tobytes()
    assert say(library, "name") == ["m-name-dut-[host]", "m-ready", ""]
    profile = say(library, "profile")
    assert [bool(re.match(r"^m-(model|profile)-\[([^]]+)]$", line)) for line in profile[:2]] == [True, True]
    assert say(library, "db load 24") == ["m-[Expecting 24 bytes]", "m-ready", ""]
    assert say(library, f"db {sample[:20].hex()}") == ["m-ready", ""]
    assert say(library, f"db {sample[20:].hex()}") == ["m-load-done", "m-ready", ""]
    reply = say(library, "infer 5 1")
    lap = re.compile(r"m-lap-us-(\d+)")
    laps = [int(match[1]) for match in map(lap.fullmatch, reply) if match]
    assert laps[1] - laps[0] == 5 * LAST_LAYER_COUNTS
    output = np.frombuffer(small_layers(sample)[-1], np.int8)
    results = f"m-results-[{','.join(map(str, output))}]"
    assert [lap.sub("m-lap", line) for line in reply] == [
        "m-warmup-start-1", "m-warmup-done", "m-infer-start-5", "m-lap", "m-lap", "m-infer-done",
        results, "m-ready", "",
    ]  # fmt: skip
    assert say(library, "results") == [results, "m-ready", ""]
    assert say(library, "\r\n timestamp")[1:] == ["m-ready", ""]


@pytest.mark.parametrize(
    "command",
    ["dance", "infer", "infer 0", "infer x", "infer 1 2 3", "infer 99999999999", "db load 23",
     "db 0", "db 0g", "db", "layer 3", "layers", "name x", "info x", "x" * 400, "name *0",
     "name *00deadbeef"],
)  # fmt: skip
def test_bad_commands_are_refused(target, command):
    reply = say(target[0], command)
    assert reply[0].startswith("e-[")
    assert reply[1:] == ["m-ready", ""]


def test_more_bytes_than_announced_are_refused(target):
    reply = say(target[0], "db load 24", "db " + "00" * 24, "db 00")
    assert reply[-3].startswith("e-[more bytes")
