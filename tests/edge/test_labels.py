from __future__ import annotations

import unicodedata

from hcr_edge.labels import ARABIC_LETTERS
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
