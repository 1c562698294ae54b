"""The planner, checked by replaying time on owned bytes; no line is shared with the planner."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.plan import Lifetime, Request, pack

LAST_STEP = 9


@st.composite
def request_lists(draw):
    count = draw(st.integers(0, 12))
    requests = []
    for index in range(count):
        first = draw(st.integers(0, LAST_STEP))
        last = draw(st.integers(first, LAST_STEP))
        requests.append(Request(f"buffer_{index}", draw(st.integers(1, 300)), Lifetime(first, last)))
    return requests


def replay(requests, offsets, arena_bytes):
    """Let every buffer claim its bytes at every step of its life; a byte claimed twice is an error."""
    for step in range(LAST_STEP + 1):
        owner = [None] * arena_bytes
        for request in (r for r in requests if r.lifetime.first <= step <= r.lifetime.last):
            start = offsets[request.name]
            end = start + request.nbytes
            assert end <= arena_bytes, f"{request.name} ends at {end} of {arena_bytes}"
            assert not any(owner[start:end]), f"{request.name} overlaps at step {step}"
            owner[start:end] = [request.name] * request.nbytes


@given(request_lists())
@settings(max_examples=150, deadline=None)
def test_buffers_alive_together_never_share_a_byte(wanted):
    offsets, arena_bytes, _ = pack(wanted)
    replay(wanted, offsets, arena_bytes)


@given(request_lists())
@settings(max_examples=100, deadline=None)
def test_the_lower_bound_is_one_and_offsets_are_aligned(wanted):
    offsets, arena_bytes, bound = pack(wanted)
    busiest = 0
    for step in range(LAST_STEP + 1):
        alive = [r for r in wanted if r.lifetime.first <= step <= r.lifetime.last]
        busiest = max(busiest, sum((r.nbytes + 3) // 4 * 4 for r in alive))
    assert bound == busiest
    assert arena_bytes >= bound
    assert all(offset % 4 == 0 for offset in offsets.values())


def test_a_wrong_offset_is_noticed_by_the_replay():
    wanted = [Request("a", 8, Lifetime(0, 2)), Request("b", 8, Lifetime(1, 3))]
    offsets, arena_bytes, _ = pack(wanted)
    replay(wanted, offsets, arena_bytes)
    with pytest.raises(AssertionError, match="overlaps at step 1"):
        replay(wanted, {**offsets, "b": offsets["a"]}, arena_bytes)


def test_a_chain_needs_no_more_than_its_two_largest_neighbors():
    sizes = [3072, 32768, 8192, 16384, 4096, 2048]
    chain = [Request(f"t{i}", size, Lifetime(max(0, i - 1), i)) for i, size in enumerate(sizes)]
    _, arena_bytes, bound = pack(chain)
    assert arena_bytes == bound == 32768 + 8192


def test_the_same_requests_get_the_same_places():
    wanted = [Request(f"t{i}", 10 + 7 * i % 40, Lifetime(i % 4, i % 4 + i % 3)) for i in range(12)]
    assert pack(wanted) == pack(list(wanted))
