"""How long native code may take to read a model file.

HDF5 follows what a damaged file says, in circles if it says so, and nothing within the process can call it
back. So the process is ended; only a command that has one of its own for this asks for that.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

READING_SECONDS = 180
"""Far more than the largest model takes that fits a microcontroller."""

_own_process = False


def end_this_process_when_late() -> None:
    """From now on, whoever reads a model for too long ends this process by SIGALRM."""
    global _own_process
    _own_process = True


@contextmanager
def limited_time() -> Iterator[None]:
    """What runs within has READING_SECONDS, where the process may be ended for it."""
    if not _own_process or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(READING_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
