"""The table of docs/models.md: `python -m tests.architectures.table [--shared DIR]` makes it anew."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.architectures.prove import Proof, prove_architecture, prove_shipped
from tests.architectures.shipped import FILES, accuracies
from tests.architectures.zoo import ARCHITECTURES
from tests.conftest import ROOT

DOCUMENT = ROOT / "docs" / "models.md"
BEGIN, END = "<!-- models: begin -->", "<!-- models: end -->"
HEAD = "| model | what it is | MACC | instructions | arena B | flash B | bit-exact | accuracy |"


def main() -> None:
    """Prove every architecture, and every trained model where the data are at hand; write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, help="folder with data/cifar10 and models/mlperf_tiny")
    shared = parser.parse_args().shared
    text = DOCUMENT.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    lines = [*_architectures(), *(_shipped(shared) if shared else _kept(rest))]
    rule = "|---|---|" + "---:|" * 4 + "---|---:|"
    table = "\n".join([HEAD, rule, *lines])
    DOCUMENT.write_text(f"{head}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def _architectures() -> Iterator[str]:
    for name, build in ARCHITECTURES.items():
        with tempfile.TemporaryDirectory() as folder:
            proof = prove_architecture(name, Path(folder))
        yield _line(proof, (build.__doc__ or "").strip().splitlines()[0].rstrip("."))


def _shipped(shared: Path) -> Iterator[str]:
    found = accuracies(shared)
    for file in FILES:
        with tempfile.TemporaryDirectory() as folder:
            proof = prove_shipped(shared, file, Path(folder))
        kind = "quantized by this tool" if file.endswith(".h5") else "int8 as given"
        accuracy = f"{100 * found[file]:.2f} %" if file in found else ""
        if accuracy and kind.startswith("quantized"):
            accuracy += f" (float {100 * found['float']:.2f} %)"
        yield _line(proof, f"MLPerf Tiny, {kind}", accuracy)


def _kept(rest: str) -> Iterator[str]:
    """Without the data, the rows of the trained models stay as they are."""
    return (line for line in rest.splitlines() if line.startswith(tuple(f"| {file} |" for file in FILES)))


def _line(proof: Proof, what: str, accuracy: str = "") -> str:
    cells = (
        proof.name, what, f"{proof.macc:,}", f"{proof.instructions:,}", f"{proof.arena_bytes:,}",
        f"{proof.flash_bytes:,}", "yes" if proof.exact else "no", accuracy,
    )  # fmt: skip
    print(" | ".join(cells), flush=True)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
