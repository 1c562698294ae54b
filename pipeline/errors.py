"""Every way this pipeline can refuse to continue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class PipelineError(Exception):
    """A refusal that a user can act on; only the CLI catches it.

    `problem` names the thing, the value and what was expected; `hint` says what to try; `details`
    are further lines (one an unsupported operator, say); `where` is a file, a layer or a key.
    `code` is stable across releases, for scripts; `exit_code` is the process's.
    """

    exit_code: ClassVar[int] = 70
    default_code: ClassVar[str] = "E_BUG"

    def __init__(
        self,
        problem: str,
        *,
        code: str | None = None,
        where: object = None,
        hint: str | None = None,
        details: Iterable[str] = (),
    ) -> None:
        super().__init__(problem)
        self.problem = problem
        self.code = code or self.default_code
        self.where = None if where is None else str(where)
        self.hint = hint
        self.details = tuple(details)

    def __str__(self) -> str:
        head = f"{self.where}: {self.problem}" if self.where else self.problem
        return "\n".join((head, *(f"  - {line}" for line in self.details)))


class CheckFailed(PipelineError):
    """The work was done and what it found is not good: outputs differ, a budget is passed."""

    exit_code = 1
    default_code = "E_CHECK"


class UsageError(PipelineError):
    """An option, a file or a setting that cannot be right."""

    exit_code = 2
    default_code = "E_USAGE"


class ModelNotSupported(PipelineError):
    """A model that this pipeline cannot carry: unreadable, or with operators it does not know."""

    exit_code = 3
    default_code = "E_MODEL"


class BuildFailed(PipelineError):
    """The compiler, the linker or a tool they need did not do its part."""

    exit_code = 4
    default_code = "E_BUILD"


class DoesNotFit(PipelineError):
    """More flash or RAM than the board has."""

    exit_code = 4
    default_code = "E_DOES_NOT_FIT"


class FlashFailed(PipelineError):
    """The image did not get onto the board."""

    exit_code = 5
    default_code = "E_FLASH"


class TargetFailed(PipelineError):
    """The target, real or simulated, is silent, faulted, or says what cannot be true."""

    exit_code = 6
    default_code = "E_TARGET"
