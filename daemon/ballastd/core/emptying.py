"""When the emptying of a host is over: it is empty, or nobody asks for it any more."""

from __future__ import annotations

from ballastd.core import events as ev
from ballastd.core.intents import Intent
from ballastd.core.ledger import Ledger
from ballastd.core.notices import Notice
from ballastd.core.policies import Mode
from ballastd.core.snapshot import Snapshot


def close_evacuations(snapshot: Snapshot, ledger: Ledger, intents: tuple[Intent, ...]
                      ) -> tuple[list[ev.EvacuationEnded], list[Notice]]:
    """Return the end of each evacuation that is over, and what is to be told. Where a policy only recommends, it is asked
    for while something that was approved has not begun."""
    ended: list[ev.EvacuationEnded] = []
    notices: list[Notice] = []
    wall = snapshot.now.wall
    approved = {offer.source for offer in ledger.autonomy.offers.values() if offer.approved_by and wall < offer.until_wall}
    wanted = {intent.host for intent in intents if intent.mode is Mode.AUTO or intent.host in approved}
    for host in sorted(ledger.evacuating):
        busy = any(m.source == host for m in ledger.open_migrations())
        if host not in snapshot.hosts.names:
            ended.append(ev.EvacuationEnded(wall, host, "no longer declared"))
        elif not busy and snapshot.is_seen_empty(host):
            ended.append(ev.EvacuationEnded(wall, host, "empty"))
            notices.append(Notice("info", f"evacuation/{host}", f"{host} is empty"))
        elif not busy and host not in wanted:
            ended.append(ev.EvacuationEnded(wall, host, "no longer asked for"))
    return ended, notices
