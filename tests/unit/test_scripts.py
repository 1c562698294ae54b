"""What the Makefile and the docs start as `python -m tests...` starts outside pytest too."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

SCRIPTS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "tests").rglob("*.py")
    if '\nif __name__ == "__main__":' in path.read_text(encoding="utf-8")
)


def test_scripts_are_imported_without_pytest():
    assert "tests.renode.images" in SCRIPTS
    command = [sys.executable, "-c", "\n".join(f"import {name}" for name in SCRIPTS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
