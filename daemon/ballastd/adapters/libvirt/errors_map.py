"""What libvirt's errors mean, as a table. Pure: decided by (code, domain) and elapsed time, never by text.

The same code comes from several domains, so the code decides first. Whatever is not in the table says
nothing about the job: observe both ends, then decide.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ballastd.errors import (
    MigrationAborted,
    MigrationError,
    MigrationFailed,
    MigrationRefused,
    OutcomeUnknown,
    VmVanished,
)

REFUSED_WITHIN_SECONDS = 0.1
"""A refusal comes back faster than any job can start its target (0.3 s); slower, it proves nothing."""

INTERNAL, NO_SUPPORT = 1, 3
OPERATION_FAILED, XML_ERROR, OPERATION_DENIED = 9, 27, 29
SYSTEM_ERROR, NO_DOMAIN, NO_NETWORK, AUTH_FAILED, NO_STORAGE_POOL, NO_STORAGE_VOL = 38, 42, 43, 45, 49, 50
OPERATION_INVALID, CONFIG_UNSUPPORTED, OPERATION_TIMEOUT, HOOK_FAILED = 55, 67, 68, 70
OPERATION_ABORTED, NO_DOMAIN_METADATA, MIGRATE_UNSAFE = 78, 80, 81
OPERATION_UNSUPPORTED, CPU_INCOMPATIBLE, NO_DOMAIN_SNAPSHOT = 84, 91, 72
ARGUMENT_UNSUPPORTED, AGENT_UNRESPONSIVE, AGENT_UNSYNCED = 74, 86, 97

FROM_NONE, FROM_RPC, FROM_QEMU, FROM_STORAGE, FROM_DOMAIN, FROM_CPU, FROM_HOOK = 0, 7, 10, 18, 20, 31, 34


class Meaning(enum.Enum):
    """What an error says about the thing that was asked for."""

    CONNECTION_LOST = "connection-lost"
    """Ours or, inside a peer-to-peer job, that of the two hosts."""
    ABORTED = "aborted"
    FAILED = "failed"
    REFUSED = "refused"
    """A no, if it came at once."""
    BUSY = "busy"
    """Nothing was done, after a wait behind another job."""
    VANISHED = "vanished"
    GONE_OR_REFUSED = "gone-or-refused"
    """The guest died under the job; or, at once, its name or UUID belongs to another at the target."""
    ABSENT = "absent"
    """A network, pool, volume or metadata element that is not there."""
    ASK_THE_SOURCE = "ask-the-source"
    UNKNOWN = "unknown"


_EXACT: dict[tuple[int, int], Meaning] = {
    (SYSTEM_ERROR, FROM_RPC): Meaning.CONNECTION_LOST,
    (INTERNAL, FROM_RPC): Meaning.CONNECTION_LOST,
    (INTERNAL, FROM_QEMU): Meaning.FAILED,
    (INTERNAL, FROM_CPU): Meaning.REFUSED,
    (OPERATION_FAILED, FROM_QEMU): Meaning.FAILED,
    (OPERATION_FAILED, FROM_DOMAIN): Meaning.GONE_OR_REFUSED,
}

_BY_CODE: dict[int, Meaning] = {
    SYSTEM_ERROR: Meaning.REFUSED,
    OPERATION_ABORTED: Meaning.ABORTED,
    OPERATION_INVALID: Meaning.REFUSED,
    MIGRATE_UNSAFE: Meaning.REFUSED,
    CONFIG_UNSUPPORTED: Meaning.REFUSED,
    CPU_INCOMPATIBLE: Meaning.REFUSED,
    HOOK_FAILED: Meaning.REFUSED,
    OPERATION_DENIED: Meaning.REFUSED,
    OPERATION_TIMEOUT: Meaning.BUSY,
    NO_DOMAIN: Meaning.VANISHED,
    NO_NETWORK: Meaning.ABSENT,
    NO_STORAGE_POOL: Meaning.ABSENT,
    NO_STORAGE_VOL: Meaning.ABSENT,
    NO_DOMAIN_METADATA: Meaning.ABSENT,
    OPERATION_UNSUPPORTED: Meaning.ASK_THE_SOURCE,
}


@dataclass(frozen=True, slots=True)
class LibvirtTrouble:
    """A libvirt error as plain data: no traceback, so nothing of the connection it came from stays alive."""

    code: int
    domain: int
    message: str

    @property
    def meaning(self) -> Meaning:
        """Return what it says, ``Meaning.UNKNOWN`` for whatever was never met."""
        exact = _EXACT.get((self.code, self.domain))
        return exact or _BY_CODE.get(self.code, Meaning.UNKNOWN)

    @property
    def lost_connection(self) -> bool:
        """Whether the connection it came over can no longer be used."""
        return self.meaning is Meaning.CONNECTION_LOST

    def __str__(self) -> str:
        return f"{self.message} ({self.code},{self.domain})"


def migration_error(trouble: LibvirtTrouble, elapsed: float) -> MigrationError:
    """Return the error a migration call ended with after ``elapsed`` seconds.

    Only what libvirt says at once is a refusal: the same words later may come from a job that had begun.
    """
    return _class(trouble.meaning, at_once=elapsed <= REFUSED_WITHIN_SECONDS)(
        str(trouble), code=trouble.code, domain=trouble.domain)


def _class(meaning: Meaning, *, at_once: bool) -> type[MigrationError]:
    match meaning:
        case Meaning.ABORTED:
            return MigrationAborted
        case Meaning.FAILED:
            return MigrationFailed
        case Meaning.VANISHED:
            return VmVanished
        case Meaning.BUSY:
            return MigrationRefused
        case Meaning.REFUSED:
            return MigrationRefused if at_once else OutcomeUnknown
        case Meaning.GONE_OR_REFUSED:
            return MigrationRefused if at_once else VmVanished
        case _:
            return OutcomeUnknown
