"""Files with something wrong in them: cut off, overwritten, with lengths and offsets that lead elsewhere."""

from __future__ import annotations

from tests.property.cases import Dice

WORDS = (0, 1, 4, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)


def damaged(dice: Dice, content: bytes) -> bytes:
    """The content after one to three accidents. The first bytes, by which a file is known, mostly survive."""
    for _ in range(dice.integer(1, 3)):
        content = dice.pick(ACCIDENTS)(dice, content)
    return content


def _somewhere(dice: Dice, content: bytes) -> int:
    """A place in the content, beginning and end more often: that is where files keep their tables."""
    size = max(len(content), 1)
    near = min(size, 2000)
    return dice.pick([dice.integer(0, size - 1), dice.integer(0, near - 1), size - dice.integer(1, near)])


def _truncated(dice: Dice, content: bytes) -> bytes:
    return content[: _somewhere(dice, content)]


def _bits_flipped(dice: Dice, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.integer(1, 12) if changed else 0):
        changed[_somewhere(dice, content)] ^= 1 << dice.integer(0, 7)
    return bytes(changed)


def _word_replaced(dice: Dice, content: bytes) -> bytes:
    """An offset or a length: too large, too small, or one that leads to another place in the file."""
    size = dice.pick([2, 4, 4, 4, 8])
    at = _somewhere(dice, content) // 4 * 4
    value = dice.pick([*WORDS, len(content), dice.integer(0, len(content)), -dice.integer(1, 2**31)])
    return content[:at] + (value % 2 ** (8 * size)).to_bytes(size, "little") + content[at + size :]


def _bytes_replaced(dice: Dice, content: bytes) -> bytes:
    at, size = _somewhere(dice, content), dice.integer(1, 64)
    noise = dice.pick([bytes(size), b"\xff" * size, dice.random.bytes(size)])
    return content[:at] + noise + content[at + size :]


def _bytes_lost_or_added(dice: Dice, content: bytes) -> bytes:
    at, size = _somewhere(dice, content), dice.integer(1, 40)
    return content[:at] + (dice.random.bytes(size) if dice.chance() else b"") + content[at + size // 2 :]


def _moved(dice: Dice, content: bytes) -> bytes:
    """A stretch of the file over another one."""
    source, target, size = _somewhere(dice, content), _somewhere(dice, content), dice.integer(4, 300)
    part = content[source : source + size]
    return content[:target] + part + content[target + len(part) :]


def _nothing_but_noise(dice: Dice, content: bytes) -> bytes:
    known = dice.pick([8, 16, 64])
    return content[:known] + dice.random.bytes(dice.integer(0, 500))


ACCIDENTS = (
    _truncated, _bits_flipped, _bits_flipped, _word_replaced, _word_replaced, _word_replaced, _bytes_replaced,
    _bytes_lost_or_added, _moved, _nothing_but_noise,
)  # fmt: skip
