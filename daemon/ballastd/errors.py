"""The taxonomy of trouble: what went wrong in the world, and what was our own mistake.

Answers (a refusal, a deferral, a failed outcome) are values and live in ``core``; they are never raised.
Everything here is raised in one place, translated once at the boundary, ``from`` its cause.
"""

from __future__ import annotations


class BallastdError(Exception):
    """Anything that ballastd raises on purpose."""


class ConfigurationError(BallastdError):
    """The operator must act: each problem reads ``file:line:column: key: what is wrong; example of right``."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Unreachable(BallastdError):
    """A peer does not answer. What it was doing is unknown: back off, reconcile, never assume."""


class MigrationError(BallastdError):
    """An order did not end with its VM on the target, as far as the caller could see."""

    def __init__(self, message: str, *, code: int | None = None, domain: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.domain = domain


class MigrationRefused(MigrationError):
    """Nothing was started: the hypervisor said no before it touched the VM."""


class MigrationFailed(MigrationError):
    """The hypervisor says that the job failed; the VM should be at its source, which must be seen."""


class MigrationAborted(MigrationError):
    """The job was cancelled on demand; the VM should be at its source, which must be seen."""


class VmVanished(MigrationError):
    """The VM is not where the order expected it."""


class OutcomeUnknown(MigrationError):
    """The call ended with an error that says nothing about the job: observe both ends, then decide."""


class ShutdownRefused(BallastdError):
    """A hypervisor did not ask a guest to shut down; the message says why."""


class PowerRefused(BallastdError):
    """A power controller answered, and did not do what it was asked; the message says why, and the cure."""


class MalformedReport(BallastdError):
    """A telemetry message that is not used; ``reason`` is the slug it is counted under."""

    def __init__(self, reason: str, detail: str = "", *, host: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.host = host


class JournalError(BallastdError):
    """The journal cannot be written or cannot be trusted: observe only, reconcile, page."""


class JournalDamaged(JournalError):
    """The journal was read and something in it is missing or altered."""


class DefinitionNotKept(BallastdError):
    """What a VM is defined as could not be written down, or read again."""


class CheckRefused(BallastdError):
    """A VM is not asked whether it answers: its owner's way of asking is not one that we may use."""


class InvariantBroken(BallastdError):
    """Our own mistake. It is journalled, and the daemon drops to observe-only."""
