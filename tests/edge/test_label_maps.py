"""Label maps, and sets joined under them."""

from __future__ import annotations

import string
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import yaml

from hcr_edge.datasets import SETS, Dataset, load_dataset, parse_spec
from hcr_edge.errors import DataError
from hcr_edge.label_maps import LabelMap, find_label_map, label_maps
from hcr_edge.labels import (
    ARABIC_LETTERS,
    ARABIC_LETTERS_HAMZA,
    PERSIAN_DIGITS,
    RUSSIAN_CAPITALS,
    find_label,
)
from tests.edge.published_files import WRITERS, png, put, sample

SOURCE = Path(__file__).parents[2] / "hcr_edge" / "label_maps.yaml"


# ---- the maps


@pytest.mark.parametrize("chosen", label_maps().values(), ids=list(label_maps()))
def test_every_map_is_sound(chosen: LabelMap) -> None:
    texts = [label.text for label in chosen.classes]
    assert len(set(texts)) == len(texts) > 9
    assert chosen.title
    assert set(chosen.fold.values()) <= set(texts), "folded into a class that is there"
    assert not set(chosen.fold) & set(texts), "a class is not folded away"
    for text in (*texts, *chosen.fold):
        # YAML could have made `y`, `n` or ٣ something else.
        assert isinstance(text, str)
        assert len(unicodedata.normalize("NFC", text)) == 1
    own = chosen.indices(chosen.classes)
    assert own.tolist() == list(range(len(texts)))


def test_the_arabic_maps_are_as_promised() -> None:
    letters = find_label_map("arabic-letters")
    assert letters.classes == ARABIC_LETTERS
    assert {text: letters.fold[text] for text in "أإآىک"} == {
        "أ": "ا",
        "إ": "ا",
        "آ": "ا",
        "ى": "ي",
        "ک": "ك",
    }
    with_hamza = find_label_map("arabic-letters-hamza")
    assert with_hamza.classes == ARABIC_LETTERS_HAMZA
    assert with_hamza.fold == letters.fold


@pytest.mark.parametrize("name", ["latin-letters", "russian-letters"])
def test_letter_case_folds_as_unicode_has_it(name: str) -> None:
    chosen = find_label_map(name)
    assert {small: small.upper() for small in chosen.fold} == dict(chosen.fold)
    assert {label.text.lower() for label in chosen.classes} == set(chosen.fold)


def test_emnists_merged_classes() -> None:
    """47 in the published order; 15 small letters count as their capitals."""
    merged = find_label_map("emnist-merged")
    capitals = string.digits + string.ascii_uppercase
    assert "".join(label.text for label in merged.classes) == capitals + "abdefghnqrt"
    assert "".join(merged.fold) == "cijklmopsuvwxyz"
    assert SETS["emnist-balanced"].label_set == SETS["emnist-bymerge"].label_set == merged.classes
    by_class = SETS["emnist-byclass"].label_set
    assert (merged.indices(by_class) >= 0).all(), "every class of ByClass is one of ByMerge"


def test_digits_that_look_unlike_are_not_folded() -> None:
    """٤ ٥ ٦ are written differently in Persian."""
    chosen = find_label_map("persian-digits")
    assert chosen.classes == PERSIAN_DIGITS
    assert set("٤٥٦") & set(chosen.fold) == set()
    assert all(unicodedata.digit(a) == unicodedata.digit(b) for a, b in chosen.fold.items())


def test_maps_are_data() -> None:
    stored = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    assert list(stored) == list(label_maps())
    assert {tuple(item) for item in stored.values()} == {("title", "classes", "fold")}


def test_indices_of_a_label_set() -> None:
    chosen = find_label_map("arabic-letters")
    assert chosen.indices([find_label(text) for text in "بءأA"]).tolist() == [1, -1, 0, -1]


def test_unknown_map() -> None:
    with pytest.raises(DataError, match="no label map 'arabic-leters'") as caught:
        find_label_map("arabic-leters")
    assert "did you mean arabic-letters" in caught.value.allowed


# ---- specs


@pytest.mark.parametrize(
    ("spec", "names", "chosen"),
    [
        ("ahcd", ["ahcd"], None),
        ("ahcd+hijja", ["ahcd", "hijja"], None),
        ("ahcd+hijja:28,isolated@arabic-letters", ["ahcd", "hijja:28,isolated"], "arabic-letters"),
        ("hijja:28+ahcd+samples", ["hijja:28", "ahcd", "samples"], None),
        ("mnist+emnist-mnist+emnist-digits", ["mnist", "emnist-mnist", "emnist-digits"], None),
        ("ahcd@latin-letters", ["ahcd"], "latin-letters"),
        ("ahcd@no-such-map", ["ahcd"], "no-such-map"),  # to be refused by name
        # Paths may hold the signs too.
        ("folder:my+own@home", ["folder:my+own@home"], None),
        ("folder:a+b+ahcd", ["folder:a+b", "ahcd"], None),
        ("folder:a+ahcd-copy", ["folder:a+ahcd-copy"], None),
        ("csv:a+b.csv+npz:c+d.npz", ["csv:a+b.csv", "npz:c+d.npz"], None),
        ("csv:a@b/c.csv@arabic-letters", ["csv:a@b/c.csv"], "arabic-letters"),
        ("ahcd+csv:a@b/c.csv", ["ahcd", "csv:a@b/c.csv"], None),
        ("csv:C:\\own+new\\a.csv", ["csv:C:\\own+new\\a.csv"], None),
        ("ahcd+", ["ahcd+"], None),
        ("", [""], None),
        ("@", [""], ""),
    ],
)
def test_specs(spec: str, names: list[str], chosen: str | None) -> None:
    assert parse_spec(spec) == (names, chosen)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("ahcd+hijaj", "no data set 'ahcd+hijaj'"),
        ("ahcd+", "no data set 'ahcd+'"),
        ("ahcd@arabic", "no label map 'arabic'"),
        ("ahcd@", "no label map ''"),
        ("@arabic-letters", "no data set ''"),
        ("ahcd@latin-letters", "@latin-letters has none of the classes of ahcd"),
        ("ahcd+mnist@persian-digits", "@persian-digits has none of the classes of ahcd"),
    ],
)
def test_specs_that_mean_nothing(spec: str, says: str, data_dir: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(spec, "test", data_dir=data_dir)
    assert says in caught.value.message


# ---- joined sets


def _texts(data: Dataset) -> list[str]:
    return [data.label_set[i].text for i in data.labels]


def test_ahcd_with_hijja(data_dir: Path) -> None:
    joined = load_dataset("ahcd+hijja", "test", data_dir=data_dir)
    parts = [load_dataset(name, "test", data_dir=data_dir) for name in ("ahcd", "hijja")]
    assert joined.name == "ahcd+hijja"
    assert joined.label_set == ARABIC_LETTERS_HAMZA, "the first one's classes, then what is new"
    assert _texts(joined) == _texts(parts[0]) + _texts(parts[1])
    assert joined.origins == ("ahcd", "hijja")
    assert joined.origin is not None
    assert np.bincount(joined.origin).tolist() == [len(part) for part in parts]
    np.testing.assert_array_equal(joined.images[3360], parts[1].images[0])
    assert joined.where(0) == "ahcd test, image 1"
    assert joined.where(3360) == parts[1].names[0]
    assert joined.split_rule == "ahcd: published, hijja: writers"
    # Writer 3 of one set is not writer 3 of the other.
    assert joined.writers is not None
    first, second = (set(joined.writers[joined.origin == i].tolist()) for i in (0, 1))
    assert (len(first), first & second) == (60, set())
    assert parts[1].writers is not None
    assert len(second) == len(np.unique(parts[1].writers))


def test_a_map_leaves_out_what_it_does_not_know(data_dir: Path) -> None:
    """And says how many: Hijja's hamza is none of the 28 letters."""
    spec = "ahcd+hijja@arabic-letters"
    joined = load_dataset(spec, "all", data_dir=data_dir)
    hijja = load_dataset("hijja", "all", data_dir=data_dir)
    hamza = int((hijja.labels == 28).sum())
    assert joined.label_set == ARABIC_LETTERS
    assert joined.skipped == {"ء": hamza}
    assert len(joined) == 16800 + len(hijja) - hamza
    assert joined.name == spec
    chosen = load_dataset("ahcd+hijja:28@arabic-letters", "all", data_dir=data_dir)
    assert chosen.skipped == {}
    assert chosen.labels.tolist() == joined.labels.tolist()


def test_origin_survives_a_choice(data_dir: Path) -> None:
    joined = load_dataset("ahcd+hijja:28", "test", data_dir=data_dir)
    assert joined.origin is not None
    chosen = joined.take(np.array([5, 4000, 0]), "some")
    assert chosen.origin is not None
    assert chosen.origin.tolist() == [0, 1, 0]
    assert [chosen.where(i) for i in range(3)] == [joined.where(i) for i in (5, 4000, 0)]
    limited = joined.limit(100)
    assert limited.origin is not None
    assert set(limited.origin.tolist()) == {0, 1}


@pytest.fixture
def variants(tmp_path: Path) -> str:
    """A table of letters as people name their variants, and some that are none."""
    texts = ["أ", "إ", "آ", "ا", "ى", "ي", "ک", "ك", "U+0622", "alef maksura", "ب", "ء", "پ", "پ"]
    rows = [f"{i}.png,{text},{i % 3}" for i, text in enumerate(texts)]
    images = {f"{i}.png": png(np.full((9, 9), 10 * i, np.uint8)) for i in range(len(texts))}
    put(tmp_path, {**images, "own.csv": "\n".join(["path,label,writer", *rows]).encode()})
    return f"csv:{tmp_path / 'own.csv'}"


def test_ones_own_letters_are_folded(variants: str) -> None:
    data = load_dataset(f"{variants}@arabic-letters")
    assert "".join(_texts(data)) == "ااااييكك" + "ايب"
    assert data.label_set == ARABIC_LETTERS
    assert data.skipped == {"ء": 1, "پ": 2}
    plain = load_dataset(variants)
    assert (len(plain), plain.skipped) == (14, {})
    assert {"أ", "آ", "ى", "ک", "alef maksura"} < {label.text for label in plain.label_set}
    with_hamza = load_dataset(f"{variants}@arabic-letters-hamza")
    assert with_hamza.skipped == {"پ": 2}


def test_ones_own_letters_with_a_published_set(variants: str, data_dir: Path) -> None:
    joined = load_dataset(f"ahcd+{variants}@arabic-letters", data_dir=data_dir)
    assert len(joined) == 3360 + 11
    assert joined.origins == ("ahcd", variants)
    assert "".join(_texts(joined)[3360:]) == "ااااييككايب"
    assert joined.skipped == {"ء": 1, "پ": 2}
    assert joined.writers is not None
    assert sorted(set(joined.writers[3360:].tolist())) == [60, 61, 62]
    # Files of one's own beside rows of a table.
    assert joined.encoded(3370).startswith(b"\x89PNG")
    assert joined.encoded(0).startswith(b"\x89PNG")


def test_folders_and_arrays_are_folded_too(tmp_path: Path) -> None:
    image = png(np.zeros((9, 9), np.uint8))
    for name in ("أ", "U+0649", "keheh", "1", "peh"):
        put(tmp_path / "own", {f"{name}/1.png": image})
    data = load_dataset(f"folder:{tmp_path / 'own'}@arabic-letters")
    assert sorted(_texts(data)) == sorted("ايكب")
    assert data.skipped == {"peh": 1}
    labels = np.array(["أ", "ى", "ک", "پ"])
    np.savez(tmp_path / "own.npz", images=np.zeros((4, 9, 9), np.uint8), labels=labels)
    data = load_dataset(f"npz:{tmp_path / 'own.npz'}@arabic-letters")
    assert ("".join(_texts(data)), data.skipped) == ("ايك", {"پ": 1})


def test_small_letters_count_as_capitals(data_dir: Path) -> None:
    plain = load_dataset("sd19", "all", data_dir=data_dir)
    folded = load_dataset("sd19@latin-letters", "all", data_dir=data_dir)
    assert len(folded.label_set) == 26
    assert _texts(folded) == [text.upper() for text in _texts(plain)]
    merged = load_dataset("sd19@emnist-merged", "all", data_dir=data_dir)
    kept = set("abdefghnqrt")
    assert _texts(merged) == [t if t in kept else t.upper() for t in _texts(plain)]


def test_two_sets_of_one_script_under_one_map(data_dir: Path, tmp_path: Path) -> None:
    """Small and capital Russian letters, from two sets, are 33 classes."""
    small, capital = (sample(n, data_dir) for n in ("russian-letters", "comnist-cyrillic"))
    put(tmp_path / "russian-letters", WRITERS["russian-letters"]["csv"](small))
    put(tmp_path / "comnist", WRITERS["comnist-cyrillic"]["tree"](capital))
    spec = "comnist-cyrillic+russian-letters"
    assert len(load_dataset(spec, "all", data_dir=tmp_path).label_set) == 66
    joined = load_dataset(f"{spec}@russian-letters", "all", data_dir=tmp_path)
    assert joined.label_set == RUSSIAN_CAPITALS
    assert len(joined) == len(small) + len(capital)
    assert set(_texts(joined)) <= {label.text for label in RUSSIAN_CAPITALS}


def test_skipped_classes_of_all_parts_are_counted(data_dir: Path, tmp_path: Path) -> None:
    """Of two sets, and of the two parts of one."""
    letters = sample("comnist-cyrillic", data_dir).first(66)
    image = png(letters.images[0])
    tree = {f"Cyrillic/{t}/{i}.png": png(letters.images[i]) for i, t in enumerate(letters.texts)}
    put(tmp_path / "comnist", {**tree, "Cyrillic/І/1.png": image, "Cyrillic/Ї/1.png": image})
    put(tmp_path / "own", {"І/1.png": image, "І/2.png": image, "Ж/1.png": image})
    spec = f"comnist-cyrillic+folder:{tmp_path / 'own'}@russian-letters"
    assert load_dataset(spec, "all", data_dir=tmp_path).skipped == {"І": 3, "Ї": 1}


def test_a_set_joined_with_itself_keeps_its_writers_apart(data_dir: Path) -> None:
    """Nobody should, but two copies under two names are easily had."""
    joined = load_dataset("ahcd+ahcd", "test", data_dir=data_dir)
    assert joined.writers is not None
    assert len(np.unique(joined.writers)) == 120
    assert joined.label_set == ARABIC_LETTERS


def test_a_joined_set_is_limited_evenly(data_dir: Path) -> None:
    joined = load_dataset("ahcd+hijja:28@arabic-letters", "test", data_dir=data_dir)
    counts = np.bincount(joined.limit(280).labels, minlength=28)
    assert counts.tolist() == [10] * 28


def test_samples_take_a_map() -> None:
    data = load_dataset("samples@arabic-letters-hamza", "calibration")
    assert data.label_set == ARABIC_LETTERS_HAMZA
    assert len(data) == 6 * 28
