"""How often the entries of many tables miss in a cache, held against a cache that is played."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from pipeline.kernels.cortex_m4.lookup_rows import CACHES, ENTRIES


def played(line_bytes: int, lines: int, ways: int, entries: np.ndarray) -> int:
    """Misses of the second of two equal inferences; entries are (passes, tables), table after table."""
    sets: dict[int, list[int]] = defaultdict(list)
    missed = 0
    for inference in range(2):
        for row in entries:
            for table, entry in enumerate(row):
                line = (table * ENTRIES + int(entry)) // line_bytes
                held = sets[line % (lines // ways)]
                if line in held:
                    held.remove(line)
                else:
                    missed += inference
                held.append(line)
                del held[:-ways]
    return missed


@pytest.mark.parametrize("cache", CACHES.values(), ids=CACHES)
@pytest.mark.parametrize(
    ("tables", "passes"), [(640, 1), (96, 49), (128, 4), (64, 125), (40, 9), (100, 20), (32, 64), (3, 50)]
)
def test_misses_are_those_of_a_cache(cache, tables, passes):
    rng = np.random.default_rng(5)
    counts = [
        played(cache.line_bytes, cache.lines, cache.ways, rng.integers(0, ENTRIES, (passes, tables)))
        for _ in range(5)
    ]
    reads = tables * passes
    assert cache.missed(tables, passes) == pytest.approx(np.mean(counts), rel=0.08, abs=0.01 * reads)
