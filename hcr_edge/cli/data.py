"""The commands ``hcr-edge data …``, and the first of them: what sets there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from hcr_edge.cli.console import answer, say, show, table, working
from hcr_edge.cli.data_fetch import fetch
from hcr_edge.cli.data_preview import preview
from hcr_edge.cli.data_split import split
from hcr_edge.cli.data_validate import validate
from hcr_edge.cli.options import DataDir, Json
from hcr_edge.datasets import SETS, find_data_dir, load_dataset
from hcr_edge.datasets.catalogue import Entry, find_entry
from hcr_edge.datasets.library import open_finder
from hcr_edge.datasets.published import PublishedSet
from hcr_edge.errors import DataError
from hcr_edge.label_maps import LabelMap, label_maps
from hcr_runtime.errors import nearest

# Shown of a list of characters.
_SOME = 12


def list_sets(
    name: Annotated[str | None, typer.Argument(help="Say everything about this set.")] = None,
    data_dir: DataDir = None,
    as_json: Json = False,
) -> None:
    """List the data sets that are known, which of them are there, and the label maps.

    Examples: [bold]hcr-edge data list[/], [bold]hcr-edge data list hijja[/]
    """
    if name is None:
        with working("looking for data sets") as status:
            found = []
            for known in SETS.values():
                status.update(f"looking for {known.name}")
                found.append(_brief(known, data_dir))
        where = find_data_dir(data_dir)
        document = {
            "data_dir": None if where is None else str(where),
            "sets": found,
            "label_maps": [_map_to_dict(item) for item in label_maps().values()],
        }
        answer(document) if as_json else _show_all(document)
        return
    if name not in SETS:
        raise DataError(f"there is no data set {name!r}", allowed=nearest(name, SETS))
    with working(f"looking at {name}"):
        details = _details(SETS[name], data_dir)
    answer(details) if as_json else _show_one(details)


def _brief(known: PublishedSet, data_dir: Any) -> dict[str, Any]:
    entry = find_entry(known.name)
    present, damaged = _present(known, data_dir)
    return {
        "name": known.name,
        "title": entry.title,
        "script": entry.script,
        "classes": entry.classes,
        "images": entry.images,
        "licence": entry.licence,
        "present": present,
        "error": damaged,
    }


def _present(known: PublishedSet, data_dir: Any) -> tuple[list[dict[str, str]], str | None]:
    if find_data_dir(data_dir) is None:
        return [], None
    finder = open_finder(known, data_dir)
    try:
        found = finder.present()
    except DataError as error:
        return [], str(error)
    return [{"part": part, "layout": layout.name} for layout, part in found], None


def _map_to_dict(item: LabelMap) -> dict[str, Any]:
    return {
        "name": item.name,
        "title": item.title,
        "classes": [label.text for label in item.classes],
        "fold": dict(item.fold),
    }


def _details(known: PublishedSet, data_dir: Any) -> dict[str, Any]:
    entry = find_entry(known.name)
    where = find_data_dir(data_dir)
    return {
        **_brief(known, data_dir),
        "citation": entry.citation,
        "source": entry.source,
        "terms": entry.terms,
        "labels": [label.text for label in known.label_set],
        "bright_ink": known.bright_ink,
        "folder": entry.folder,
        "files": [{"name": file.name, "bytes": file.bytes} for file in entry.files],
        "manual": _steps(entry, where),
        "layouts": [
            {"name": layout.name, "parts": list(layout.parts), "optional": list(layout.optional)}
            for layout in known.layouts
        ],
        "variants": {word: variant.title for word, variant in known.variants.items()},
        "splits": _splits(known, data_dir),
        "label_maps": [
            {**_fit(item, known), "name": item.name, "title": item.title}
            for item in label_maps().values()
            if (item.indices(known.label_set) >= 0).any()
        ],
    }


def _steps(entry: Entry, where: Any) -> list[str]:
    if entry.manual is None:
        return []
    return list(entry.manual.steps) if where is None else entry.manual.steps_for(where)


def _fit(item: LabelMap, known: PublishedSet) -> dict[str, Any]:
    """What a label map does to a set: which classes it folds, and which it leaves out."""
    texts = [label.text for label in known.label_set]
    kept = item.indices(known.label_set) >= 0
    return {
        "fold": {text: item.fold[text] for text in texts if text in item.fold},
        "left_out": [text for text, keep in zip(texts, kept, strict=True) if not keep],
    }


def _splits(known: PublishedSet, data_dir: Any) -> list[dict[str, Any]]:
    """Read each split that the files here allow: its images, writers and rule."""
    if not _present(known, data_dir)[0]:
        return []
    parts = dict.fromkeys(part for layout in known.layouts for part in layout.parts)
    found = []
    for name in dict.fromkeys(("train", *(part for part in parts if part != "all"), "test", "all")):
        try:
            data = load_dataset(known.name, name, data_dir=data_dir)
        except DataError:
            continue  # not here; 'validate' says what is wrong with what is
        people = () if data.writers is None else set(data.writers[data.writers >= 0].tolist())
        rule = "whole" if name == "all" else data.split_rule
        found.append(
            {"split": name, "images": len(data), "writers": len(people) or None, "rule": rule}
        )
    return found


def _show_all(document: dict[str, Any]) -> None:
    rows = table(
        "set", "script", "classes", "images", "licence", "here", right=("classes", "images")
    )
    for item in document["sets"]:
        rows.add_row(
            item["name"],
            item["script"],
            str(item["classes"]),
            _number(item["images"]),
            item["licence"],
            _here(item),
        )
    show(rows)
    where = document["data_dir"]
    say(
        f"looked for in {where}"
        if where
        else "no folder with data sets is named; give --data-dir or set HCR_EDGE_DATA"
    )
    say("")
    maps = table("label map", "classes", "what it does", right=("classes",))
    for item in document["label_maps"]:
        maps.add_row(f"@{item['name']}", str(len(item["classes"])), item["title"])
    show(maps)
    say("one set in full: hcr-edge data list NAME")


def _here(item: dict[str, Any]) -> str:
    if item["error"]:
        return f"damaged: {item['error']}"
    layouts: dict[str, list[str]] = {}
    for found in item["present"]:
        layouts.setdefault(found["layout"], []).append(found["part"])
    return "; ".join(f"{', '.join(parts)} ({name})" for name, parts in layouts.items()) or "-"


def _number(value: int | None) -> str:
    return "varies" if value is None else f"{value:,}"


def _show_one(item: dict[str, Any]) -> None:
    facts = table("", "")
    facts.show_header = False
    lines = {
        "set": f"{item['name']}: {item['title']}",
        "by": item["citation"],
        "source": item["source"],
        "licence": item["licence"],
        "terms": item["terms"],
        "script": item["script"],
        "classes": f"{len(item['labels'])}: {' '.join(item['labels'])}",
        "images": f"{_number(item['images'])} as published",
        "folder": f"{item['folder']}/",
        "files": ", ".join(f"{f['name']} ({f['bytes'] / 1e6:.1f} MB)" for f in item["files"]),
        "by hand": " ".join(item["manual"]),
        "layouts": "; ".join(
            f"{layout['name']} ({', '.join(layout['parts'])})" for layout in item["layouts"]
        ),
        "here": _here(item),
    }
    for name, value in lines.items():
        if value:
            facts.add_row(name, value)
    for word, title in item["variants"].items():
        facts.add_row("variant", f"{item['name']}:{word} - {title}")
    for fit in item["label_maps"]:
        facts.add_row("label map", f"@{fit['name']} - {_say_fit(fit)}")
    show(facts)
    if item["splits"]:
        say("")
        rows = table("split", "images", "writers", "rule", right=("images", "writers"))
        for part in item["splits"]:
            rows.add_row(
                part["split"],
                f"{part['images']:,}",
                str(part["writers"] or "unknown"),
                _RULES.get(part["rule"], part["rule"]),
            )
        show(rows)


_RULES = {
    "published": "the publisher's",
    "writers": "by us: no writer is in two parts",
    "blocks": "by us: blocks of consecutive images, as writers are not known",
    "whole": "everything",
}


def _say_fit(fit: dict[str, Any]) -> str:
    said = []
    if fit["fold"]:
        pairs = [f"{text}→{to}" for text, to in fit["fold"].items()]
        said.append("reads " + " ".join(pairs[:_SOME]) + (" …" if len(pairs) > _SOME else ""))
    if fit["left_out"]:
        some = fit["left_out"]
        said.append("leaves out " + " ".join(some[:_SOME]) + (" …" if len(some) > _SOME else ""))
    return f"{fit['title']}" + (f" ({'; '.join(said)})" if said else "")


COMMANDS: dict[str, Callable[..., None]] = {
    "list": list_sets,
    "fetch": fetch,
    "validate": validate,
    "preview": preview,
    "split": split,
}
