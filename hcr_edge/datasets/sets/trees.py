"""Sets that are trees of image files: Persian digits, CoMNIST, NIST SD19."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.content import UNKNOWN_WRITER, Content, natural
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.images import PixelFile
from hcr_edge.datasets.published import Layout, PublishedSet, Read, Select
from hcr_edge.datasets.tree import folder_text, is_image, read_tree
from hcr_edge.labels import (
    DIGITS,
    LATIN_CAPITALS,
    LATIN_SMALL,
    PERSIAN_DIGITS,
    RUSSIAN_CAPITALS,
)
from hcr_runtime import Label

# From a file's path to the text of its class, "" for a file that is no image of the set.
ClassOf = Callable[[str], str]


def _tree(
    class_of: ClassOf,
    label_set: tuple[Label, ...],
    part_of: Callable[[str], str] = lambda name: "all",
    writers_of: Callable[[Files, Sequence[str]], NDArray[np.int64]] | None = None,
) -> tuple[Select, Read]:
    """Make the two halves of a layout for a tree whose folders name the class."""
    position = {label.text: i for i, label in enumerate(label_set)}

    def select(names: Sequence[str], part: str) -> list[str]:
        found = [name for name in names if is_image(name) and part_of(name) == part]
        # Classes that the set does not have are counted, not read; a tree of nothing else is
        # another one's.
        return natural(found) if any(class_of(name) in position for name in found) else []

    def read(files: Files, members: list[str], part: str, pixels: PixelFile) -> Content:
        images = [name for name in members if is_image(name)]
        known = [name for name in images if class_of(name) in position]
        others = Counter(class_of(name) for name in images if class_of(name) not in position)
        others.pop("", None)
        content = read_tree(files, known, lambda name: position[class_of(name)], pixels)
        return replace(
            content,
            writers=None if writers_of is None else writers_of(files, content.names),
            skipped=tuple(sorted(others.items())),
        )

    return select, read


# ---- Persian digits

_PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test", "val": "val"}
_PARTS |= {"valid": "val", "validation": "val"}
_WORDS = [label.name for label in PERSIAN_DIGITS]
_ARABIC_INDIC = str.maketrans("٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹", "01234567890123456789")


def _digit(name: str) -> str:
    """``train/4/17.png`` → ``۴``; also ``04``, ``class_4``, ``four``, or in Arabic digits."""
    folders = name.split("/")[:-1]
    if not folders:
        return ""
    text = folder_text(folders[-1]).translate(_ARABIC_INDIC).casefold()
    if text in _WORDS:
        return PERSIAN_DIGITS[_WORDS.index(text)].text
    found = re.fullmatch(r"(?:class|digit)?[ _-]?0?([0-9])", text)
    return PERSIAN_DIGITS[int(found[1])].text if found else text


def _digit_part(name: str) -> str:
    found = [_PARTS[folder] for folder in name.casefold().split("/")[:-1] if folder in _PARTS]
    return found[-1] if found else "all"


# ---- CoMNIST

_UPLOAD = re.compile(r"([0-9a-f]{8})([0-9a-f]{5})")
# A pause of so many seconds between uploads ends a writer's sitting.
_PAUSE = 30 * 60


def _letter_folder(script: str) -> ClassOf:
    def class_of(name: str) -> str:
        folders = [folder_text(folder) for folder in name.split("/")[:-1]]
        # Both scripts' trees may lie in one folder.
        scripts = {folder.casefold() for folder in folders} & {"cyrillic", "latin"}
        if not folders or len(folders[-1]) != 1 or not scripts <= {script}:
            return ""
        letter = folders[-1] if script == "latin" else _from_dos(folders[-1])
        return letter.upper()

    return class_of


def _from_dos(letter: str) -> str:
    """Undo that a zip packed in Russian Windows, in its code page, was read in the American one.

    >>> _from_dos("å"), _from_dos("Ж"), _from_dos("A")
    ('Ж', 'Ж', 'A')
    """
    try:
        return letter.encode("cp437").decode("cp866")
    except UnicodeError:
        return letter


def _sittings(files: Files, names: Sequence[str]) -> NDArray[np.int64]:
    """Number the sittings: images uploaded one after the other are likely one person's.

    A file's name is its upload time: seconds and microseconds, hexadecimal. Where it is not, the
    writer is unknown.
    """
    times = np.full(len(names), -1.0)
    for i, name in enumerate(names):
        if found := _UPLOAD.fullmatch(name.rsplit("/", 1)[-1].rsplit(".", 1)[0]):
            times[i] = int(found[1], 16) + int(found[2], 16) / 1e6
    writers = np.full(len(names), UNKNOWN_WRITER, np.int64)
    order = np.argsort(times, kind="stable")
    order = order[times[order] >= 0]
    writers[order] = np.cumsum(np.diff(times[order], prepend=-np.inf) > _PAUSE) - 1
    return writers


# ---- NIST SD19

_HEX_FILE = re.compile(r"(?:train|hsf_\d)_([0-9a-f]{2})_\d+\.[a-z]+$", re.IGNORECASE)
_HEX_FOLDER = re.compile(r"(?:^|/)(?:train_)?([0-9a-f]{2})(?=/)", re.IGNORECASE)
_FIELD = re.compile(r"(?:^|/)(hsf_\d|train_[0-9a-f]{2})(?=[/_])", re.IGNORECASE)
_WRITER_LINE = re.compile(r"(\S+\.png)\s.*?\b[cdfhlu](\d{4})_\d{2}", re.IGNORECASE)


def _hexadecimal(name: str) -> str:
    """The file's name, else the nearest folder of two digits: the ASCII code of the class."""
    found = _HEX_FILE.search(name)
    code = found[1] if found else (_HEX_FOLDER.findall(name) or [""])[-1]
    text = chr(int(code, 16)) if code else ""
    return text if text.isascii() and text.isalnum() else ""


def _field(name: str) -> str:
    found = _FIELD.findall(name)
    return found[-1].lower() if found else ""


def _sd19_select(names: Sequence[str], part: str) -> list[str]:
    """``hsf_4`` is NIST's test partition; ``train_XX`` holds the images of all others again."""
    members = _SD19_SELECT(names, "all")
    test = [name for name in members if _field(name) == "hsf_4"]
    rest = [name for name in members if _field(name) != "hsf_4"]
    again = {_hexadecimal(name) for name in rest if _field(name).startswith("train_")}
    once = [
        name
        for name in rest
        if _field(name).startswith("train_") or _hexadecimal(name) not in again
    ]
    chosen = {"test": test, "train": once if test else [], "all": [] if test else once}[part]
    # They say who wrote, and so are part of what is read.
    return [*chosen, *(name for name in names if name.endswith(".mit"))] if chosen else []


def _nist_writers(files: Files, names: Sequence[str]) -> NDArray[np.int64]:
    """Read writers from the ``.mit`` files beside the images, where they are there."""
    writers = dict.fromkeys(names, UNKNOWN_WRITER)
    for path, data in files.walk(lambda name: name.endswith(".mit")):
        above = path.rsplit("/", 1)[0] + "/" if "/" in path else ""
        stem = path.rsplit("/", 1)[-1].removesuffix(".mit")
        for line in data.decode("latin-1").splitlines():
            if found := _WRITER_LINE.search(line):
                image = f"{above}{stem}/{found[1].rsplit('/', 1)[-1]}"
                if image in writers:
                    writers[image] = int(found[2])
    return np.array([writers[name] for name in names], np.int64)


_SD19_LABELS = (*DIGITS, *LATIN_CAPITALS, *LATIN_SMALL)
_SD19_SELECT, _SD19_READ = _tree(_hexadecimal, _SD19_LABELS, writers_of=_nist_writers)
_DIGITS_SELECT, _DIGITS_READ = _tree(_digit, PERSIAN_DIGITS, _digit_part)

PERSIAN_DIGIT_TREE = PublishedSet(
    name="persian-digits",
    label_set=PERSIAN_DIGITS,
    layouts=(
        Layout("tree", ("train", "val", "test"), _DIGITS_SELECT, _DIGITS_READ, ("val",)),
        Layout("tree", ("all",), _DIGITS_SELECT, _DIGITS_READ),
    ),
    bright_ink=None,
    archives=r"(?i)(persian|farsi).*digit|digit.*(persian|farsi)",
    tops=r"^[0-9٠-٩۰-۹]$|(?i:persian|farsi).*(?i:digit)",
)


def _comnist(name: str, labels: tuple[Label, ...], script: str) -> PublishedSet:
    select, read = _tree(_letter_folder(script), labels, writers_of=_sittings)
    return PublishedSet(
        name=name,
        label_set=labels,
        layouts=(Layout("tree", ("all",), select, read),),
        bright_ink=False,
        archives=rf"(?i){script}|comnist",
        tops=rf"(?i)^{script}|^comnist",
    )


COMNIST = (
    _comnist("comnist-cyrillic", RUSSIAN_CAPITALS, "cyrillic"),
    _comnist("comnist-latin", LATIN_CAPITALS, "latin"),
)
SD19 = PublishedSet(
    name="sd19",
    label_set=_SD19_LABELS,
    layouts=(
        Layout("by_class", ("train", "test"), _sd19_select, _SD19_READ),
        Layout("by_class", ("all",), _sd19_select, _SD19_READ),
    ),
    bright_ink=False,
    archives=r"(?i)sd19|by_class|nist",
    folders=("latin",),
    tops=r"(?i)^(by_class|by_merge|sd19.*|[3-7][0-9a-f])$",
)
