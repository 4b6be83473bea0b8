"""The command that looks for everything that is wrong with a data set: ``data validate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hcr_edge.cli.console import answer, fail, say, show, table, working
from hcr_edge.cli.options import DataDir, Json, Overwrite
from hcr_edge.cli.outputs import check_new
from hcr_edge.datasets.validation import PartSummary, Report
from hcr_edge.datasets.validation import validate as run
from hcr_edge.datasets.validation.findings import CHECKS
from hcr_edge.whole_file import write_whole

_EXAMPLES = 10


def validate(
    spec: Annotated[
        str,
        typer.Argument(
            help="A set, or folder:PATH, csv:PATH, npz:PATH; joined with +, mapped by @."
        ),
    ],
    split: Annotated[
        str | None, typer.Option(help="Only this part; by default all, compared with each other.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report, as JSON, here too.")
    ] = None,
    data_dir: DataDir = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Look at every image of a data set, and say everything that is wrong with it.

    Exit code 1: there are errors. Warnings alone, which a user should know, leave it at 0.

    Examples: [bold]hcr-edge data validate ahcd[/],
    [bold]hcr-edge data validate folder:letters@arabic-letters --report letters.json[/]
    """
    if report is not None:
        check_new(report, overwrite)
    with working(f"reading {spec}") as status:
        found = run(spec, data_dir=data_dir, split=split, progress=status.update)
    document = found.to_dict()
    if report is not None:
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        write_whole(report, text.encode())
    if as_json:
        answer(document)
    else:
        _show(found)
    if not found.ok:
        raise typer.Exit(1)


def _show(report: Report) -> None:
    if report.parts:
        show(_parts_table(report))
        say("")
        show(_class_table(report.parts))
    groups: dict[tuple[str, str], list[Any]] = {}
    for problem in report.problems:
        groups.setdefault((problem.check, problem.severity), []).append(problem)
    if groups:
        say("")
        rows = table("check", "", "count", "where", "what", right=("count",))
        for (check, severity), problems in groups.items():
            title = CHECKS[check]
            rows.add_row(check, severity, str(len(problems)), "", title)
            for problem in problems[:_EXAMPLES]:
                rows.add_row("", "", "", problem.where, problem.message)
            if len(problems) > _EXAMPLES:
                more = len(problems) - _EXAMPLES
                rows.add_row("", "", "", "", f"and {more} more (--report or --json has all)")
        show(rows)
    verdict = f"{_count(len(report.errors), 'error')}, {_count(len(report.warnings), 'warning')}"
    if report.ok:
        say(f"{report.dataset}: {verdict}")
    else:
        fail(f"{report.dataset}: {verdict}")


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _parts_table(report: Report) -> Any:
    right = ("images", "classes", "writers")
    rows = table("part", *right, "height x width", "ink", "which way up", right=right)
    for part, name in zip(report.parts, _names(report.parts), strict=True):
        item = part.to_dict()
        rows.add_row(
            name,
            f"{part.images:,}",
            f"{item['classes']} of {len(part.counts)}",
            str(part.writers or "unknown"),
            _say_sizes(part),
            _say_ink(part.bright_ink),
            _say_orientation(part),
        )
    return rows


def _names(parts: tuple[PartSummary, ...]) -> list[str]:
    if len({part.dataset for part in parts}) == 1:
        return [part.split for part in parts]
    return [f"{part.dataset} {part.split}" for part in parts]


def _say_sizes(part: PartSummary) -> str:
    sizes = part.sizes
    if sizes["distinct"] < 2:
        return str(sizes["commonest"] or "-")
    return (
        f"{sizes['smallest']} to {sizes['largest']}, mostly {sizes['commonest']}"
        f" ({sizes['distinct']} sizes)"
    )


def _say_ink(share: float | None) -> str:
    if share is None:
        return "cannot be told"
    if share in (0.0, 1.0):
        return "bright" if share else "dark"
    return f"{share:.1%} bright"


def _say_orientation(part: PartSummary) -> str:
    seen = part.orientation
    if not seen.images:
        return "not provable: no fingerprints of these characters"
    return seen.found if seen.proven else f"not provable from {seen.images} images"


def _class_table(parts: tuple[PartSummary, ...]) -> Any:
    names = _names(parts)
    rows = table("class", *names, right=tuple(names))
    for text in dict.fromkeys(text for part in parts for text in part.counts):
        rows.add_row(text, *(f"{part.counts.get(text, 0):,}" for part in parts))
    return rows
