"""What the demo says of its claims."""

from __future__ import annotations

from ballastd.cli.demo.telling import under_way_at


def test_who_was_on_its_way_at_a_record_had_been_ordered_before_it_and_was_not_settled() -> None:
    def ordered(key: str) -> dict[str, str]:
        return {"kind": "MigrationOrdered", "id": key, "vm_name": f"vm-{key}"}

    def settled(key: str) -> dict[str, str]:
        return {"kind": "MigrationSettled", "id": key}

    event = {"kind": "SiteEventBegun"}
    records = [ordered("a"), ordered("b"), settled("a"), event, ordered("c"), settled("b")]
    assert under_way_at("SiteEventBegun", records) == {"vm-b"}
    assert under_way_at("SiteEventBegun", [*records, event]) == {"vm-c"}, "at the newest"
    assert under_way_at("SiteEventBegun", records[:3]) == set()
