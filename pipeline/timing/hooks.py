"""The timing core behind hooks of Unicorn: for the virtual board, which runs the very image."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline.build import build_library
from pipeline.errors import TargetFailed

NATIVE = Path(__file__).parent / "native"
EVERYWHERE = (1, 0)
# Below the registers: with a hook on those, Unicorn 2.1 no longer calls their models.
MEMORY = (0, 0x3FFF_FFFF)


class UnicornHooks:
    """A profile of one run; `attach` it to a processor that has its memory and stands still."""

    def __init__(self, table: Path, folder: Path) -> None:
        sources = [NATIVE / name for name in ("cycles.c", "profile.c", "unicorn_hooks.c")]
        self._library = ctypes.CDLL(str(build_library(sources, [], folder)))
        self._library.hooks_open.restype = ctypes.c_void_p
        self._library.hooks_open.argtypes = (ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p)
        self._library.hooks_write.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
        self._library.hooks_write.restype = ctypes.c_bool
        self._library.hooks_close.argtypes = (ctypes.c_void_p,)
        from unicorn.unicorn_py3.unicorn import uclib

        registers = (ctypes.cast(call, ctypes.c_void_p) for call in (uclib.uc_reg_read, uclib.uc_reg_write))
        self._hooks = self._library.hooks_open(str(table).encode(), *registers)
        if self._hooks is None:
            raise TargetFailed("the timing core does not take its table", code="E_ESTIMATE", where=table)
        self._attached: list[tuple[Any, Any]] = []

    def attach(self, uc: Any) -> None:
        """Have every instruction and every access reported to the core, without a detour through Python."""
        import unicorn
        from unicorn.unicorn_py3.unicorn import uclib

        for kind, function, first, last in (
            (unicorn.UC_HOOK_CODE, self._library.hooks_instruction, *EVERYWHERE),
            (unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, self._library.hooks_access, *MEMORY),
        ):
            hook = ctypes.c_size_t()
            status = uclib.uc_hook_add(
                uc._uch, ctypes.byref(hook), kind, ctypes.cast(function, ctypes.c_void_p),
                ctypes.c_void_p(self._hooks), ctypes.c_uint64(first), ctypes.c_uint64(last),
            )  # fmt: skip
            if status != unicorn.UC_ERR_OK:
                raise TargetFailed(f"Unicorn takes no hook (status {status})", code="E_ESTIMATE")
            self._attached.append((uc, hook))
        # What was translated before reports nothing, or to hooks that are closed.
        uc.ctl_flush_tb()

    def write(self, path: Path) -> None:
        """Write the profile, where a whole inference was seen; `read_profile` refuses a missing one."""
        self._library.hooks_write(self._hooks, str(path).encode())

    def __enter__(self) -> UnicornHooks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from unicorn.unicorn_py3.unicorn import uclib

        # A processor that runs on must not report to what is closed.
        for uc, hook in self._attached:
            uclib.uc_hook_del(uc._uch, hook)
        self._library.hooks_close(self._hooks)
