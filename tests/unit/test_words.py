"""Numbers as people read them."""

from __future__ import annotations

import pytest

from pipeline.report import words


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (words.count(1_344_042), "1,344,042"),
        (words.count(None), "–"),
        (words.size(512), "512 B"),
        (words.size(1_024), "1 KiB"),
        (words.size(143_468), "140.1 KiB"),
        (words.size(5_372_584), "5.124 MiB"),
        (words.size(2 << 20), "2 MiB"),
        (words.share(0.391), "39.1 %"),
        (words.share(0.0), "0.0 %"),
        (words.share(0.00001), "< 0.1 %"),
        (words.percent(0.0), "±0 %"),
        (words.percent(-1.25), "−1.2 %"),
        (words.percent(0.0438), "+0.04 %"),
        (words.percent(-0.00001), "−0.00001 %"),
        (words.percent(1234.5), "+1,234.5 %"),
        (words.percent(None), "–"),
        (words.signed(-1_204), "−1,204"),
        (words.signed(0), "±0"),
        (words.ratio(2.4093), "2.41"),
        (words.seconds(0.2749832), "274.9832 ms"),
        (words.real(-14.0), "−14"),
        (words.real(0.003922), "0.003922"),
        (words.integer(-128), "−128"),
        (words.integer(None), "not a number"),
        (words.shape((1, 32, 32, 3)), "32×32×3"),
        (words.shape((10,)), "10"),
        (words.figure(1_000, "bytes"), "1,000 B"),
        (words.figure(1_000, "instructions"), "1,000"),
        (words.listed(("-O2", "-g")), "-O2 -g"),
        (words.listed(("fuse clamps: 2", "fuse pooling: 1")), "fuse clamps: 2; fuse pooling: 1"),
        (words.listed("one"), "one"),
        (words.listed(7), "7"),
        (words.plural(1, "sample"), "1 sample"),
        (words.plural(1_000, "sample"), "1,000 samples"),
    ],
)
def test_words(made, expected):
    assert made == expected
