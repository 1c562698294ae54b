"""Reach a board that is connected: find its ST-LINK and its serial port, write its flash."""

from pipeline.flash.places import place_programmer, place_url
from pipeline.flash.ports import Line, find_line, open_line
from pipeline.flash.probes import Probe, choose_probe, find_probes, port_of
from pipeline.flash.programmers import PROGRAMMERS, Flashed, OpenOcd, Programmer, find_programmer
from pipeline.flash.verbs import Show, erase_board, flash_board, reset_board

__all__ = [
    "PROGRAMMERS",
    "Flashed",
    "Line",
    "OpenOcd",
    "Probe",
    "Programmer",
    "Show",
    "choose_probe",
    "erase_board",
    "find_line",
    "find_probes",
    "find_programmer",
    "flash_board",
    "open_line",
    "place_programmer",
    "place_url",
    "port_of",
    "reset_board",
]
