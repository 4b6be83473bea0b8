"""The command that divides a data set and writes the division down: ``data split``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

from hcr_edge.cli.console import answer, say, show, table, warn, working
from hcr_edge.cli.options import DataDir, Json, Overwrite
from hcr_edge.cli.outputs import check_new
from hcr_edge.datasets import Dataset, load_dataset, parse_spec
from hcr_edge.datasets.splits import Basis, Split, given_split, known_writers, make_split
from hcr_edge.errors import DataError
from hcr_edge.label_maps import find_label_map
from hcr_edge.whole_file import write_whole

_PARTS = ("train", "val", "calibration", "test", "remaining")


def split(
    spec: Annotated[str, typer.Argument(help="As 'data validate' takes it.")],
    out: Annotated[Path, typer.Option(help="The split file to write, e.g. split.json.")],
    by: Annotated[
        Literal["writers", "default", "published", "random"],
        typer.Option(
            help="No writer in two parts; as train and evaluate divide it; as its publisher does;"
            " or by lot."
        ),
    ] = "writers",
    test: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the images to test on.")
    ] = 0.2,
    val: Annotated[float, typer.Option(min=0, max=1, help="Share to validate on.")] = 0.1,
    folds: Annotated[
        int, typer.Option(min=0, max=1000, help="Divide into so many folds instead.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same split.")] = 0,
    data_dir: DataDir = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Divide a data set, and write down which image is in which part.

    Other commands then take a part of it as [bold]--split FILE.json:PART[/], and train all of it as
    [bold]--split FILE.json[/], as long as the images are the same. Where no writer is known, blocks
    of consecutive images stand for writers.

    Examples: [bold]hcr-edge data split comnist-cyrillic --out split.json[/],
    [bold]hcr-edge data split ahcd --folds 5 --out folds.json[/]
    """
    if out.suffix != ".json":
        raise DataError(f"{out} does not end in .json", hint="--split tells split files by that")
    check_new(out, overwrite)
    with working(f"reading {spec}"):
        data = load_dataset(spec, "all", data_dir=data_dir)
        if by == "default" or by == "published":
            parts = _given_parts(spec, data_dir, published=by == "published")
            division = given_split(data, parts, _basis(parts))
        else:
            division = make_split(data, by, test=test, val=val, folds=folds, seed=seed)
        document = division.to_dict()
        write_whole(out, (json.dumps(document, ensure_ascii=False) + "\n").encode())
    _warn(data, division, by)
    if as_json:
        for part in document["parts"].values():
            del part["positions"]
        answer({"file": str(out), **document, **_described(spec, data)})
        return
    _show(spec, data, division)
    say(f"{out}: use a part with --split {out}:{next(iter(division.parts))}")


def _given_parts(spec: str, data_dir: Path | None, published: bool) -> dict[str, Dataset]:
    found = {}
    for name in _PARTS:
        try:
            part = load_dataset(spec, name, data_dir=data_dir)
        except DataError:
            continue  # there is no such part
        if not (published and _rules(part) & {"writers", "blocks", "none"}):
            found[name] = part
    if len(found) < 2:
        raise DataError(
            f"{spec} comes without a split of its own", allowed="--by writers or --by random"
        )
    return found


def _rules(part: Dataset) -> set[str]:
    """By what each of the joined sets is divided."""
    return {rule.rpartition(": ")[2] for rule in part.split_rule.split(", ")}


def _basis(parts: Mapping[str, Dataset]) -> Basis:
    """Name the weakest rule of the sets that were joined."""
    rules = set().union(*(_rules(part) for part in parts.values()))
    return next((rule for rule in ("blocks", "writers") if rule in rules), "published")


def _warn(data: Dataset, division: Split, by: str) -> None:
    known = known_writers(data)
    if by == "writers":
        for name in (name for name, count in known.items() if not count):
            warn(
                f"who wrote {name} is not known: blocks of consecutive images of a class are kept"
                " together instead"
            )
    elif division.shared_writers:
        how = "a random split" if by == "random" else f"the {by} split"
        warn(
            f"{how} shares writers: {division.shared_writers} of them are in more than one part,"
            " so accuracy on strangers' writing will be lower than it says; --by writers keeps"
            " them apart"
        )
    if data.skipped:
        listing = ", ".join(f"{name} ({count})" for name, count in sorted(data.skipped.items()))
        warn(f"classes left out (images): {listing}")


def _described(spec: str, data: Dataset) -> dict[str, Any]:
    map_name = parse_spec(spec)[1]
    known = known_writers(data)
    return {
        "label_map": map_name,
        "classes": [label.text for label in data.label_set],
        "origins": [
            {"dataset": name, "images": images, "classes": classes, "writers": known[name] or None}
            for name, images, classes in _origins(data)
        ],
    }


def _origins(data: Dataset) -> list[tuple[str, int, list[str]]]:
    """Each set that was joined: its name, how many images it has, and of which classes."""
    numbers = np.zeros(len(data), np.int64) if data.origin is None else data.origin
    found = []
    for i, name in enumerate(data.origins or (data.name,)):
        labels = data.labels[numbers == i]
        texts = [data.label_set[label].text for label in np.unique(labels).tolist()]
        found.append((name, len(labels), texts))
    return found


def _show(spec: str, data: Dataset, division: Split) -> None:
    rows = table("part", "images", "share", "writers", right=("images", "share", "writers"))
    for name, positions in division.parts.items():
        writers = division.writers[name]
        share = f"{len(positions) / max(len(data), 1):.1%}"
        rows.add_row(name, f"{len(positions):,}", share, str(writers or "unknown"))
    show(rows)
    origins = _origins(data)
    map_name = parse_spec(spec)[1]
    if len(origins) > 1 or map_name is not None:
        say("")
        joined = table("joined", "images", "classes", right=("images",))
        for name, images, texts in origins:
            joined.add_row(name, f"{images:,}", f"{len(texts)}: {' '.join(texts)}")
        show(joined)
    if map_name is not None:
        chosen = find_label_map(map_name)
        pairs = " ".join(f"{text}→{to}" for text, to in chosen.fold.items())
        say(f"label map @{map_name}: {chosen.title}; {pairs}")
    made = {
        "writers": "no writer is in two parts",
        "blocks": "blocks of consecutive images of a class",
        "random": "image by image, evenly by class",
        "published": "as published",
    }[division.rule]
    say(
        f"divided by {division.rule} ({made})"
        + ("" if division.seed is None else f", seed {division.seed}")
    )
