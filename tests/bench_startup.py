"""How long a command takes to start, against a bare Python: `python tests/bench_startup.py`.

Medians of five runs on this machine; the ratios are what can be compared across machines.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 5
COMMANDS = (
    ["--help"], ["boards"], ["operators"], ["deploy", "--help"], ["report", "--help"], ["analyze", "--help"],
)  # fmt: skip


def seconds(command: list[str]) -> float:
    taken = []
    for _ in range(RUNS + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def main() -> None:
    bare = seconds([sys.executable, "-c", "import numpy"])
    print(f"{'python -c import numpy':<32} {bare:6.3f} s")
    for command in COMMANDS:
        taken = seconds([sys.executable, "-m", "pipeline", *command])
        print(f"{'stm32-deploy ' + ' '.join(command):<32} {taken:6.3f} s  {taken / bare:5.2f} x")


if __name__ == "__main__":
    main()
