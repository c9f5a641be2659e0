"""A story that every release can write into a journal, as far as it knows kinds and fields: plain records, append by append.

It has a record of every kind there is. What is open at its end, what is in force and what was settled is in the books.
"""

from __future__ import annotations

from typing import Any

Plain = dict[str, Any]

_GIB = 1 << 30
_CHECK = {"kind": "tcp", "port": 443, "address": "192.0.2.7"}


def _ordered(wall: float, key: str, name: str, **more: object) -> Plain:
    return {"kind": "MigrationOrdered", "wall": wall, "id": key, "vm": f"uuid-{name}", "vm_name": name, "source": "h1",
            "target": "h2", "memory": 4 * _GIB, "bandwidth_mib_s": 100, "policy": "failing-hosts",
            "because": "h1 is failing", "deadline_wall": wall + 900.0, "predicted": 41.5, **more}


def _record(kind: str, wall: float, **fields: object) -> Plain:
    return {"kind": kind, "wall": wall, **fields}


STORY: tuple[tuple[Plain, ...], ...] = (
    (_record("DaemonStarted", 1000.0, boot_id="boot-1", version="0.1.0"), _record("PoliciesLoaded", 1000.5, digest="d1")),
    # a move that arrives, and is asked after; one that fails
    (_record("VerdictLatched", 1001.0, policy="memory-errors", host="h1", evidence="ecc.uncorrected rose by 1"),
     _record("EvacuationBegun", 1001.0, host="h1", policy="failing-hosts"),
     _ordered(1001.0, "1-1", "wéb", runners_up=("h3",), why_not=("h4: full",), urgent=True, downtime_ms=300)),
    (_record("CheckOrdered", 1001.5, id="1-1", check=_CHECK), _record("AskedBefore", 1002.0, id="1-1", answered=True)),
    (_record("MigrationMoved", 1003.0, id="1-1", phase="running"),),
    (_record("MigrationCalled", 1040.0, id="1-1", result="ok", downtime_ms=12.5),),
    (_record("AutostartNoted", 1040.5, id="1-1", owed=True),
     _record("MigrationSettled", 1041.0, id="1-1", ending="completed", dirtied={"mib_s": 12.0, "at_least": True})),
    (_record("AutostartOrdered", 1042.0, id="1-1", host="h2", on=True),),
    (_record("AutostartEnded", 1043.0, id="1-1", restored=True),),
    (_record("ArrivalChecked", 1050.0, id="1-1", arrival="silent", seconds=9.0, detail="refused"),),
    (_ordered(1060.0, "1-2", "db", retry=1), _record("MigrationMoved", 1061.0, id="1-2", phase="running")),
    (_record("HandPauseSeen", 1069.0, id="1-2"), _record("AbortOrdered", 1070.0, id="1-2", reason="h2 turned failing")),
    (_record("MigrationSettled", 1075.0, id="1-2", ending="aborted", detail="its source has it"),),
    # what operators say
    (_record("HostCordoned", 1100.0, host="h3", by="ann", reason="new memory"),
     _record("HostCordoned", 1100.5, host="h4", by="ann"), _record("HostUncordoned", 1101.0, host="h4", by="ann")),
    (_record("DrainRequested", 1102.0, host="h5", by="bob", deadline_wall=9999.0),
     _record("DrainRequested", 1102.5, host="h4", by="bob"), _record("DrainCancelled", 1103.0, host="h4", by="bob")),
    (_record("HostConfirmedDead", 1104.0, host="h6", by="ann"), _record("HostSeenAlive", 1105.0, host="h6"),
     _record("HostConfirmedDead", 1106.0, host="h7", by="ann", reason="its plug is out")),
    (_record("VerdictLatched", 1107.0, policy="memory-errors", host="h8", evidence="rose"),
     _record("VerdictsAcknowledged", 1108.0, host="h8", by="ann", reason="swapped")),
    (_record("Paused", 1109.0, by="ann"), _record("Resumed", 1110.0, by="ann"),
     _record("Paused", 1111.0, by="ann", reason="the weekend")),
    # what was seen
    (_record("CountersNoted", 1200.0, host="h1", metric="ecc.uncorrected", values=(("mc0", 1.0), ("mc1", 0.0))),),
    (_record("SiteEventBegun", 1201.0, detail="3 hosts are hot"), _record("SiteEventEnded", 1202.0),
     _record("SiteEventBegun", 1203.0, detail="4 hosts are hot")),
    (_record("DuplicateSeen", 1204.0, vm="uuid-twin", vm_name="twin", hosts=("h1", "h2")),
     _record("DuplicateCleared", 1205.0, vm="uuid-twin"),
     _record("DuplicateSeen", 1206.0, vm="uuid-pair", vm_name="pair", hosts=("h2", "h3"))),
    (_record("ForeignMoveSeen", 1207.0, vm="uuid-web2", vm_name="web2", source="h1", target="h3"),),
    (_record("JournalRecovered", 1208.0),
     _record("JournalReplaced", 1209.0, old="/var/lib/ballastd/journal.db.damaged-1", last_good=7)),
    (_record("DaemonStopped", 1300.0),),
    (_record("DaemonStarted", 1400.0, boot_id="boot-2", version="0.1.0"), _record("PoliciesLoaded", 1400.5, digest="d2")),
    # hosts that are switched off and on
    (_record("WakeabilityConfirmed", 1401.0, host="h9", by="ann"),
     _record("HostEmptying", 1402.0, host="h9", policy="nights", because="idle", next_hosts=("h8",)),
     _record("HostClosing", 1403.0, host="h9"),
     _record("PowerOffOrdered", 1404.0, id="2-1", host="h9", policy="nights", because="idle", machine="uuid-h9")),
    (_record("HostOff", 1450.0, host="h9", detail="silent, and its controller says off"),),
    (_record("WakeAsked", 1460.0, host="h9", by="bob"), _record("WakeWithheld", 1461.0, host="h9", detail="ceiling"),
     _record("WakeOrdered", 1462.0, id="2-2", host="h9", policy="nights", because="bob wants it")),
    (_record("HostAwake", 1550.0, host="h9", detail="its agent answers", seconds=88.0),),
    (_record("HostEmptying", 1600.0, host="h8", policy="nights", because="idle"),
     _record("HostKept", 1601.0, host="h8", detail="load rose")),
    (_record("HostEmptying", 1602.0, host="h2", policy="nights", because="idle"),
     _record("HostClosing", 1603.0, host="h2"),
     _record("PowerOffOrdered", 1604.0, id="2-3", host="h2", policy="nights", because="idle"),
     _record("PowerFailed", 1605.0, host="h2", detail="it still answers")),
    # recommendations, and trust that is lost and given back
    (_record("Recommended", 1700.0, id="a", policy="even", reason="relieve", source="h1", because="hot", seconds=1800.0,
             vm="uuid-mail", vm_name="mail", target="h2", memory=_GIB),
     _record("Recommended", 1700.0, id="b", policy="nights", reason="switch-off", source="h3", because="idle",
             seconds=1800.0),
     _record("Recommended", 1700.0, id="c", policy="even", reason="relieve", source="h1", because="hot", seconds=60.0,
             vm="uuid-news", vm_name="news", target="h3", memory=_GIB)),
    (_record("RecommendationApproved", 1701.0, id="a", by="ann"),
     _record("RecommendationRejected", 1702.0, id="b", by="bob", until_wall=9000.0, policy="nights", what="h3 off"),
     _record("RecommendationApproved", 1703.0, id="c", by="ann"),
     _record("ApprovalLapsed", 1704.0, id="c", what="news h1 -> h3", detail="its minute is over")),
    (_record("PolicyDemoted", 1705.0, policy="nights", because="2 failed"),
     _record("PolicyPromoted", 1706.0, policy="nights", by="ann"),
     _record("PolicyDemoted", 1707.0, policy="even", because="2")),
    # guests that cannot leave
    (_record("ShutdownOrdered", 1800.0, id="3-1", vm="uuid-pinned", vm_name="pinned", host="h1", policy="failing-hosts",
             because="its disk is local"), _record("ShutdownAskedAgain", 1801.0, id="3-1", times=2),
     _record("ShutdownEnded", 1802.0, id="3-1", ending="down"),
     _record("ShutdownOver", 1803.0, id="3-1", vm_name="pinned", host="h1", because="somebody started it")),
    (_record("ShutdownOrdered", 1804.0, id="3-2", vm="uuid-gpu", vm_name="gpu", host="h1", policy="failing-hosts",
             because="it has a device"), _record("ShutdownWithdrawn", 1805.0, id="3-2", because="h1 was acknowledged")),
    # what is under way at the end
    (_ordered(1900.0, "4-1", "mail", routine=True, recommendation="a", approved_by="ann", post_copy=True),
     _record("MigrationMoved", 1901.0, id="4-1", phase="running"),
     _record("BandwidthOrdered", 1902.0, id="4-1", bandwidth_mib_s=60),
     _record("WayGiven", 1902.0, id="4-1", less_mib_s=40, because="its link is used by others"),
     _record("DowntimeOrdered", 1903.0, id="4-1", downtime_ms=500, needed_ms=450)),
    (_ordered(1904.0, "4-2", "big", post_copy=True), _record("MigrationMoved", 1905.0, id="4-2", phase="running"),
     _record("PostCopyOrdered", 1906.0, id="4-2", because="it outruns its copy"),
     _record("PostCopyWithdrawn", 1907.0, id="4-2", because="not begun")),
    (_ordered(1908.0, "4-3", "lost"), _record("MigrationMoved", 1909.0, id="4-3", phase="running"),
     _record("MigrationOutOfSight", 1910.0, id="4-3")),
    (_record("EvacuationBegun", 1911.0, host="h5", policy="operator"),
     _record("EvacuationEnded", 1912.0, host="h5", detail="empty"), _record("InvariantFailed", 1913.0, detail="ours"),
     _record("ClockStepped", 1914.0, by=-3.0, booted_wall=900.0)),
)
