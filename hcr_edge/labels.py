"""Label sets: the characters of each script, in the order in which models number them."""

from __future__ import annotations

import re
import unicodedata

from hcr_runtime import Label

_SCRIPTS = {"ARABIC": "Arab", "LATIN": "Latn", "CYRILLIC": "Cyrl", "GREEK": "Grek"}
_NAME = re.compile(r"(?:LETTER|DIGIT) (.*)")


def character_label(text: str, transliteration: str = "") -> Label:
    """Describe one character by what Unicode says of it.

    >>> character_label("ب", "b")
    Label(text='ب', name='beh', transliteration='b', script='Arab', direction='rtl')
    >>> character_label("Ж").name, character_label("۴").name, character_label("a").name
    ('capital zhe', 'four', 'small a')
    """
    full = " ".join(unicodedata.name(character, "") for character in text)
    found = _NAME.search(full)
    case = "capital " if " CAPITAL " in full else "small " if " SMALL " in full else ""
    rtl = unicodedata.bidirectional(text[:1]) in ("R", "AL")
    return Label(
        text=text,
        name=case + found[1].lower() if found else full.lower() or text,
        transliteration=transliteration,
        # Digits are common to several scripts.
        script="Zyyy" if "DIGIT" in full else _SCRIPTS.get(full.split(" ")[0], "Zyyy"),
        direction="rtl" if rtl else "ltr",
    )


def character_labels(characters: str, transliterations: str = "") -> tuple[Label, ...]:
    """Describe several characters; `transliterations` are separated by spaces."""
    latin = transliterations.split() or [""] * len(characters)
    return tuple(character_label(c, t) for c, t in zip(characters, latin, strict=True))


# The order in which AHCD numbers its classes, 1 to 28; transliterated by DIN 31635.
ARABIC_LETTERS = character_labels(
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "ā b t ṯ ǧ ḥ ḫ d ḏ r z s š ṣ ḍ ṭ ẓ ʿ ġ f q k l m n h w y",
)
# Hijja's 29th class is the hamza, alone or on a carrier.
ARABIC_LETTERS_HAMZA = (*ARABIC_LETTERS, character_label("ء", "ʾ"))
DIGITS = character_labels("0123456789")
PERSIAN_DIGITS = character_labels("۰۱۲۳۴۵۶۷۸۹", "0 1 2 3 4 5 6 7 8 9")
LATIN_CAPITALS = character_labels("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
LATIN_SMALL = character_labels("abcdefghijklmnopqrstuvwxyz")
# ISO 9.
_RUSSIAN = "a b v g d e ë ž z i j k l m n o p r s t u f h c č š ŝ ʺ y ʹ è û â"
RUSSIAN_CAPITALS = character_labels("АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ", _RUSSIAN)
RUSSIAN_SMALL = character_labels("абвгдеёжзийклмнопрстуфхцчшщъыьэюя", _RUSSIAN)

_KNOWN = {
    label.text: label
    for labels in (
        ARABIC_LETTERS_HAMZA,
        PERSIAN_DIGITS,
        DIGITS,
        LATIN_CAPITALS,
        LATIN_SMALL,
        RUSSIAN_CAPITALS,
        RUSSIAN_SMALL,
    )
    for label in labels
}


def find_label(text: str) -> Label:
    """Return the label of `text`: with its transliteration where a label set knows it.

    A text of several characters (``lam-alef``) is its own name.

    >>> find_label("ش").transliteration, find_label("not a letter").name
    ('š', 'not a letter')
    """
    if text in _KNOWN:
        return _KNOWN[text]
    return character_label(text) if len(text) == 1 else Label(text, text)
