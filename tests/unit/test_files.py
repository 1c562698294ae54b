"""Files are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.files import write_file, write_files


def test_a_file_is_written_with_its_folder(tmp_path):
    write_file(tmp_path / "new" / "a", b"held")
    assert (tmp_path / "new" / "a").read_bytes() == b"held"


def test_a_disk_that_fills_leaves_every_old_file_and_nothing_else(tmp_path, monkeypatch):
    old = {tmp_path / name: name.encode() for name in ("a", "b")}
    write_files(old)
    write = Path.write_bytes

    def full_at_b(path: Path, content: bytes) -> int:
        if ".b." in path.name:
            write(path, content[:1])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full_at_b)
    with pytest.raises(UsageError, match="No space left") as refused:
        write_files(dict.fromkeys(old, b"newer"))
    assert (refused.value.code, refused.value.where) == ("E_OUTPUT", str(tmp_path / "b"))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError) as refused:
        write_file(tmp_path / "file" / "below", b"")
    assert refused.value.where == str(tmp_path / "file" / "below")
