"""Set up what is missing: the virtual environment, the cross compiler, the simulator.

    python3 -m pipeline.bootstrap [--no-system]

Uses nothing but the standard library, since it runs before anything is installed. A second run
finds everything in place and does nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
STAMP = VENV / "installed-for"
OLDEST_PYTHON = (3, 11)

# What is looked for on PATH, and the Debian packages that bring it.
SYSTEM_TOOLS = {
    "arm-none-eabi-gcc": ("gcc-arm-none-eabi", "libnewlib-arm-none-eabi"),
    "qemu-system-arm": ("qemu-system-arm",),
    "cc": ("gcc", "libc6-dev"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Set up what is missing on this machine.")
    parser.add_argument("--no-system", action="store_true", help="leave the machine's own packages alone")
    arguments = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        return _refuse(
            f"Python {found} is too old, expected {'.'.join(map(str, OLDEST_PYTHON))} or newer",
            "install a newer Python and name it: make PYTHON=python3.12 ...",
        )
    missing = [] if arguments.no_system else _missing_packages()
    if missing and not _install_packages(missing):
        return 4
    return _install_environment()


def _missing_packages() -> list[str]:
    missing = [
        package for tool, packages in SYSTEM_TOOLS.items() if not shutil.which(tool) for package in packages
    ]
    if shutil.which("arm-none-eabi-gcc") and not _has_newlib():
        missing.append("libnewlib-arm-none-eabi")
    if not STAMP.exists() and not _has_ensurepip():
        missing.append("python3-venv")
    return missing


def _has_newlib() -> bool:
    """Whether the cross compiler has its C library: Debian packs it apart."""
    answer = subprocess.run(
        ["arm-none-eabi-gcc", "-print-file-name=nano.specs"], capture_output=True, text=True, check=False
    )
    return os.path.isabs(answer.stdout.strip())


def _has_ensurepip() -> bool:
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        return False
    return True


def _install_packages(packages: list[str]) -> bool:
    """Install Debian packages where that is possible; otherwise say exactly what to type."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    prefix = _privilege()
    if shutil.which("apt-get") is None or prefix is None:
        _refuse(
            f"these are missing: {', '.join(packages)}",
            f"on Debian or Ubuntu: sudo apt-get update && sudo {' '.join(command)}\n"
            "       on macOS: brew install qemu && brew install --cask gcc-arm-embedded",
        )
        return False
    _say(f"installing with apt: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["apt-get", "update"], command):
        done = subprocess.run(
            [*prefix, *step],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            _refuse(
                f"`{' '.join([*prefix, *step])}` failed:\n{done.stdout[-2000:]}",
                "run it yourself and read on",
            )
            return False
    return True


def _privilege() -> list[str] | None:
    """What to put before apt-get: nothing for root, sudo where it works, None where neither does."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    silent = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    return ["sudo"] if silent or sys.stdin.isatty() else None


def _install_environment() -> int:
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    python = VENV / "bin" / "python"
    if STAMP.exists() and STAMP.read_text() == wanted and python.exists():
        return 0
    _say(f"making the virtual environment {VENV.name}/ (TensorFlow is large: a few minutes the first time)")
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    steps = [
        [sys.executable, "-m", "venv", str(VENV)],
        [*pip, "install", "--constraint", str(CONSTRAINTS), "--editable", f"{ROOT}[dev]"],
    ]
    if python.exists():
        del steps[0]
    for step in steps:
        if subprocess.run(step, check=False).returncode:
            return _refuse(f"`{' '.join(step)}` failed", f"remove {VENV.name}/ and try again")
    STAMP.write_text(wanted)
    return 0


def _say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


def _refuse(problem: str, hint: str) -> int:
    print(f"set-up: {problem}\n  try: {hint}", file=sys.stderr, flush=True)
    return 4


if __name__ == "__main__":
    sys.exit(main())
