"""board/README.md says what was run and what not. `python -m tests.boards.test_board_readme` rewrites it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.boards import Board, list_boards, simulator_for
from pipeline.registry import data_folder
from tests.simulator import test_qemu_stm32

README = Path(__file__).parents[2] / "board" / "README.md"
BEGIN, END = "<!-- boards: begin -->\n", "<!-- boards: end -->"
COLUMNS = ("board", "builds", "QEMU", "virtual Nucleo", "Renode", "hardware")
# Boards on which an image was run by a person; nobody has had one so far.
RUN_ON_HARDWARE: dict[str, str] = {}


def row(board: Board) -> tuple[str, ...]:
    if "qemu" in board.run:
        qemu = "run"
    else:
        qemu = f"core, `{simulator_for(replace(board, run={})).name}`" if board.is_stm32 else "–"
        if board.name in test_qemu_stm32.MACHINES:
            part, machines = test_qemu_stm32.MACHINES[board.name]
            qemu += f"; {part}, `{machines[0]}`"
    renode = list((data_folder("board") / board.name).glob("*.repl"))
    return (
        f"`{board.name}`",
        "yes",
        qemu,
        ("run" if "unicorn" in board.run else "not yet") if board.is_stm32 else "–",
        ("checked, not run" if renode else "no platform") if board.is_stm32 else "–",
        RUN_ON_HARDWARE.get(board.name, "not run") if board.is_stm32 else "–",
    )


def table() -> str:
    rows = [row(board) for board in list_boards()]
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def test_the_table_is_true():
    assert README.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0] == table()


def test_what_is_said_to_be_run_has_tests():
    """The tests of the other files take their boards from the same places, so that no board escapes them."""
    from tests.boards import test_cores, test_shipped

    in_qemu = [board.name for board in list_boards() if "qemu" in board.run]
    assert in_qemu == test_cores.BOARDS
    assert set(test_shipped.TARGETS) == {board.name for board in list_boards()} - {"host"}


if __name__ == "__main__":
    head, rest = README.read_text(encoding="utf-8").split(BEGIN)
    README.write_text(head + BEGIN + table() + END + rest.split(END)[1], encoding="utf-8")
