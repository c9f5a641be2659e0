"""A check-up on paper: what was looked at on each host, which VM could go where, and every finding with its cure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ballastd.cli.formats import clock, printable, size
from ballastd.cli.output import Column, Row, Table, emit, heading

if TYPE_CHECKING:
    from ballastd.core.certificates import Shown
    from ballastd.core.readiness import Finding, Leg, Pair, Readiness, Site

COLUMNS_MAX = 12
"""Hosts that a matrix of pairs can show; larger clusters are shown the pairs that fall short."""
CERTIFICATES_MAX = 12
"""Those that end first are shown; all of them are in JSON."""
_GRADES = ("ok", "note", "warning", "fault")
_TONES = {"ok": "green", "note": None, "warning": "yellow", "fault": "red"}


def show(name: str, site: Site, readiness: Readiness) -> None:
    hosts = len(site.declared.hosts)
    vms = sum(len(survey.guests) for survey in site.surveys.values())
    click.echo(f"{heading(printable(name))}: {hosts} host{'' if hosts == 1 else 's'}, {vms} VM{'' if vms == 1 else 's'}")
    if site.heard is not None and site.heard.daemon:
        click.echo(f"a daemon is at work on it: {printable(site.heard.daemon)}")
    click.echo()
    _show_grid(readiness)
    _show_pairs(readiness)
    _show_likenesses(readiness)
    _show_links(site)
    _show_certificates(site)
    for finding in readiness.findings:
        is_everybody = len(finding.hosts) == hosts > 1
        _show_finding(finding, "all hosts" if is_everybody else _hosts(finding.hosts))
    counts = [sum(finding.grade == grade for finding in readiness.findings) for grade in (3, 2, 1)]
    words = zip(counts, ("fault", "warning", "note"), strict=True)
    said = ", ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in words if number)
    click.echo(said or "nothing to put right")


def _show_grid(readiness: Readiness) -> None:
    from ballastd.core.readiness import Area

    rows = [{"host": host, **{area.value: _GRADES[grade] for area, grade in grades.items()}}
            for host, grades in readiness.grid.items()]

    def graded(area: str) -> Column:
        return Column(area.upper(), lambda row: row.get(area, "-"))

    seen = [[row.get(area.value, "-") for row in rows] for area in Area]
    well = [area.value for area, cells in zip(Area, seen, strict=True) if set(cells) == {"ok"}]
    # all of them would not fit a terminal of 80 columns, and what is well everywhere is said in a line
    shown = [area.value for area, cells in zip(Area, seen, strict=True) if not set(cells) <= {"ok", "-"} or
             ("-" in cells and "ok" in cells)]
    if shown:
        columns = (Column("HOST", lambda row: row["host"]), *map(graded, shown))
        emit(rows, Table(columns, lambda row: row["host"], ""), "table")
    if well:
        click.echo(f"well on all hosts: {', '.join(well)}")
    unknown = [area.value for area, cells in zip(Area, seen, strict=True) if set(cells) == {"-"}]
    if unknown:
        click.echo(f"not looked at: {', '.join(unknown)}")
    click.echo()


def _show_pairs(readiness: Readiness) -> None:
    """Show which host's VMs could go where."""
    short = [pair for pair in readiness.pairs if pair.could < pair.of]
    hosts = sorted({pair.target for pair in readiness.pairs} | {pair.source for pair in readiness.pairs})
    if not readiness.pairs:
        return
    if len(hosts) <= COLUMNS_MAX:
        cells = {(pair.source, pair.target): f"{pair.could}/{pair.of}" for pair in readiness.pairs}
        rows: list[Row] = [{"host": source, **{target: cells.get((source, target), "") for target in hosts}}
                           for source in sorted({pair.source for pair in readiness.pairs})]

        def towards(target: str) -> Column:
            return Column(f"TO {target}", lambda row: row[target], right=True)

        columns = (Column("VMS OF", lambda row: row["host"]), *map(towards, hosts))
        emit(rows, Table(columns, lambda row: row["host"], ""), "table")
    elif short:
        rows = [{"from": pair.source, "to": pair.target, "could": f"{pair.could}/{pair.of}", "why": pair.obstacle}
                for pair in short]
        emit(rows, Table((Column("VMS OF", lambda row: row["from"]), Column("TO", lambda row: row["to"]),
                          Column("COULD", lambda row: row["could"], right=True), Column("OBSTACLE", lambda row: row["why"])),
                         lambda row: row["from"], ""), "table")
    else:
        click.echo(f"every VM that can leave its host could go to each of the others ({len(readiness.pairs)} pairs)")
    click.echo()


def _show_likenesses(readiness: Readiness) -> None:
    """Show what of processors and machine types one host has and another has not, whether or not it has a VM."""
    pairs = {(pair.source, pair.target): _unlike(pair) for pair in readiness.pairs}
    hosts = sorted({host for pair in pairs for host in pair})
    if not pairs:
        return
    if not any(pairs.values()):
        click.echo(f"processors and machine types: each host has what guests of any other may have ({len(pairs)} pairs)")
    elif len(hosts) <= COLUMNS_MAX:
        rows: list[Row] = [{"host": source, **{target: "" if source == target else pairs.get((source, target)) or "ok"
                                               for target in hosts}} for source in sorted({source for source, _ in pairs})]

        def towards(target: str) -> Column:
            return Column(f"TO {target}", lambda row: row[target])

        columns = (Column("CPU AND MACHINE OF", lambda row: row["host"]), *map(towards, hosts))
        emit(rows, Table(columns, lambda row: row["host"], ""), "table")
    else:
        rows = [{"from": source, "to": target, "what": what} for (source, target), what in pairs.items() if what]
        emit(rows, Table((Column("CPU AND MACHINE OF", lambda row: row["from"]), Column("TO", lambda row: row["to"]),
                          Column("LACKS", lambda row: row["what"])), lambda row: row["from"], ""), "table")
    click.echo()


def _unlike(pair: Pair) -> str:
    """Return what a target lacks, in short; empty where it lacks nothing."""
    processor = {True: "", False: "cpu", None: "cpu unknown"}[pair.processor]
    machines = "machine unknown" if pair.machines is None else "machine" if pair.machines else ""
    return "unknown" if pair.processor is None and pair.machines is None else ", ".join(filter(None, (processor, machines)))


def _show_links(site: Site) -> None:
    """Show how fast hosts' interfaces are, beside what is declared of them; nothing where that is not known of any."""
    rows = _links(site)
    if all(row["mbit_s"] is None for row in rows) or len(rows) > COLUMNS_MAX:
        return
    columns = (Column("LINK OF", lambda row: row["host"]),
               Column("INTERFACES", lambda row: ", ".join(row["interfaces"]) + (" (its link)" if row["is_carrier"] else "")),
               Column("MBIT/S", lambda row: str(row["mbit_s"] or "unknown"), right=True),
               Column("DECLARED", lambda row: f"{row['declared_mbit_s']:.0f}", right=True))
    emit(rows, Table(columns, lambda row: row["host"], ""), "table")
    click.echo()


def _links(site: Site) -> list[Row]:
    from ballastd.core.checkup_links import declared_mbit_s, speeds

    known = speeds(site)
    rows: list[Row] = []
    for host in site.declared.hosts:
        speed = known.get(host.name)
        rows.append({"host": host.name, "interfaces": list(speed.names) if speed else [],
                     "is_carrier": speed is not None and speed.is_carrier, "mbit_s": speed.one if speed else None,
                     "together_mbit_s": speed.all if speed else None, "declared_mbit_s": round(declared_mbit_s(host), 1)})
    return rows


def _show_certificates(site: Site) -> None:
    rows = sorted((_certificate(one, site.wall) for one in site.shown if one.certificate is not None),
                  key=lambda row: (row["days_left"], row["place"]))
    if not rows:
        return
    columns = (Column("CERTIFICATE OF",
                      lambda row: f"{row['service']} {row['role']}{' (peers)' if row['to_peers'] else ''}"),
               Column("AT", lambda row: row["place"]), Column("ISSUED BY", lambda row: row["issuer"]),
               Column("UNTIL", lambda row: row["good_until"][:10]),
               Column("DAYS", lambda row: f"{row['days_left']:.0f}", right=True))
    emit(rows[:CERTIFICATES_MAX], Table(columns, lambda row: row["place"], ""), "table")
    if len(rows) > CERTIFICATES_MAX:
        click.echo(f"and {len(rows) - CERTIFICATES_MAX} more, which are good for longer")
    click.echo()


def _certificate(one: Shown, wall: float) -> dict[str, Any]:
    """``valid_until``: its own; ``good_until``, ``days_left`` (whole ones): of what ends first of it and its vouchers."""
    seen, first = one.certificate, one.ends_first
    return {"service": one.service.value, "role": one.role.value, "place": one.place, "hosts": list(one.hosts),
            "to_peers": one.is_to_peers, "name": one.name, "subject": seen.subject if seen else None,
            "issuer": seen.issuer if seen else None,
            "names": list(seen.names) if seen else [], "valid_from": clock(seen.valid_from) if seen else None,
            "valid_until": clock(seen.valid_until) if seen else None,
            "vouchers": [voucher.subject for voucher in one.vouchers],
            "good_until": clock(first.valid_until) if first else None,
            "days_left": math.floor(first.days_left(wall)) if first else None,
            "flaw": one.flaw.value if one.flaw else None, "words": one.words}


def _show_finding(finding: Finding, where: str) -> None:
    grade = _GRADES[finding.grade]
    click.echo(f"{click.style(grade.upper() if grade == 'fault' else grade, fg=_TONES[grade], bold=grade == 'fault')} "
               f"{finding.area.value}{f' {where}' if where else ''}: {printable(finding.words)}")
    if finding.cure:
        click.echo(f"    {printable(finding.cure)}")


def _hosts(hosts: Sequence[str]) -> str:
    from ballastd.core.readiness import named

    return printable(named(hosts))


def document(name: str, site: Site, readiness: Readiness) -> dict[str, Any]:
    return {
        "cluster": name,
        "daemon": site.heard.daemon if site.heard is not None else "",
        "worst": _GRADES[readiness.worst],
        "hosts": [{"host": host, **{area.value: _GRADES[grade] for area, grade in grades.items()}}
                  for host, grades in readiness.grid.items()],
        "pairs": [{"source": pair.source, "target": pair.target, "could": pair.could, "of": pair.of,
                   "obstacle": pair.obstacle, "mbit_s": list(pair.mbit_s), "processor": pair.processor,
                   "machines_missing": None if pair.machines is None else list(pair.machines)} for pair in readiness.pairs],
        "links": _links(site),
        "certificates": [_certificate(one, site.wall) for one in site.shown],
        "findings": [{"area": finding.area.value, "grade": _GRADES[finding.grade], "hosts": list(finding.hosts),
                      "words": finding.words, "cure": finding.cure} for finding in readiness.findings],
    }


def show_leg(name: str, leg: Leg) -> None:
    way = f"{printable(name)}: {printable(leg.source)} -> {printable(leg.target)}"
    if leg.trouble:
        where = printable(", ".join(leg.runs_on)) or "no host that answers"
        click.echo(f"{way}: {printable(leg.trouble)}; it runs on {where}")
        return
    off = 100.0 * (leg.took / leg.predicted - 1.0)
    click.echo(f"{way}: predicted {leg.predicted:.1f} s at {leg.bandwidth_mib_s} MiB/s, took {leg.took:.1f} s "
               f"({off:+.0f} %), {size(leg.sent)} seen on its way")
