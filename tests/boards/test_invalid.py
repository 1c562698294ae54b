"""One board file per mistake: each is refused with the words at its head, and for no other reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.boards import read_board
from pipeline.errors import UsageError

FILES = sorted((Path(__file__).parent / "invalid").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_mistake_is_named_and_nothing_else(path, tmp_path):
    text = path.read_text(encoding="utf-8")
    folder = tmp_path / path.stem
    folder.mkdir()
    (folder / "board.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as raised:
        read_board(folder / "board.toml")
    assert raised.value.code == "E_BOARD_INVALID"
    assert raised.value.details == tuple(re.findall("^# expects: (.*)$", text, re.MULTILINE))


def test_there_is_a_file_for_each_kind_of_mistake():
    assert len(FILES) >= 40
