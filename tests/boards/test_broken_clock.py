"""A clock that does not come up: the wait ends, the reason is told, the board answers at its reset clock."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.boards import load_board
from pipeline.build import build_firmware
from pipeline.runners import Stimulus
from pipeline.runners.unicorn import Unicorn
from pipeline.virtual.peripherals.base import Peripheral
from tests.firmware.small_model import small_layers, small_tree

pytestmark = [pytest.mark.toolchain, pytest.mark.simulator]
SAMPLES = np.random.default_rng(3).integers(0, 256, (1, 24), dtype=np.uint8)
# One flag for each family's way to its clock: board, register, bit, what is told.
BROKEN = [
    ("nucleo_l4r5zi", "CR", 25, "the PLL did not lock (PLLRDY)"),
    ("nucleo_g474re", "CR", 25, "the PLL did not lock (PLLRDY)"),
    ("nucleo_f446re", "CSR", 16, "over-drive did not come up (ODRDY)"),
    ("nucleo_f767zi", "CSR", 17, "over-drive did not take over (ODSWRDY)"),
    ("nucleo_h743zi2", "D3CR", 13, "voltage scale 1 was not reached (VOSRDY)"),
    ("nucleo_u575zi_q", "VOSR", 14, "the regulator's booster is not ready (BOOSTRDY)"),
]


@pytest.mark.parametrize(("name", "register", "bit", "reason"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_flag_that_never_comes(name, register, bit, reason, tmp_path, monkeypatch):
    raise_later = Peripheral.raise_later
    stuck = []

    def without(self, where, place, *delay):
        if (where, place) == (register, bit):
            stuck.append(self.name)
        else:
            raise_later(self, where, place, *delay)

    monkeypatch.setattr(Peripheral, "raise_later", without)
    board = replace(load_board(name), run={"unicorn": {}})
    firmware = build_firmware(small_tree(board), board, tmp_path)
    transcript = Unicorn(patient=True).run(firmware, board, Stimulus(SAMPLES))
    assert stuck, "the flag was never asked for"
    assert transcript.outputs[0].tobytes() == small_layers(SAMPLES[0].tobytes())[-1]
    told = [note for note in transcript.notes if "start-up reports" in note]
    assert len(told) == 1
    assert reason in told[0]
