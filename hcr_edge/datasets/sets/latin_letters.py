"""Small sets of Latin letters on GitHub, each by other writers, in trees that name the letter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from hcr_edge.datasets.content import Content, natural
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.images import PixelFile
from hcr_edge.datasets.published import Layout, PublishedSet, Variant
from hcr_edge.datasets.tree import read_tree
from hcr_edge.labels import LATIN_CAPITALS, LATIN_SMALL
from hcr_runtime import Label

_TURNED = Path(__file__).with_name("turned.yaml")
BOTH_CASES = (*LATIN_CAPITALS, *LATIN_SMALL)


def _letters(
    name: str,
    path: str,
    *,
    bright_ink: bool | None,
    letter: Callable[[str], str] = str,
    label_set: tuple[Label, ...] = LATIN_CAPITALS,
    writer: str = "",
    variants: Mapping[str, Variant] | None = None,
) -> PublishedSet:
    """Describe a tree.

    Args:
        name: The set's.
        path: Pattern of its files' paths; its group `letter` says what an image shows.
        bright_ink: See `PublishedSet`.
        letter: From that group to the character.
        label_set: The classes.
        writer: Pattern whose first group is the writer's number; empty where none is known.
        variants: See `PublishedSet`.
    """
    pattern = re.compile(path)
    position = {label.text: i for i, label in enumerate(label_set)}

    def label_of(file: str) -> int:
        found = pattern.search(file)
        return position.get(letter(found["letter"]), -1) if found else -1

    def select(names: Sequence[str], part: str) -> list[str]:
        return natural([file for file in names if label_of(file) >= 0])

    def read(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
        content = read_tree(files, members, label_of, pixels)
        return Content(
            images=content.images,
            labels=content.labels,
            writers=_numbers(writer, content.names) if writer else None,
            names=content.names,
            problems=content.problems,
        )

    return PublishedSet(
        name=name,
        label_set=label_set,
        layouts=(Layout("tree", ("all",), select, read),),
        bright_ink=bright_ink,
        archives=rf"(?i){name.replace('-', '.')}",
        folders=("latin",),
        tops=rf"(?i){name.replace('-', '.')}",
        variants=variants or {},
    )


def _numbers(pattern: str, names: Sequence[str]) -> NDArray[np.int64]:
    return np.array([int(re.findall(pattern, name)[0]) for name in names], np.int64)


def _upright(content: Content) -> NDArray[np.bool_]:
    """Which images of ``mohneesh`` are not known to be mirrored or turned, (N,)."""
    turned = yaml.safe_load(_TURNED.read_text(encoding="utf-8"))["mohneesh"]
    ends = {f"{letter}/{number}.jpg" for letter, numbers in turned.items() for number in numbers}
    return np.array(
        ["/".join(name.rsplit("/", 2)[-2:]) not in ends for name in content.names], bool
    )


def _ascii(code: str) -> str:
    return chr(int(code, 16))


LATIN = (
    _letters(
        "sd19-vowels",
        r"(?:^|/)[AEIOUaeiou]_[ul]/train_(?P<letter>[46][1-9a-f]|[57]5)/[^/]+\.png$",
        bright_ink=False,
        letter=_ascii,
        label_set=BOTH_CASES,
    ),
    _letters(
        "mohneesh",
        r"(?:^|/)output/(?P<letter>[A-Z])/\d+\.jpg$",
        bright_ink=True,
        variants={"upright": Variant("without what is mirrored or turned", _upright)},
    ),
    _letters(
        "charwizard",
        r"(?:^|/)(?P<letter>[A-Z])/\d+-[A-Z]_\d+\.png$",
        bright_ink=True,
        writer=r"_(\d+)\.png$",
    ),
    _letters(
        "ateam",
        r"(?:^|/)u(?P<letter>[4-7][0-9a-f])/u[4-7][0-9a-f]-\d+\.png$",
        bright_ink=None,  # crops so tight that ink is half of many
        letter=_ascii,
        label_set=BOTH_CASES,
    ),
)
