"""What people call their classes: by text, code point, name, or index among a model's labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from hcr_edge.errors import DataError
from hcr_edge.labels import (
    ARABIC_LETTERS_HAMZA,
    DIGITS,
    LATIN_CAPITALS,
    LATIN_SMALL,
    PERSIAN_DIGITS,
    RUSSIAN_CAPITALS,
    RUSSIAN_SMALL,
    find_label,
)
from hcr_runtime import Label

# The orders in which labels are numbered when a user names them without an order.
_ORDERS = (
    ARABIC_LETTERS_HAMZA,
    PERSIAN_DIGITS,
    (*DIGITS, *LATIN_CAPITALS, *LATIN_SMALL),
    (*RUSSIAN_CAPITALS, *RUSSIAN_SMALL),
)
_CODE_POINT = re.compile(r"(?:U\+|u|0x)([0-9A-F]{2,6})", re.IGNORECASE)
# What stands for bytes that are no text: it cannot be printed.
_HALVES = re.compile("[\ud800-\udfff]")
_NAMES = {
    label.name: label.text
    for labels in (ARABIC_LETTERS_HAMZA, LATIN_CAPITALS, LATIN_SMALL)
    for label in labels
}


class LabelNames:
    """Finds the label that a name means.

    Args:
        label_set: The model's labels.
        names: All names of the set: numbers are understood only together.
        fold: Other characters, and the label that each is read as (`LabelMap.fold`).

    Raises:
        DataError: Numbers count from 1, which would shift every label by one.

    >>> names = LabelNames((Label("ب", "beh"), Label("ت", "teh")), ["U+0628", "TEH", "پ"])
    >>> names("U+0628"), names("TEH"), names("پ")
    (0, 1, None)
    """

    def __init__(
        self,
        label_set: Sequence[Label],
        names: Sequence[str],
        fold: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._by_text = {_fold(label.text): i for i, label in enumerate(label_set)}
        self._by_name: dict[str, int] = {}
        others = [
            (find_label(text), self._by_text[_fold(target)])
            for text, target in fold.items()
            if _fold(text) not in self._by_text and _fold(target) in self._by_text
        ]
        self._by_text.update((_fold(label.text), i) for label, i in others)
        for label, i in (*((label, i) for i, label in enumerate(label_set)), *others):
            self._by_name.setdefault(label.codepoint.casefold(), i)
            self._by_name.setdefault(label.name.casefold(), i)
        self._count = len(label_set)
        numbers = {_number(n) for n in names if n.isdecimal() and _fold(n) not in self._by_text}
        # Nothing but 1, 2, 3 … can only be a count from 1; one past the last surely is.
        counted = len(numbers) > 1 and numbers == set(range(1, len(numbers) + 1))
        alone = all(name.isdecimal() for name in names)
        if 0 not in numbers and ((counted and alone) or self._count in numbers):
            raise DataError(
                f"the class folders are numbered from {min(numbers)} to {max(numbers)}",
                allowed=f"indices 0 to {self._count - 1}",
                hint="indices count from 0 here; name the folders by code point to be sure",
            )

    def __call__(self, name: str) -> int | None:
        """Return the label's index, or None when the name means none."""
        for table, key in ((self._by_text, _fold(name)), (self._by_name, name.casefold())):
            if key in table:
                return table[key]
        if name.isdecimal() and _number(name) < self._count:
            return _number(name)
        if (text := _character(name)) and _fold(text) in self._by_text:
            return self._by_text[_fold(text)]
        return None


def named_labels(names: Iterable[str]) -> tuple[Label, ...]:
    """Return the labels that names mean on their own, in the order of their script.

    A name is a character, its code point (``U+0628``, ``u0628``), the name of a letter (``beh``),
    or else a class of its own by that text.

    Raises:
        DataError: They are numbers, of which nobody can say what they count.

    >>> [label.text for label in named_labels(["teh", "U+0628", "lam-alef"])]
    ['ب', 'ت', 'lam-alef']
    """
    texts = {_fold(_character(name) or name) for name in names}
    numbers = sorted(_number(text) for text in texts if text.isdecimal() and len(text) > 1)
    if numbers:
        raise DataError(
            f"classes are numbered up to {numbers[-1]}, and nothing says of what",
            hint="give a label map (folder:PATH@arabic-letters), or name classes by character",
        )
    if odd := sorted(text for text in texts if not text.strip() or not text.isprintable()):
        raise DataError(
            f"a class is called {odd[0]!a}, which is no text",
            hint="name classes by character, code point (U+0628) or name",
        )
    known = [label.text for order in _ORDERS for label in order]
    ordered = [text for text in known if text in texts]
    return tuple(find_label(text) for text in (*ordered, *sorted(texts.difference(ordered))))


def named_label(name: str) -> Label:
    """Return the label that a name means, by the rules of `named_labels`.

    >>> named_label("beh").text, named_label("lam-alef").text
    ('ب', 'lam-alef')
    """
    return find_label(_fold(_character(name) or name))


def _character(name: str) -> str:
    """The character that a name means; empty where it means none."""
    if len(_fold(name)) == 1:
        return name
    if (found := _CODE_POINT.fullmatch(name)) and int(found[1], 16) <= 0x10FFFF:
        character = chr(int(found[1], 16))
        return character if character.isprintable() else ""
    return _NAMES.get(name.casefold(), "")


def at_home(path: Path) -> Path:
    """Return a user's path with the home folder in place of ``~``.

    Raises:
        DataError: It begins with ``~`` and the name of nobody.
    """
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise DataError(f"there is no home folder for {path}") from error


def shown(name: str) -> str:
    """Return a file's name so that it can be printed, whatever bytes it is made of.

    >>> shown("beh"), shown("a" + chr(0xDCFF))
    ('beh', 'a�')
    """
    return _HALVES.sub("�", name)


def _number(digits: str) -> int:
    """The whole number that digits of any script write; of endless ones the first 18."""
    return int(digits[:18])


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text)
