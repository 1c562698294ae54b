"""Running images: QEMU and the host, what they count, and all the ways in which a run can end."""

from __future__ import annotations

import os
import socket
from dataclasses import replace

import numpy as np
import pytest
from small_model import small_layers, small_tree

from pipeline.build import build_firmware
from pipeline.errors import BuildFailed, TargetFailed, UsageError
from pipeline.runners import RUNNERS, Source, Stimulus, find_runner, process, qemu
from pipeline.runners.host import Host
from pipeline.runners.protocol import Limits
from pipeline.runners.qemu import Qemu

pytestmark = [pytest.mark.toolchain, pytest.mark.simulator]
SAMPLES = np.random.default_rng(2).integers(0, 256, (4, 24), dtype=np.uint8)
ONE = Stimulus(SAMPLES[:1], timed_runs=2)
# Two instructions a turn: the subtraction and the branch.
LOOP = '{{ uint32_t n = {}u; __asm volatile("1: subs %0, #1\\n bne 1b" : "+r"(n) :: "cc"); }}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("firmware")


@pytest.fixture
def run(folder, mps2):
    """Build the small model with this C at the end of its last layer, and run it in QEMU."""

    def build_and_run(last="", stimulus=ONE, board=mps2, runner=None):
        return (runner or Qemu()).run(
            build_firmware(small_tree(board, last=last), board, folder), board, stimulus
        )

    return build_and_run


@pytest.fixture
def children(monkeypatch):
    """The processes that a test started."""
    started = []

    class Watched(process.Child):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self)

    for module in ("qemu", "host"):
        monkeypatch.setattr(f"pipeline.runners.{module}.Child", Watched)
    return started


def fail(run, **arguments):
    with pytest.raises(TargetFailed) as raised:
        run(**arguments)
    return raised.value


def test_runners_are_found_by_their_files():
    assert set(RUNNERS) >= {"qemu", "host"}
    with pytest.raises(UsageError) as raised:
        find_runner("qmeu")
    assert "did you mean qemu?" in raised.value.hint


def test_outputs_and_layers_are_those_of_the_model(run, children):
    transcript = run(stimulus=Stimulus(SAMPLES, layer_dumps=(0, 3)))
    for row, output in zip(SAMPLES, transcript.outputs, strict=True):
        assert output.tobytes() == small_layers(row.tobytes())[-1]
    for sample in (0, 3):
        layers = [transcript.dumps[sample, k] for k in range(3)]
        assert layers == small_layers(SAMPLES[sample].tobytes())
    assert transcript.source is Source.INSTRUCTIONS
    assert transcript.runner.startswith("qemu ")
    assert (transcript.arena_bytes, transcript.stack_reserved_bytes) == (64, 2048)
    assert 0 < transcript.stack_bytes < 1024
    assert all(child.ended() is not None for child in children)


def test_counts_are_exact_to_the_instruction(run):
    """A loop of known length, in several lengths: differences are exact, and every run is the same."""
    totals = {}
    for turns in (1000, 1001, 1007, 2_000_000):
        transcript = run(LOOP.format(turns))
        assert len(set(transcript.totals)) == 1
        assert len(set(transcript.layers)) == 1
        totals[turns] = transcript.totals[0], transcript.layers[0][2]
    base, base_layer = totals[1000]
    for turns, (total, layer) in totals.items():
        assert total - base == 2 * (turns - 1000)
        assert layer - base_layer == 2 * (turns - 1000)


@pytest.mark.parametrize("shift", [0, 10])
def test_the_shift_changes_the_resolution_only(run, mps2, shift):
    """One tick is 40 ns: 40 instructions at shift 0, so two reads of the counter blur at most 80."""
    exact = run(LOOP.format(5000)).totals[0]
    other = replace(mps2, run={"qemu": {**mps2.run["qemu"], "shift": shift}})
    assert abs(run(LOOP.format(5000), board=other).totals[0] - exact) <= (80 if shift == 0 else 0)


def test_the_stack_in_use_is_seen(run):
    plain = run().stack_bytes
    last = "volatile uint32_t room[100]; room[0] = 1u; room[99] = room[0];"
    # What lies between the harness and its painted words hides up to 32 bytes of a shallow layer.
    assert 368 <= run(last).stack_bytes - plain <= 432


FAULTS = [
    ("*(volatile uint32_t *)0x60000000u = 1u;", "BusFault", "bfar=60000000"),
    ('__asm volatile("udf #0");', "UsageFault", "cfsr=00010000"),
    ('__asm volatile("mov r0, #0\\n mov r1, #1\\n udiv r0, r1, r0" ::: "r0", "r1");', "UsageFault",
     "cfsr=02000000"),
    ("((void (*)(void))0x60000001u)();", "BusFault", "pc=60000000"),
    ('__asm volatile("1: push {r0-r7}\\n b 1b");', "MemManage (stack overflow)", "mmfar=1fff"),
]  # fmt: skip


@pytest.mark.parametrize(("last", "name", "register"), FAULTS, ids=[f"{f[1]} {f[2]}" for f in FAULTS])
def test_a_fault_is_reported_with_registers_and_layer(run, children, last, name, register):
    error = fail(run, last=last)
    assert error.code == "E_TARGET_FAULT"
    assert f"in layer 2: {name}" in error.problem
    assert register in error.details[0]
    assert [child.ended(2) for child in children] == [1], "the simulator ends with an error status"


def test_a_fault_names_the_function(run):
    error = fail(run, last='__asm volatile("udf #0");')
    assert any("negate" in line for line in error.details)


def test_an_endless_layer_is_given_up(run, children):
    limits = Limits(reply_s=0.5, inference_s=0.5, drain_s=0.2)
    error = fail(run, last="for (volatile int on = 1; on != 0;) ;", runner=Qemu(limits=limits))
    assert error.code == "E_TARGET_SILENT"
    assert "m-warmup-start-1" in error.details[0], "the last bytes tell where it stopped"
    assert all(child.ended() is not None for child in children)


def test_a_stale_image(run, folder, mps2):
    firmware = build_firmware(small_tree(mps2), mps2, folder)
    with pytest.raises(TargetFailed) as raised:
        Qemu().run(replace(firmware, digest="f" * 16), mps2, ONE)
    assert raised.value.code == "E_IMAGE_STALE"


@pytest.fixture
def busy_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        taken.setblocking(False)
        yield taken.getsockname()[1]
        with pytest.raises(BlockingIOError):
            taken.accept()  # the other program was left in peace


def test_a_busy_port_that_was_asked_for(run, busy_port, children):
    error = fail(run, runner=Qemu(port=busy_port))
    assert error.code == "E_PORT_BUSY"
    assert str(busy_port) in error.problem
    assert all(child.ended() is not None for child in children)


def test_a_busy_port_that_was_chosen_is_left_for_another(run, busy_port, monkeypatch):
    free = qemu.free_port
    ports = iter([busy_port, busy_port])
    monkeypatch.setattr(qemu, "free_port", lambda: next(ports, None) or free())
    assert run().outputs[0].tobytes() == small_layers(SAMPLES[0].tobytes())[-1]


def test_a_simulator_that_ends_at_once(run, mps2):
    board = replace(mps2, run={"qemu": {**mps2.run["qemu"], "machine": "no-such-machine"}})
    error = fail(run, board=board)
    assert error.code == "E_SIMULATOR_EXITED"
    assert any("no-such-machine" in line or "unsupported machine" in line for line in error.details)


def test_a_simulator_that_is_killed(run, children):
    def kill(stage, done, total):
        if done == 2:
            os.kill(children[-1]._process.pid, 9)

    class Killed(Qemu):
        def run(self, *arguments, **options):
            return super().run(*arguments, progress=kill)

    error = fail(run, stimulus=Stimulus(SAMPLES), runner=Killed())
    assert error.code == "E_SIMULATOR_EXITED"
    assert "-9" in error.problem


def test_a_keyboard_interrupt_leaves_nothing_running(folder, mps2, children):
    def interrupt(stage, done, total):
        raise KeyboardInterrupt

    firmware = build_firmware(small_tree(mps2), mps2, folder)
    with pytest.raises(KeyboardInterrupt):
        Qemu().run(firmware, mps2, ONE, progress=interrupt)
    assert len(children) == 1
    assert children[0].ended() is not None


def test_a_missing_qemu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildFailed) as raised:
        Qemu().check()
    assert raised.value.code == "E_QEMU_MISSING"
    assert "apt install qemu-system-arm" in raised.value.hint


def test_a_board_that_qemu_cannot_run(host):
    with pytest.raises(UsageError) as raised:
        Qemu().run(None, host, ONE)
    assert raised.value.code == "E_RUNNER_UNFIT"


# ---- the host as a board ----


def on_host(host, folder, last="", stimulus=ONE, **runner):
    firmware = build_firmware(small_tree(host, last=last), host, folder / "host", sanitize=True)
    return Host(**runner).run(firmware, host, stimulus)


def test_the_host_says_the_same_under_sanitizers(host, folder, children):
    transcript = on_host(host, folder, stimulus=Stimulus(SAMPLES, layer_dumps=(1,)))
    for row, output in zip(SAMPLES, transcript.outputs, strict=True):
        assert output.tobytes() == small_layers(row.tobytes())[-1]
    assert transcript.dumps[1, 0] == small_layers(SAMPLES[1].tobytes())[0]
    assert transcript.source is Source.HOST
    assert all(child.ended() is not None for child in children)


@pytest.mark.parametrize(
    ("last", "words"),
    [("volatile uint32_t end = 64u; small_arena[end] = 1u;", "out of bounds"),
     ("volatile int32_t n = 2147483647; n = n + 1;", "signed integer overflow")],
)  # fmt: skip
def test_what_a_sanitizer_finds_is_told(host, folder, last, words):
    with pytest.raises(TargetFailed) as raised:
        on_host(host, folder, last=last)
    assert raised.value.code == "E_SIMULATOR_EXITED"
    assert any(words in line for line in raised.value.details)


def test_a_busy_port_on_the_host(host, folder, busy_port):
    with pytest.raises(TargetFailed) as raised:
        on_host(host, folder, port=busy_port)
    assert raised.value.code == "E_PORT_BUSY"
