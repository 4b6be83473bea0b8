"""Label sets: the characters of each script, in the order in which models number them."""

from __future__ import annotations

from hcr_runtime import Label

# Text, name (as in Unicode) and DIN 31635 transliteration; AHCD numbers them 1 to 28.
_ARABIC = """
ا alef ā   ب beh b    ت teh t    ث theh ṯ   ج jeem ǧ   ح hah ḥ    خ khah ḫ
د dal d    ذ thal ḏ   ر reh r    ز zain z   س seen s   ش sheen š  ص sad ṣ
ض dad ḍ    ط tah ṭ    ظ zah ẓ    ع ain ʿ    غ ghain ġ  ف feh f    ق qaf q
ك kaf k    ل lam l    م meem m   ن noon n   ه heh h    و waw w    ي yeh y
"""


def _parse(table: str, script: str, direction: str) -> tuple[Label, ...]:
    cells = table.split()
    return tuple(
        Label(text, name, transliteration, script, "rtl" if direction == "rtl" else "ltr")
        for text, name, transliteration in zip(cells[::3], cells[1::3], cells[2::3], strict=True)
    )


ARABIC_LETTERS = _parse(_ARABIC, "Arab", "rtl")
