"""The integer program against trying every schedule."""

import ctypes
from dataclasses import dataclass

import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import integer_program
from pipeline.integer_program import IntegerProgram

CODE = {"a": 300, "b": 50, "c": 120}


@dataclass(frozen=True)
class Stretch:
    first: int
    last: int
    cycles: float
    arena_bytes: int
    weights_bytes: int
    ram_bytes: int
    kernels: tuple[str, ...]


@st.composite
def stretches(draw):
    layers = draw(st.integers(1, 5))
    found = []
    for _ in range(draw(st.integers(1, 14))):
        first = draw(st.integers(0, layers - 1))
        last = draw(st.integers(first, min(first + 2, layers - 1)))
        figures = [draw(st.integers(0, most)) for most in (9, 7, 5, 3)]
        kernels = tuple(draw(st.sampled_from("abc")) for _ in range(first, last + 1))
        found.append(Stretch(first, last, 1000.0 * figures[0], *(16 * f for f in figures[1:]), kernels))
    return layers, found


def schedules(layers, options, first=0):
    if first == layers:
        yield ()
    for option in options:
        if option.first == first:
            for rest in schedules(layers, options, option.last + 1):
                yield (option, *rest)


def figures_of(chosen):
    arena, ram = max(o.arena_bytes for o in chosen), sum(o.ram_bytes for o in chosen)
    return {
        "cycles": sum(o.cycles for o in chosen),
        "weights": sum(o.weights_bytes for o in chosen),
        "ram": arena + ram,
        "weights in RAM": ram,
        "arena": arena,
        "code": sum(CODE[kernel] for kernel in {k for o in chosen for k in o.kernels}),
    }


def worth(chosen, objective):
    figures = figures_of(chosen)
    return sum(weight * figures[name] for name, weight in objective.items())


OBJECTIVES = (
    {"cycles": 1.0},
    {"ram": 1.0, "cycles": 1e-5},
    {"ram": 1.0, "weights": 0.02, "code": 1.02},
    {"weights": 1.0, "code": 1.0},
    {"arena": 1.0},
)
LIMITED = ("cycles", "weights", "ram", "weights in RAM", "arena", "code")


@settings(max_examples=150)
@given(stretches(), st.sampled_from(OBJECTIVES), st.data())
def test_the_best_of_all_schedules_is_found(problem, objective, data):
    layers, options = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(integer_program, "kernel_bytes", CODE.__getitem__)
        program = IntegerProgram(options, layers)
        every = list(schedules(layers, options))
        limits = {}
        for name in data.draw(st.sets(st.sampled_from(LIMITED), max_size=3)):
            reached = sorted({figures_of(one)[name] for one in every}) or [0.0]
            limits[name] = data.draw(st.sampled_from([reached[0] - 1, *reached]))
        within = [
            one for one in every if all(figures_of(one)[name] <= limit for name, limit in limits.items())
        ]
        known = None
        if within and data.draw(st.booleans()):
            known = integer_program.Chosen(list(data.draw(st.sampled_from(within))))
        found = program.solve(objective, limits, known)
        if not within:
            assert found is None
            return
        assert tuple(found.options) in every
        assert worth(found.options, objective) == pytest.approx(min(worth(one, objective) for one in within))
        for name, limit in limits.items():
            assert figures_of(found.options)[name] <= limit
            assert getattr(found, name.replace(" in RAM", "_in_ram")) == figures_of(found.options)[name]


def test_what_the_solver_prints_is_dropped(monkeypatch, capfd):
    """It would stand in front of the JSON of a command."""
    solve = scipy.optimize.milp

    def talkative(*arguments, **options):
        ctypes.CDLL(None).puts(b"HighsMipSolverData: some words")
        return solve(*arguments, **options)

    monkeypatch.setattr(scipy.optimize, "milp", talkative)
    monkeypatch.setattr(integer_program, "kernel_bytes", CODE.__getitem__)
    stretch = Stretch(0, 0, 1000.0, 16, 16, 0, ("a",))
    print("before")
    # Code counts once for each kernel: no path tells it, so that the solver is asked.
    assert IntegerProgram([stretch], 1).solve({"code": 1.0}, {}) is not None
    print("after")
    assert capfd.readouterr().out == "before\nafter\n"
