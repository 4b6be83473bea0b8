"""`validate` on small damaged sets, where every fault is known, and on the real ones."""

from __future__ import annotations

import gzip
import shutil
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hcr_edge.datasets import Dataset, load_dataset
from hcr_edge.datasets.validation import Report, validate
from hcr_edge.datasets.validation.duplicates import likeness, near_pairs
from hcr_edge.datasets.validation.findings import CHECKS, judge
from hcr_edge.datasets.validation.inspection import Inspected, inspect_dataset
from hcr_edge.datasets.validation.traits import read_traits
from hcr_edge.errors import DataError
from tests.edge.published_files import in_folders, put, russian, sample

Image = NDArray[np.uint8]
LETTERS = "بجس"


def draw(seed: int, letter: str = "ب") -> Image:
    """A made-up letter: dark strokes of one shape a letter, in as many hands as there are seeds."""
    rng = np.random.default_rng([seed, ord(letter)])
    base = np.random.default_rng(ord(letter)).uniform(10, 38, (6, 2))
    points = (base + rng.normal(0, 3.5, (6, 2))).round().astype(np.int32)
    image = np.full((48, 48), 245, np.uint8)
    cv2.polylines(image, [points], False, 20, int(rng.integers(2, 4)), cv2.LINE_AA)
    return image


def write(path: Path, image: Image | bytes, quality: int = 90) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(image, bytes):
        how = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix == ".jpg" else []
        image = cv2.imencode(path.suffix, image, how)[1].tobytes()
    path.write_bytes(image)
    return path


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A folder in which nothing is wrong."""
    root = tmp_path / "letters"
    for split, first in (("train", 0), ("test", 100)):
        for letter in LETTERS:
            for i in range(10):
                write(root / split / letter / f"{i}.png", draw(first + i, letter))
    return root


def found(report: Report) -> dict[str, int]:
    """How many problems each check found."""
    return dict(Counter(problem.check for problem in report.problems))


def places(report: Report, check: str) -> set[str]:
    return {problem.where for problem in report.problems if problem.check == check}


def test_nothing_is_wrong(sound: Path) -> None:
    report = validate(f"folder:{sound}")
    assert (report.problems, report.ok) == ((), True)
    assert [(part.split, part.images) for part in report.parts] == [("train", 30), ("test", 30)]
    assert report.parts[0].counts == dict.fromkeys(LETTERS, 10)
    assert report.parts[0].sizes["commonest"] == "48x48"
    assert report.parts[0].bright_ink == 0.0


def _cut(root: Path) -> None:
    path = root / "train/ب/0.png"
    path.write_bytes(path.read_bytes()[:-30])


def _noisy(image: Image) -> Image:
    return np.clip(image + np.random.default_rng(0).normal(0, 3, image.shape), 0, 255).astype("u1")


def _uneven(root: Path) -> None:
    shutil.rmtree(root / "test")
    for path in sorted((root / "train/س").iterdir())[1:]:
        path.unlink()
    write(root / "train/ب/one-more.png", draw(999))


# What is done to a sound set, and what must then be found: check, severity, place; nothing else.
FAULTS: dict[str, tuple[Callable[[Path], object], set[tuple[str, str, str]]]] = {
    "cut short": (_cut, {("undecodable", "error", "train/ب/0.png")}),
    "empty file": (
        lambda root: write(root / "test/ج/empty.png", b""),
        {("undecodable", "error", "test/ج/empty.png")},
    ),
    "text called an image": (
        lambda root: write(root / "test/ج/text.png", b"not an image\n"),
        {("undecodable", "error", "test/ج/text.png")},
    ),
    "blank paper": (
        lambda root: write(root / "train/ج/blank.png", _noisy(np.full((48, 48), 240, np.uint8))),
        {("blank", "warning", "train/ج/blank.png")},
    ),
    "equal images in one part": (
        lambda root: write(root / "train/ب/same.png", draw(1)),
        {("duplicate", "warning", "train/ب/same.png")},
    ),
    # Without loss in another format: other bytes, but the same pixels.
    "a training image among the test images": (
        lambda root: write(root / "test/ب/leak.bmp", draw(2)),
        {("duplicate-between", "error", "test/ب/leak.bmp")},
    ),
    "one image, two labels": (
        lambda root: write(root / "train/ج/label.png", draw(3)),
        {("duplicate-label", "error", "train/ج/label.png")},
    ),
    "shifted by a pixel": (
        lambda root: write(root / "train/ب/shifted.png", np.roll(draw(4), 1, 1)),
        {("near-duplicate", "warning", "train/ب/shifted.png")},
    ),
    "saved as JPEG": (
        lambda root: write(root / "test/ب/saved.jpg", draw(5), quality=70),
        {("near-duplicate-between", "warning", "test/ب/saved.jpg")},
    ),
    # Both a copy and the odd one out.
    "inverted copy": (
        lambda root: write(root / "train/ب/inverted.png", 255 - draw(6)),
        {
            ("near-duplicate", "warning", "train/ب/inverted.png"),
            ("polarity", "warning", "train/ب/inverted.png"),
        },
    ),
    "another size": (
        lambda root: write(root / "train/ب/size.png", np.pad(draw(77), 8, constant_values=245)),
        {("size", "warning", "train/ب/size.png")},
    ),
    "empty class folder": (
        lambda root: (root / "train/ه").mkdir(),
        {("empty-class", "warning", "train/ه")},
    ),
    "a class only in one part": (
        lambda root: [write(root / f"train/ش/{i}.png", draw(i, "ش")) for i in range(5)],
        {("empty-class", "warning", "{root} test")},
    ),
    "files of another kind": (
        lambda root: write(root / "train/ب/notes.txt", b"written on Monday"),
        {("stray", "warning", "train/ب")},
    ),
    "images beside the class folders": (
        lambda root: write(root / "train/loose.png", draw(500)),
        {("stray", "warning", "train")},
    ),
    "a folder beside train and test": (
        lambda root: write(root / "others/ب/1.png", draw(7)),
        {("stray", "warning", "others")},
    ),
    "what a Mac leaves behind": (
        lambda root: write(root / "train/ب/._1.png", b"\0\5\26\7"),
        set(),
    ),
    "very different classes": (_uneven, {("balance", "warning", "{root}")}),
}


def judged(root: Path) -> set[tuple[str, str, str]]:
    report = validate(f"folder:{root}")
    assert report.ok == (not report.errors)
    return {(problem.check, problem.severity, problem.where) for problem in report.problems}


def filled_in(expected: set[tuple[str, str, str]], root: Path) -> set[tuple[str, str, str]]:
    return {(check, how, where.format(root=f"folder:{root}")) for check, how, where in expected}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_found_and_nothing_else(name: str, sound: Path) -> None:
    change, expected = FAULTS[name]
    change(sound)
    assert judged(sound) == filled_in(expected, sound)


def test_all_faults_are_reported_at_once(sound: Path) -> None:
    wanted: set[tuple[str, str, str]] = set()
    for name, (change, expected) in FAULTS.items():
        if name != "very different classes":  # it takes the test part away
            change(sound)
            wanted |= filled_in(expected, sound)
    assert len(wanted) == 17
    assert judged(sound) == wanted


def test_order_of_the_report(sound: Path) -> None:
    _cut(sound)
    write(sound / "train/ب/x.png", draw(4))
    write(sound / "train/ج/x.png", b"")
    checks = [problem.check for problem in validate(f"folder:{sound}").problems]
    assert checks == sorted(checks, key=list(CHECKS).index)
    assert set(checks) == {"undecodable", "duplicate"}


def test_folders_that_a_label_map_does_not_know(sound: Path) -> None:
    write(sound / "train/ж/1.png", draw(900))
    report = validate(f"folder:{sound}@arabic-letters", split="train")
    assert report.ok
    assert places(report, "unknown-class") == {"train/ж"}
    # 28 letters, three of which are there.
    assert found(report) == {"unknown-class": 1, "empty-class": 25}
    none = validate(f"folder:{sound}@persian-digits", split="train")
    assert found(none) == {"missing": 1, "unknown-class": 4}
    assert not none.ok


def test_folders_numbered_from_one(tmp_path: Path) -> None:
    for number in range(1, 29):
        write(tmp_path / "own" / str(number) / "1.png", draw(number))
    (tmp_path / "own/7/1.png").write_bytes(b"")
    report = validate(f"folder:{tmp_path / 'own'}@arabic-letters")
    assert {problem.check for problem in report.errors} == {"label", "undecodable"}
    assert "numbered from 1" in report.errors[-1].message


def manifest(root: Path, lines: Iterable[str]) -> str:
    path = root / "letters.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"csv:{path}"


def test_manifest_with_every_fault(tmp_path: Path) -> None:
    for i in range(6):
        write(tmp_path / f"{i}.png", draw(i, LETTERS[i % 3]))
    write(tmp_path / "cut.png", b"\x89PNG\r\n")
    spec = manifest(
        tmp_path,
        [
            "path,label,split,writer",
            "0.png,ب,train,ann",
            "1.png,ج,train,bob",
            "2.png,س,test,ann",
            "gone.png,ب,train,ann",
            "3.png,,train,ann",
            ",ب,train,ann",
            "cut.png,ب,test,",
            "4.png,ج,,bob",
            "5.png,س,train,bob",
            "5.png,س,test,bob",
        ],
    )
    report = validate(spec)
    assert {
        (p.check, p.severity, p.where) for p in report.problems if p.check != "empty-class"
    } == {
        ("missing", "error", "line 5: gone.png"),
        ("label", "error", "line 6: 3.png"),
        ("missing", "error", "line 7: (no path)"),
        ("undecodable", "error", "line 8: cut.png"),
        ("split", "warning", "line 9"),
        ("duplicate-between", "error", "line 11: 5.png"),
        ("writers", "warning", spec),
    }
    assert [(part.split, part.images, part.writers) for part in report.parts] == [
        ("train", 4, 2),
        ("test", 2, 2),
        ("none", 1, 1),
    ]


@pytest.mark.parametrize(
    ("content", "where"),
    [(b"path;name\n1.png;x\n", "label"), (b"\xff\xfe\0", "UTF-8"), (b"", "columns none")],
)
def test_a_table_that_is_none(content: bytes, where: str, tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_bytes(content)
    report = validate(f"csv:{path}")
    assert found(report) == {"damaged": 1}
    assert where in report.errors[0].message


def test_arrays_with_labels_out_of_range(tmp_path: Path) -> None:
    images = np.stack([draw(i) for i in range(8)])
    classes = np.array(list(LETTERS))
    path = tmp_path / "own.npz"
    np.savez(path, x_train=images, y_train=[0, 1, 2, 3, 0, 1, -1, 2], x_test=images[:3],
             y_test=[0, 1, 2], classes=classes)  # fmt: skip
    report = validate(f"npz:{path}")
    assert places(report, "label") == {"own.npz train, row 4", "own.npz train, row 7"}
    assert [part.split for part in report.parts] == ["test"], "the sound part is still looked at"
    np.savez(path, images=images, labels=[0] * 7)
    assert found(validate(f"npz:{path}")) == {"damaged": 1}


@pytest.mark.parametrize("spec", ["folder:{}/gone", "csv:{}/gone.csv", "npz:{}/x.npz", "nope"])
def test_nothing_can_be_said_of_what_is_not_there(spec: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        validate(spec.format(tmp_path))


def test_a_split_that_is_not_there(sound: Path) -> None:
    with pytest.raises(DataError, match="no split 'val'"):
        validate(f"folder:{sound}", split="val")


def _arrays(path: Path, data: Dataset, change: Callable[[Image], Image]) -> str:
    images = np.stack([change(image) for image in data.images])
    classes = np.array([label.text for label in data.label_set])
    np.savez(path, images=images, labels=data.labels, classes=classes)
    return f"npz:{path}"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: image.T, "transposed"),
        (lambda image: image[:, ::-1], "mirrored"),
        (lambda image: np.rot90(image, 2), "rotated by 180°"),
        (lambda image: image, ""),
        (lambda image: 255 - image, ""),  # one's own data may have either polarity
    ],
)
def test_own_data_that_are_not_upright(
    change: Callable[[Image], Image], message: str, ahcd: Callable[[str], Dataset], tmp_path: Path
) -> None:
    few = ahcd("test").limit(28 * 20)
    report = validate(_arrays(tmp_path / "own.npz", few, change))
    wrong = [problem for problem in report.problems if problem.check == "orientation"]
    assert [message in problem.message for problem in wrong] == [True] * bool(message)
    assert report.ok == (not message)


def _idx(images: NDArray[np.uint8]) -> bytes:
    head = struct.pack(">HBB", 0, 8, images.ndim) + struct.pack(f">{images.ndim}I", *images.shape)
    return head + images.tobytes()


@pytest.fixture
def mnist(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write MNIST's test part anew, changed."""
    monkeypatch.setenv("HCR_EDGE_CACHE", "off")
    data = load_dataset("mnist", "test", data_dir=data_dir).limit(600)

    def make(change: Callable[[Image], Image], labels: dict[int, int] | None = None) -> Path:
        images = np.stack([change(np.asarray(image)) for image in data.images])
        numbers = data.labels.astype(np.uint8)
        for place, value in (labels or {}).items():
            numbers[place] = value
        folder = tmp_path / "data" / "mnist"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(_idx(images), 1))
        (folder / "t10k-labels-idx1-ubyte").write_bytes(_idx(numbers))
        return folder.parent

    return make


def test_a_published_set_with_labels_out_of_range(mnist: Callable[..., Path]) -> None:
    root = mnist(lambda image: image, {4: 10, 9: 255})
    report = validate("mnist", split="test", data_dir=root)
    assert places(report, "label") == {f"t10k-labels-idx1-ubyte, row {row}" for row in (5, 10)}
    assert found(report) == {"label": 2}
    assert report.parts[0].images == 598, "the others are still looked at"


@pytest.mark.parametrize(
    ("change", "check"),
    [(lambda image: 255 - image, "inverted"), (lambda image: image.T, "orientation")],
)
def test_a_published_set_that_is_another(
    change: Callable[[Image], Image], check: str, mnist: Callable[..., Path]
) -> None:
    report = validate("mnist", split="test", data_dir=mnist(change))
    assert found(report) == {check: 1}
    assert not report.ok


def test_a_published_set_of_which_part_is_missing(mnist: Callable[..., Path]) -> None:
    root = mnist(lambda image: image)
    assert found(validate("mnist", data_dir=root)) == {"missing": 1}
    (root / "mnist" / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x05\0\0\0\0\0")
    report = validate("mnist", data_dir=root)
    assert places(report, "damaged") == {"mnist test"}
    assert places(report, "missing") == {"mnist train"}


def test_ahcd(data_dir: Path) -> None:
    """No more is wrong with it than what one sees in it."""
    report = validate("ahcd", data_dir=data_dir)
    assert report.ok
    assert found(report) == {"near-duplicate": 2, "blank": 1, "writers": 1}
    assert places(report, "blank") == {"ahcd train, image 6051"}
    assert [problem.message for problem in report.problems if problem.check == "writers"] == [
        "60 writers are in train and in test"
    ]
    assert all(part.orientation.proven for part in report.parts)


def test_hoda_repeats_92_training_images(data_dir: Path) -> None:
    """A warning: nobody who uses the set can help it."""
    train = load_dataset("hoda", "train", data_dir=data_dir)
    test = load_dataset("hoda", "test", data_dir=data_dir)
    known = {(image.shape, image.tobytes()) for image in train.images}
    both = known & {(image.shape, image.tobytes()) for image in test.images}

    def excerpt(data: Dataset) -> Inspected:
        again = [(image.shape, image.tobytes()) in both for image in data.images]
        return inspect_dataset(
            data.select(np.array(again) | (np.arange(len(data)) < 300), data.split),
            lambda message: None,
            own=False,
        )

    judgement = judge([excerpt(train), excerpt(test)], lambda message: None, complete=False)
    between = [p for p in judgement.problems if p.check == "duplicate-between"]
    assert len(between) == 92
    assert {problem.severity for problem in between} == {"warning"}
    # Zeros are tiny dots, ones are strokes that fill their crop: neither is blank or inverted.
    assert not [p for p in judgement.problems if p.check in ("blank", "polarity", "inverted")]


def test_a_part_of_a_split_file(data_dir: Path, tmp_path: Path, cli) -> None:
    out = tmp_path / "split.json"
    assert cli("data", "split", "az", "--out", out, data=data_dir).code == 0
    report = validate("az", split=f"{out}:val", data_dir=data_dir)
    assert [(part.split, part.images) for part in report.parts] == [("val", 597)]


def test_joined_sets_under_a_label_map(sound: Path, tmp_path: Path) -> None:
    """A picture that lies in both sets, in parts that are to be kept apart."""
    other = tmp_path / "other"
    write(other / "test" / "U+0628" / "1.png", draw(3))
    write(other / "test" / "jeem" / "1.png", draw(777, "ج"))
    report = validate(f"folder:{sound}+folder:{other}@arabic-letters")
    between = [problem for problem in report.errors if problem.check == "duplicate-between"]
    assert [(problem.where, problem.message) for problem in between] == [
        ("test/U+0628/1.png", f"equals train/ب/3.png, in folder:{sound} train")
    ]
    assert {part.dataset for part in report.parts} == {f"folder:{sound}", f"folder:{other}"}


COPIES: dict[str, Callable[[Image], Image]] = {
    "shifted": lambda image: np.roll(image, (1, -1), (0, 1)),
    "inverted": lambda image: 255 - image,
    "paler": lambda image: cv2.convertScaleAbs(image, alpha=0.7, beta=20),
    "JPEG of quality 75": lambda image: cv2.imdecode(
        cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], cv2.IMREAD_GRAYSCALE
    ),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_of_real_letters_are_found(name: str, ahcd: Callable[[str], Dataset]) -> None:
    letters = ahcd("test").limit(280)
    alike = [likeness(image, COPIES[name](image)) > 0 for image in letters.images]
    assert np.mean(alike) >= 0.95


def test_letters_of_different_people_are_not_copies(ahcd: Callable[[str], Dataset]) -> None:
    """Alef, dal and reh are the simplest letters: 60 people write them much alike."""
    data = ahcd("train")
    simple = data.select(np.isin(data.labels, [0, 7, 9]), "train")
    assert simple.writers is not None
    pairs = near_pairs(read_traits(simple.images), simple.images.__getitem__)  # type: ignore[arg-type]
    strangers = [p for p in pairs if simple.writers[p.first] != simple.writers[p.second]]
    assert len(simple) == 1440
    assert len(strangers) <= 1


def test_report_as_json(sound: Path) -> None:
    write(sound / "train/ب/x.png", b"")
    document = validate(f"folder:{sound}", split="train").to_dict()
    assert document.keys() == {
        *("schema_version", "dataset", "split", "ok", "errors", "warnings", "parts", "problems")
    }
    assert (document["schema_version"], document["ok"], document["errors"]) == (1, False, 1)
    assert document["parts"][0].keys() == {
        *("dataset", "split", "images", "classes", "writers", "sizes", "bright_ink"),
        *("orientation", "counts"),
    }
    assert document["problems"] == [
        {
            "check": "undecodable",
            "severity": "error",
            "where": "train/ب/x.png",
            "message": "the image is empty (0 bytes)",
        }
    ]


def test_a_table_of_which_every_row_is_wrong(data_dir: Path, tmp_path: Path) -> None:
    """Nothing can be read of it: all the more must be said."""
    files = russian(sample("russian-letters", data_dir).first(40))
    table = files["letters.csv"].decode().splitlines()
    moved = [
        table[0],
        *(",".join([*row.split(",")[:1], "40", *row.split(",")[2:]]) for row in table[1:]),
    ]
    put(tmp_path / "russian-letters", {**files, "letters.csv": "\n".join(moved).encode()})
    report = validate("russian-letters", data_dir=tmp_path)
    assert [part.images for part in report.parts] == [0]
    assert len([problem for problem in report.errors if problem.check == "label"]) == 40


def test_labels_off_by_one(data_dir: Path, tmp_path: Path) -> None:
    digits = sample("persian-digits", data_dir)
    put(tmp_path / "persian-digits", in_folders(digits, lambda t: str((ord(t) - 0x6F0 + 1) % 10)))
    report = validate("persian-digits", data_dir=tmp_path)
    assert [problem.check for problem in report.errors] == ["label"]
    assert "off by one" in report.errors[0].message
