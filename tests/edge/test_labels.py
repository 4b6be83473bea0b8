from __future__ import annotations

import unicodedata

import pytest

from hcr_edge.labels import (
    ARABIC_LETTERS,
    ARABIC_LETTERS_HAMZA,
    DIGITS,
    LATIN_CAPITALS,
    LATIN_SMALL,
    PERSIAN_DIGITS,
    RUSSIAN_CAPITALS,
    RUSSIAN_SMALL,
    character_label,
    find_label,
)
from hcr_runtime import Label, ModelSpec

# The order in which AHCD numbers its classes, 1 to 28 (El-Sawy, Loey, El-Bakry 2017, figure 1).
AHCD_ORDER = "ابتثجحخدذرزسشصضطظعغفقكلمنهوي"


def test_order_is_that_of_the_data() -> None:
    assert [label.text for label in ARABIC_LETTERS] == list(AHCD_ORDER)
    assert len(ARABIC_LETTERS) == 28


def test_names_are_those_of_unicode() -> None:
    for label in ARABIC_LETTERS:
        assert unicodedata.name(label.text) == f"ARABIC LETTER {label.name.upper()}"


def test_every_letter_is_one_code_point_of_an_arabic_script() -> None:
    for label in ARABIC_LETTERS:
        assert len(label.text) == 1
        assert label.codepoint == f"U+{ord(label.text):04X}"
        assert unicodedata.bidirectional(label.text) == "AL"
        assert (label.script, label.direction) == ("Arab", "rtl")
        assert unicodedata.normalize("NFC", label.text) == label.text


def test_names_and_transliterations_tell_the_letters_apart() -> None:
    assert len({label.name for label in ARABIC_LETTERS}) == 28
    assert len({label.transliteration for label in ARABIC_LETTERS}) == 28
    # Transliterations of DIN 31635 that a plain Latin alphabet could not write.
    wanted = {"ث": "ṯ", "ج": "ǧ", "ح": "ḥ", "خ": "ḫ", "ذ": "ḏ", "ش": "š", "ع": "ʿ", "غ": "ġ"}
    found = {label.text: label.transliteration for label in ARABIC_LETTERS}
    assert wanted.items() <= found.items()


def test_they_make_a_model_description() -> None:
    spec = ModelSpec("letters", ARABIC_LETTERS)
    assert ModelSpec.from_json(spec.to_json()).labels == ARABIC_LETTERS
    assert spec.labels[1] == Label("ب", "beh", "b", "Arab", "rtl")


@pytest.mark.parametrize(
    ("labels", "texts", "script", "direction"),
    [
        (ARABIC_LETTERS_HAMZA, AHCD_ORDER + "ء", "Arab", "rtl"),
        # Digits run from left to right in every script, and belong to none alone.
        (PERSIAN_DIGITS, "۰۱۲۳۴۵۶۷۸۹", "Zyyy", "ltr"),
        (DIGITS, "0123456789", "Zyyy", "ltr"),
        (LATIN_CAPITALS, "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "Latn", "ltr"),
        (LATIN_SMALL, "abcdefghijklmnopqrstuvwxyz", "Latn", "ltr"),
        (RUSSIAN_CAPITALS, "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ", "Cyrl", "ltr"),
        (RUSSIAN_SMALL, "абвгдеёжзийклмнопрстуфхцчшщъыьэюя", "Cyrl", "ltr"),
    ],
)
def test_label_sets(labels: tuple[Label, ...], texts: str, script: str, direction: str) -> None:
    assert "".join(label.text for label in labels) == texts
    assert {(label.script, label.direction) for label in labels} == {(script, direction)}
    assert len({label.name for label in labels}) == len(texts)
    for label in labels:
        assert unicodedata.normalize("NFC", label.text) == label.text
        assert unicodedata.name(label.text).casefold().endswith(label.name.split(" ")[-1])
        assert find_label(label.text) == label
    spec = ModelSpec("letters", labels)
    assert ModelSpec.from_json(spec.to_json()).labels == labels


def test_transliterations_of_iso_9_are_one_letter_each() -> None:
    found = {label.text: label.transliteration for label in RUSSIAN_CAPITALS}
    assert len(set(found.values())) == 33
    wanted = {"Ж": "ž", "Х": "h", "Щ": "ŝ", "Ъ": "ʺ", "Ь": "ʹ", "Ё": "ë", "Э": "è", "Я": "â"}
    assert wanted.items() <= found.items()
    small = [label.transliteration for label in RUSSIAN_SMALL]
    assert small == [label.transliteration for label in RUSSIAN_CAPITALS]


@pytest.mark.parametrize(
    ("text", "name", "script", "direction"),
    [
        ("أ", "alef with hamza above", "Arab", "rtl"),
        ("پ", "peh", "Arab", "rtl"),
        ("٤", "four", "Zyyy", "ltr"),
        ("ñ", "small n with tilde", "Latn", "ltr"),
        ("Ω", "capital omega", "Grek", "ltr"),
        ("א", "alef", "Zyyy", "rtl"),  # a script that the project does not know
        ("?", "question mark", "Zyyy", "ltr"),
        ("ª", "feminine ordinal indicator", "Zyyy", "ltr"),
        ("\x07", "\x07", "Zyyy", "ltr"),  # Unicode has no name for it
        ("lam-alef", "lam-alef", "Zyyy", "ltr"),  # several characters: its own name
    ],
)
def test_labels_that_no_set_has(text: str, name: str, script: str, direction: str) -> None:
    label = find_label(text)
    assert (label.text, label.name, label.script, label.direction) == (
        text,
        name,
        script,
        direction,
    )
    assert label.transliteration == ""


def test_capital_and_small_letters_have_names_of_their_own() -> None:
    assert character_label("A").name == "capital a"
    assert character_label("ж").name == "small zhe"
    assert character_label("ب").name == "beh"
