"""README and docs are true: their tables are made from the code, their commands exist.

`python -m tests.unit.test_readme` writes the tables again.
"""

from __future__ import annotations

import re
import typing

import pytest

from pipeline import cli, errors
from pipeline.boards import list_boards, simulator_for
from pipeline.config import Budget, Settings
from pipeline.operators import operator_table
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def between(mark: str) -> str:
    return README.split(f"<!-- {mark}: begin -->\n")[1].split(f"<!-- {mark}: end -->")[0].strip()


def table(head: str, rows: list[tuple[str, ...]]) -> str:
    rule = "|" + "---|" * head.count(" | ") + "---|"
    return "\n".join([f"| {head} |", rule, *(f"| {' | '.join(row)} |" for row in rows)])


def operators() -> str:
    return table("operator | supported", [(f"`{name}`", text) for name, text in operator_table()])


def board_table() -> str:
    rows = []
    for board in list_boards():
        native = board.cpu == "native"
        facts = (
            board.cpu,
            f"{board.hclk_hz / 1e6:g} MHz",
            f"{board.flash_bytes // 1024:,} KiB",
            f"{board.ram_bytes // 1024:,} KiB",
        )
        instead = [] if board.is_simulated else [f"`{simulator_for(board).name}` in its place"]
        run = ", ".join([*instead, *board.run])
        rows.append((f"`{board.name}`", board.title, *([""] * 4 if native else facts), run))
    return table("board | title | core | clock | flash | RAM | run by", rows)


TABLES = {"operators": operators, "boards": board_table}


@pytest.mark.parametrize("mark", TABLES)
def test_the_tables_are_those_of_the_code(mark):
    assert between(mark) == TABLES[mark]()


def test_every_command_is_listed_and_every_listed_command_exists():
    known = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    section = README.split("## Commands")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `([a-z-]+)(?: [A-Z.]+)*` \|", section, re.MULTILINE))
    assert listed == known


def test_every_make_target_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"make ([a-z]+)", README))
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    assert named - {"deploy", "test"} <= targets
    assert {"deploy", "test"} <= named & targets


def test_the_exit_codes_are_those_of_the_errors():
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    classes = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    assert listed == {0, *(kind.exit_code for kind in classes)}


def test_the_keys_of_deploy_toml_are_known():
    block = README.split("```toml\n")[1].split("```")[0]
    top, budget = block.split("[budget]")
    assert set(re.findall(r"^(\w+) ", top, re.MULTILINE)) <= Settings.model_fields.keys()
    assert set(re.findall(r"^(\w+) ", budget, re.MULTILINE)) <= Budget.model_fields.keys()
    aims = typing.get_args(Settings.model_fields["optimize"].annotation)
    assert all(aim in block for aim in aims)


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(path):
    assert (ROOT / path).exists()


if __name__ == "__main__":
    text = README
    for mark, make in TABLES.items():
        begin, end = f"<!-- {mark}: begin -->\n", f"<!-- {mark}: end -->"
        head, rest = text.split(begin)
        text = f"{head}{begin}{make()}\n{end}{rest.split(end, 1)[1]}"
    (ROOT / "README.md").write_text(text, encoding="utf-8")
