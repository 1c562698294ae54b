"""The architecture, as a test: who may import whom, and who may touch the world outside."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pipeline"
ROOMS = (
    "errors progress files registry limits tensors arithmetic chips boards targets operators graph load "
    "metrics quantize read_tflite reference analyze sketch passes kernels stream integer_program schedule "
    "plan lower border render build flash virtual runners timing forecast measure compare report config "
    "demand deploy desk explore cures calibrate bench cli"
).split()
# The package's own door, and the set-up, which runs before anything is installed and imports nothing.
STANDALONE = {"__init__", "__main__", "bootstrap"}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """(module, whether it is imported at the top level) of every import in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in top
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, id(node) in top


def test_every_module_is_in_a_room():
    assert {room_of(path) for path in MODULES} <= {*ROOMS, *STANDALONE}


def test_the_documentation_lists_the_rooms_in_their_order():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("| room | purpose |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)/?`", table, re.MULTILINE) == ROOMS


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_room_uses_only_the_rooms_before_it(path):
    room = room_of(path)
    for module, _ in imports(path):
        parts = module.split(".")
        if parts[0] != "pipeline" or len(parts) == 1 or room in {"__main__"}:
            continue
        assert room != "bootstrap", "the set-up imports nothing of the package"
        assert ROOMS.index(parts[1]) <= ROOMS.index(room), f"{room} uses {parts[1]}, which comes later"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_heavy_and_dangerous_modules_stay_where_they_belong(path):
    room = room_of(path)
    for module, at_top in imports(path):
        head = module.split(".")[0]
        if head in {"tensorflow", "keras", "tf_keras"}:
            assert room in {"load", "quantize"}, f"{room} imports {head}"
            assert not at_top, f"{path.name} imports {head} before it is needed"
        if head == "subprocess":
            # build: compilers; runners: simulators; flash: the programs that talk to an ST-LINK.
            assert room in {"build", "flash", "runners", "bootstrap"}, f"{room} starts processes"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_only_the_command_line_prints(path):
    if room_of(path) in {"cli", "bootstrap"}:
        return
    calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    assert not any(isinstance(c.func, ast.Name) and c.func.id == "print" for c in calls)
