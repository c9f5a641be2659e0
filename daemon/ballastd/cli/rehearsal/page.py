"""A page of its own: report, pictures, tables. No script, nothing from elsewhere, light or dark as its reader likes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ballastd.cli.rehearsal import canvas
from ballastd.cli.rehearsal.comparing import Comparison, comparison_parts
from ballastd.cli.rehearsal.markup import Markup, element, joined
from ballastd.cli.rehearsal.parts import MANY, all_moves, all_notices, all_switches, parts
from ballastd.cli.rehearsal.pictures import Picture
from ballastd.cli.rehearsal.words import CAUTION, Cell, Part
from ballastd.core.rehearsed import Rehearsed

TRACE_LINES_MAX = 20_000
"""More than a browser likes to lay out; the JSON has them all."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--faint:#57606a;--line:#d0d7de;--paper:#ffffff;--good:#116329;--bad:#b3261e;
--caution:#8a5a00;--blue:#0072b2;--green:#009e73;--red:#d55e00}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--faint:#9aa4af;--line:#3d444d;--paper:#15181d;--good:#57c27a;
--bad:#ff8073;--caution:#e3b341;--blue:#4ba3dc;--green:#2dbd92;--red:#ff8a4a}}
body{margin:0 auto;max-width:72rem;padding:1.5rem;background:var(--paper);color:var(--ink);
font:15px/1.45 system-ui,'DejaVu Sans',sans-serif}
h1{font-size:1.5rem;margin:0 0 1rem}h2{font-size:1.05rem;margin:1.8rem 0 .4rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .9rem .2rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
td{white-space:nowrap}td:last-child{white-space:normal;overflow-wrap:anywhere;min-width:4rem}
th{color:var(--faint);font-weight:600;font-size:.8rem;white-space:nowrap}td.right,th.right{text-align:right}
figure{margin:1.8rem 0}figure svg{display:block;width:100%;height:auto}figcaption{color:var(--faint);margin-top:.4rem}
p{margin:.3rem 0}.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}.caution{color:var(--caution)}
.faint{color:var(--faint)}.strong{font-weight:600}
details{margin:1rem 0}summary{cursor:pointer;font-weight:600}pre{overflow-x:auto;font-size:.8rem}
@media print{body{max-width:none;padding:0}}
"""


def report_page(rehearsed: Rehearsed, pictures: Sequence[Picture] | None) -> str:
    """Return the page of one rehearsal. ``pictures``: None where they cannot be drawn, which the page then says."""
    *first, last = parts(rehearsed, MANY)
    body = [*map(_section, first), *_figures(pictures), _folded(all_moves(rehearsed), len(rehearsed.moves))]
    if rehearsed.switches:
        body.append(_folded(all_switches(rehearsed), len(rehearsed.switches)))
    if rehearsed.notices:
        body.append(_folded(all_notices(rehearsed), len(rehearsed.notices)))
    return _page(f"Rehearsal of {rehearsed.cluster}", [*body, _trace(rehearsed), _section(last)])


def comparison_page(comparison: Comparison) -> str:
    """Return the page of two rehearsals beside each other."""
    title = f"{comparison.name_a} and {comparison.name_b} on {comparison.a.cluster}"
    return _page(title, map(_section, comparison_parts(comparison, MANY * 100)))


def _page(title: str, body: Iterable[Markup]) -> str:
    head = element("head", element("meta", charset="utf-8"),
                   element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
                   element("meta", name="viewport", content="width=device-width, initial-scale=1"),
                   element("title", title), element("style", Markup(_STYLE)))
    page = element("html", head, element("body", element("main", element("h1", title), *body)), lang="en")
    return f"<!DOCTYPE html>\n{page.text}\n"


def _section(part: Part) -> Markup:
    return element("section", element("h2", _capital(part.title)), *_content(part))


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]


def _content(part: Part) -> list[Markup]:
    shown = element("div", _table(part), class_="scroll") if part.rows else _paragraph(part.empty)
    return [shown, *map(_paragraph, part.below)]


def _paragraph(cell: Cell) -> Markup:
    return element("p", cell.text, class_=cell.tone)


def _table(part: Part) -> Markup:
    right = [title.right for title in part.titles] or [False] * len(part.rows[0])
    heads = (element("th", title.text, class_="right" if title.right else "", scope="col")
             for title in part.titles)
    rows = (element("tr", *_cells(row, right, named=not part.titles)) for row in part.rows)
    return element("table", *([element("thead", element("tr", *heads))] if part.titles else []), element("tbody", *rows))


def _cells(row: Sequence[Cell], right: Sequence[bool], *, named: bool) -> Iterable[Markup]:
    for place, (cell, to_right) in enumerate(zip(row, right, strict=True)):
        if named and place == 0:
            yield element("th", cell.text, scope="row")
        else:
            tones = f"{cell.tone} right" if to_right else cell.tone
            yield element("td", cell.text, **({"class_": tones.strip()} if tones else {}))


def _figures(pictures: Sequence[Picture] | None) -> list[Markup]:
    if pictures is None:
        return [_paragraph(Cell(f"Without pictures: {canvas.MISSING}", CAUTION))]
    # our own drawing, made by an XML writer that escapes
    return [element("figure", Markup(picture.inline), element("figcaption", picture.description)) for picture in pictures]


def _folded(part: Part, count: int) -> Markup:
    return element("details", element("summary", f"{_capital(part.title)} ({count})"), *_content(part))


def _trace(rehearsed: Rehearsed) -> Markup:
    listed, count = rehearsed.trace[:TRACE_LINES_MAX], len(rehearsed.trace)
    more = [_paragraph(Cell(f"and {count - len(listed)} more lines: the JSON has them all"))] if count > len(listed) else []
    return element("details", element("summary", f"Trace ({count} lines)"), element("pre", joined(listed, "\n")), *more)
