"""Real images of every published set, and their files written in exactly the published form.

Images are read here without the project's readers, so that these cannot agree with themselves.
Nothing of it is kept: the files lie in the tests' temporary folders.
"""

from __future__ import annotations

import gzip
import io
import string
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

Image = NDArray[np.uint8]
Turn = Callable[[Image], Image]

AHCD_ZIP = "Arabic Handwritten Characters Dataset CSV.zip"
AHCD_MAT = "Train+Test Images Matlab.mat"
AHCD_TEST_PNG = "Test Images 3360x32x32.zip"
AHCD_CSV = {
    "train": ("csvTrainImages 13440x1024.csv", "csvTrainLabel 13440x1.csv"),
    "test": ("csvTestImages 3360x1024.csv", "csvTestLabel 3360x1.csv"),
}
AZ_CSV = "A_Z Handwritten Data sample.csv.gz"

ARABIC = "ابتثجحخدذرزسشصضطظعغفقكلمنهوي"
PERSIAN = "۰۱۲۳۴۵۶۷۸۹"
CYRILLIC = "АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
_MERGED = string.digits + string.ascii_uppercase + "abdefghnqrt"
# EMNIST's mapping files: the class of each number, from the first number on.
EMNIST_CLASSES = {
    "letters": string.ascii_uppercase,
    "balanced": _MERGED,
    "bymerge": _MERGED,
    "byclass": string.digits + string.ascii_uppercase + string.ascii_lowercase,
    "digits": string.digits,
    "mnist": string.digits,
}


@dataclass(frozen=True)
class Sample:
    """Upright images in their set's polarity, and the character that each shows."""

    images: tuple[Image, ...]
    texts: tuple[str, ...]

    def turned(self, turn: Turn) -> Sample:
        return replace(self, images=tuple(np.ascontiguousarray(turn(i)) for i in self.images))

    def first(self, count: int) -> Sample:
        return Sample(self.images[:count], self.texts[:count])

    def __len__(self) -> int:
        return len(self.images)


def _spread(images: Sequence[Image], texts: Sequence[str], each: int) -> Sample:
    """Take `each` images of each character, spread over the whole, in turn: а б в … а б в …"""
    places: dict[str, list[int]] = {}
    for i, text in enumerate(texts):
        places.setdefault(text, []).append(i)
    chosen = [p[:: max(len(p) // each, 1)][:each] for _, p in sorted(places.items())]
    order = [row[k] for k in range(each) for row in chosen if k < len(row)]
    return Sample(
        tuple(np.ascontiguousarray(images[i]) for i in order), tuple(texts[i] for i in order)
    )


# ---- real images, read plainly


@cache
def mnist(data_dir: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The test part as the IDX files have it: (10000, 28, 28), (10000,)."""
    images, labels = (
        gzip.decompress((data_dir / "mnist" / f"t10k-{name}-ubyte.gz").read_bytes())
        for name in ("images-idx3", "labels-idx1")
    )
    return (
        np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28),
        np.frombuffer(labels, np.uint8, offset=8),
    )


@cache
def ahcd_mat(data_dir: Path) -> dict[str, NDArray[np.uint8]]:
    """Upright images of both parts, (N, 32, 32)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of the file's other variables have one name
        found = loadmat(data_dir / "ahcd" / AHCD_MAT)
    return {
        part: found[name][:, :, 0].transpose(2, 0, 1)
        for part, name in (("train", "XTrain"), ("test", "XTest"))
    }


@cache
def az(data_dir: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Every fourth row of the sample: (N, 28, 28), (N,)."""
    with gzip.open(data_dir / "latin" / AZ_CSV, "rt") as file:
        rows = [line.split(",") for line in list(file)[::4]]
    table = np.array(rows, np.uint8)
    return table[:, 1:].reshape(-1, 28, 28), table[:, 0]


@cache
def hoda_mat(data_dir: Path) -> tuple[list[Image], NDArray[np.uint8]]:
    found = loadmat(data_dir / "hoda" / "Data_hoda_full.mat")
    return list(found["Data"].ravel()), found["labels"].ravel()


@cache
def archive_images(path: Path, step: int) -> dict[str, bytes]:
    """Every `step`-th image file of a zip or tar, by name, in the archive's order."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith((".png", ".jpg"))]
            return {name: archive.read(name) for name in names[::step]}
    found: dict[str, bytes] = {}
    with tarfile.open(path) as tar:
        files = (member for member in tar if member.name.endswith((".png", ".jpg")))
        for i, member in enumerate(files):
            if i % step == 0:
                stream = tar.extractfile(member)
                assert stream is not None
                found[member.name.removeprefix("./")] = stream.read()
    return found


def decoded(data: bytes) -> Image:
    """An image file in grey, on white where it is transparent."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image.ndim == 3 and image.shape[2] == 4:
        alpha = image[:, :, 3:] / 255.0
        image = np.rint(image[:, :, :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    if image.ndim == 3 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return np.asarray(image, np.uint8).reshape(image.shape[:2])


def hijja_files(data_dir: Path) -> dict[str, bytes]:
    """Every 60th PNG of the tree: about 800, of every form."""
    return archive_images(data_dir / "hijja2" / "hijja2.tar.xz", 60)


def sd19_files(data_dir: Path) -> dict[str, bytes]:
    return archive_images(data_dir / "latin" / "sd19_letters.tar.xz", 3)


def _of_sd19(name: str) -> str:
    return chr(int(name.rsplit("_", 2)[-2], 16))


def _reduced(image: Image) -> Image:
    """A letter of SD19 as EMNIST has it: bright, 28×28, in its own proportions."""
    ink = 255 - image
    x, y, width, height = cv2.boundingRect(ink)
    scale = 22 / max(width, height)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(ink[y : y + height, x : x + width], size, interpolation=cv2.INTER_AREA)
    canvas = np.zeros((28, 28), np.uint8)
    top, left = (28 - size[1]) // 2, (28 - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def _centred(image: Image, side: int = 28) -> Image:
    """Hoda's tight crops in a frame, as the Kaggle set has its digits."""
    height, width = image.shape
    if max(height, width) > side - 4:
        scale = (side - 4) / max(height, width)
        size = max(round(width * scale), 1), max(round(height * scale), 1)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        height, width = image.shape
    canvas = np.zeros((side, side), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = image
    return canvas


def _hexadecimal_folder(name: str) -> str:
    return chr(int(name.split("/")[-2][-2:], 16))


def _letter_folder(name: str) -> str:
    return name.split("/")[-2]


# Archive, step, and how a file's name says its letter.
LATIN_ARCHIVES: dict[str, tuple[str, int, Callable[[str], str]]] = {
    "sd19-vowels": ("sd19_vowels", 20, _hexadecimal_folder),
    "mohneesh": ("mohneesh_upper", 6, _letter_folder),
    "charwizard": ("charwizard_upper", 8, _letter_folder),
    "ateam": ("ateam_upper_lower", 4, _hexadecimal_folder),
}


@cache
def sample(name: str, data_dir: Path) -> Sample:
    """Real images for a set: its own, or those that come nearest to it."""
    if name == "ahcd":  # the test part, whole: its files have a fixed length
        texts = [ARABIC[i // 2 % 28] for i in range(3360)]
        return Sample(tuple(ahcd_mat(data_dir)["test"]), tuple(texts))
    if name == "hijja":
        files = hijja_files(data_dir)
        order = ARABIC + "ء"
        texts = [order[int(file.split(" ")[0]) - 1] for file in files]
        return _spread([decoded(data) for data in files.values()], texts, 20)
    if name == "mnist":
        images, labels = mnist(data_dir)
        return _spread(list(images), [str(n) for n in labels], 50)
    if name in ("hoda", "persian-digits"):
        digits, labels = hoda_mat(data_dir)
        found = _spread(digits, [PERSIAN[n] for n in labels], 50)
        return found if name == "hoda" else found.turned(_centred)
    if name.startswith("comnist") or name == "russian-letters":
        if name == "comnist-latin":
            capitals = sample("az", data_dir)
            return capitals.turned(lambda image: 255 - image)
        cyrillic = archive_images(data_dir / "comnist" / "Cyrillic.zip", 16)
        images_ = [decoded(data) for data in cyrillic.values()]
        texts = [file.split("/")[-2] for file in cyrillic]
        if name == "russian-letters":
            texts = [text.lower() for text in texts]
            likes = set("вгежзийклмнопрстуфхцчшщъыьэюя")  # written as their capitals are
            kept = [i for i, text in enumerate(texts) if text in likes]
            return _spread([images_[i] for i in kept], [texts[i] for i in kept], 18)
        return _spread(images_, texts, 18)
    if name == "az":
        images, labels = az(data_dir)
        return _spread(list(images), [string.ascii_uppercase[n] for n in labels], 20)
    if name == "sd19":
        letters = sd19_files(data_dir)
        digits_ = sample("mnist", data_dir)
        big = [cv2.resize(255 - i, (128, 128)) for i in digits_.images[:200]]
        texts = [_of_sd19(file) for file in letters]
        images_ = [decoded(data) for data in letters.values()]
        return _spread(images_ + big, texts + list(digits_.texts[:200]), 12)
    if name in LATIN_ARCHIVES:
        archive, step, letter = LATIN_ARCHIVES[name]
        files = archive_images(data_dir / "latin" / f"{archive}.tar.xz", step)
        return _spread([decoded(d) for d in files.values()], [letter(f) for f in files], 20)
    split = name.removeprefix("emnist-")
    wanted = EMNIST_CLASSES[split]
    small = [
        (_reduced(decoded(data)), _of_sd19(file))
        for file, data in sd19_files(data_dir).items()
        if _of_sd19(file).islower()
    ]
    pool = [
        *zip(sample("mnist", data_dir).images, sample("mnist", data_dir).texts, strict=True),
        *zip(sample("az", data_dir).images, sample("az", data_dir).texts, strict=True),
        *small,
    ]
    pool = [(image, text) for image, text in pool if text in wanted]
    each = {10: 50, 26: 20}.get(len(wanted), 12)
    return _spread([image for image, _ in pool], [text for _, text in pool], each)


# ---- files as published


def png(image: Image, suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, image)[1])


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by their path below `folder`."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def zipped(files: Mapping[str, bytes], *, flagged: bool = True) -> bytes:
    """A zip; not `flagged`, it does not say that its names are UTF-8, as older tools write it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    if flagged:
        return stream.getvalue()
    data = bytearray(stream.getvalue())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset + 1] &= ~0x08
            at = data.find(mark, at + 4)
    return bytes(data)


def idx(array: NDArray[np.uint8], *, packed: bool = True) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    data = header + np.ascontiguousarray(array).tobytes()
    return gzip.compress(data, 1) if packed else data


_CELLS = [str(i).encode() for i in range(256)]


def csv_rows(table: NDArray[np.uint8], end: bytes = b"\n") -> bytes:
    """Rows of numbers 0 to 255."""
    return b"".join(
        b",".join(map(_CELLS.__getitem__, row.tobytes())) + end
        for row in np.asarray(table, np.uint8).reshape(len(table), -1)
    )


def cdb(images: Sequence[Image], labels: Sequence[int], *, comment: bytes = b"") -> bytes:
    """Hoda's format: a header, then run-length coded binary images, each of its own size."""
    counts = np.bincount(np.asarray(labels), minlength=128).tolist()
    out = [struct.pack("<HBBBBI128IB256s245x", 2005, 6, 1, 0, 0, len(images), *counts, 0, comment)]
    for image, label in zip(images, labels, strict=True):
        runs = bytearray()
        for row in image > 127:
            edges = np.flatnonzero(np.diff(row.astype(np.int8), prepend=0)).tolist()
            bounds = [0, *edges, len(row)]
            runs += bytes(b - a for a, b in pairwise(bounds))
        height, width = image.shape
        out.append(struct.pack("<BBBBH", 255, label, width, height, len(runs)) + bytes(runs))
    return b"".join(out)


def ahcd_csv(part: str, images: NDArray[np.uint8], labels: Iterable[int]) -> dict[str, bytes]:
    """The two tables of a part, from upright images: each row is stored transposed."""
    pixels, numbers = AHCD_CSV[part]
    return {
        pixels: csv_rows(images.transpose(0, 2, 1)),
        numbers: b"".join(b"%d\n" % label for label in labels),
    }


def ahcd_pngs(part: str, images: NDArray[np.uint8], each: int) -> dict[str, bytes]:
    """``train/id_N_label_L.png``: binarised, N from 1, L from 1."""
    return {
        f"{part}/id_{i + 1}_label_{i // each % 28 + 1}.png": png((image > 0) * np.uint8(255))
        for i, image in enumerate(images)
    }


def emnist_numbers(split: str, texts: Iterable[str]) -> NDArray[np.uint8]:
    """The published numbers of characters: Letters counts from 1."""
    first = 1 if split == "letters" else 0
    classes = EMNIST_CLASSES[split]
    return np.array([classes.index(text) + first for text in texts], np.uint8)


def emnist_idx(split: str, part: str, found: Sample) -> dict[str, bytes]:
    """The two gz files of a part: images stored transposed."""
    images = np.stack(found.images).transpose(0, 2, 1)
    stem = f"emnist-{split}-{part}"
    return {
        f"{stem}-images-idx3-ubyte.gz": idx(images),
        f"{stem}-labels-idx1-ubyte.gz": idx(emnist_numbers(split, found.texts)),
    }


def emnist_csv(split: str, found: Sample) -> bytes:
    """Kaggle's table: no header, label and 784 pixels, stored transposed."""
    images = np.stack(found.images).transpose(0, 2, 1).reshape(len(found), -1)
    return csv_rows(np.column_stack([emnist_numbers(split, found.texts), images]))


def emnist_mat(split: str, parts: Mapping[str, Sample], writers: Mapping[str, NDArray]) -> bytes:
    """The MATLAB file: a struct with train and test; rows in MATLAB's order, so transposed."""

    def struct_of(part: str, found: Sample) -> dict[str, NDArray]:
        images = np.stack(found.images).transpose(0, 2, 1).reshape(len(found), -1)
        return {
            "images": images,
            "labels": emnist_numbers(split, found.texts).reshape(-1, 1),
            "writers": writers[part].reshape(-1, 1),
        }

    mapping = np.array([[i, ord(text)] for i, text in enumerate(EMNIST_CLASSES[split])], np.uint8)
    dataset = {**{part: struct_of(part, s) for part, s in parts.items()}, "mapping": mapping}
    stream = io.BytesIO()
    savemat(stream, {"dataset": dataset}, do_compression=True)
    return stream.getvalue()


def hoda_as_mat(found: Sample) -> bytes:
    cells = np.empty((len(found), 1), object)
    for i, image in enumerate(found.images):
        cells[i, 0] = image
    stream = io.BytesIO()
    labels = np.array([[PERSIAN.index(text)] for text in found.texts], np.uint8)
    savemat(stream, {"Data": cells, "labels": labels}, do_compression=True)
    return stream.getvalue()


_HIJJA = (
    "alif ba ta tha gim ha kha dal thal ra zay sin shin sad da ta za ayn gayn fa qaf kaf lam mim "
    "non ha waw ya hamza"
)


def hijja_tree(found: Sample, first: int = 1) -> dict[str, bytes]:
    """``2 ba/2.1/17.png``; files are numbered through."""
    order = ARABIC + "ء"
    numbers = [order.index(text) + 1 for text in found.texts]
    return {
        f"{n} {_HIJJA.split()[n - 1]}/{n}.1/{first + i}.png": png(image)
        for i, (n, image) in enumerate(zip(numbers, found.images, strict=True))
    }


def hijja_numbers(found: Sample, first: int = 1) -> NDArray[np.uint8]:
    order = ARABIC + "ء"
    return np.array([order.index(text) + first for text in found.texts], np.uint8)


def coloured(image: Image) -> Image:
    """Dark ink on yellow paper: RGB as an image file holds it (OpenCV: BGR)."""
    share = image.astype(np.float32)[..., None] / 255
    paper, ink = np.array([120, 220, 250], np.float32), np.array([90, 30, 20], np.float32)
    return np.asarray(ink + (paper - ink) * share, np.uint8)


def russian(found: Sample, stem: str = "letters") -> dict[str, bytes]:
    """The table and its folder of PNG files; classes count from 1."""
    letters = CYRILLIC.lower()
    rows, files = ["letter,label,file,background"], {}
    for i, (image, text) in enumerate(zip(found.images, found.texts, strict=True)):
        name = f"{letters.index(text) + 1:02d}_{i:04d}.png"
        rows.append(f"{text},{letters.index(text) + 1},{name},{i % 4}")
        files[f"{stem}/{name}"] = png(coloured(image))
    return {f"{stem}.csv": ("\n".join(rows) + "\n").encode(), **files}


def in_folders(
    found: Sample, names: Callable[[str], str], suffix: str = ".png"
) -> dict[str, bytes]:
    """One folder a class, numbered files in it."""
    return {
        f"{names(text)}/{i}{suffix}": png(image, suffix)
        for i, (image, text) in enumerate(zip(found.images, found.texts, strict=True))
    }


def by_class(found: Sample, fields: Sequence[str] = ("train",)) -> dict[str, bytes]:
    """NIST's tree: ``by_class/4a/hsf_0/hsf_0_00012.png``, ``by_class/4a/train_4a/…``."""
    files = {}
    for i, (image, text) in enumerate(zip(found.images, found.texts, strict=True)):
        code = f"{ord(text):02x}"
        field = fields[i % len(fields)]
        field = f"train_{code}" if field == "train" else field
        files[f"by_class/{code}/{field}/{field}_{i:05d}.png"] = png(image)
    return files


# ---- a set's files from a sample, whatever the set: the first layout is the best known


def _ahcd(found: Sample) -> dict[str, bytes]:
    return ahcd_csv("test", np.stack(found.images), [ARABIC.index(t) + 1 for t in found.texts])


def _ahcd_mat(found: Sample) -> dict[str, bytes]:
    stream = io.BytesIO()
    images = np.stack(found.images).transpose(1, 2, 0)[:, :, None]
    savemat(stream, {"XTest": images}, do_compression=True)
    return {AHCD_MAT: stream.getvalue()}


def _emnist(split: str) -> dict[str, Callable[[Sample], dict[str, bytes]]]:
    def as_mat(found: Sample) -> dict[str, bytes]:
        writers = np.arange(len(found)) // 9
        parts = {"train": found, "test": found}
        return {f"emnist-{split}.mat": emnist_mat(split, parts, dict.fromkeys(parts, writers))}

    return {
        "idx": lambda found: emnist_idx(split, "test", found),
        "csv": lambda found: {f"emnist-{split}-test.csv": emnist_csv(split, found)},
        "mat": as_mat,
    }


def _mnist(found: Sample, *, packed: bool = True) -> dict[str, bytes]:
    end = ".gz" if packed else ""
    labels = np.array([int(text) for text in found.texts], np.uint8)
    return {
        f"t10k-images-idx3-ubyte{end}": idx(np.stack(found.images), packed=packed),
        f"t10k-labels-idx1-ubyte{end}": idx(labels, packed=packed),
    }


def _az(found: Sample) -> dict[str, bytes]:
    labels = np.array([ord(text) - ord("A") for text in found.texts], np.uint8)
    images = np.stack(found.images).reshape(len(found), -1)
    return {"A_Z Handwritten Data.csv": csv_rows(np.column_stack([labels, images]))}


def hijja_tables(found: Sample, part: str = "test") -> dict[str, bytes]:
    images = np.stack(found.images).reshape(len(found), -1)
    return {
        f"X_{part}.csv": csv_rows(images),
        f"y_{part}.csv": csv_rows(hijja_numbers(found)),
    }


# Where the small Latin sets have an image, by its letter and number.
LATIN_PATHS: dict[str, Callable[[str, int], str]] = {
    "sd19-vowels": lambda t, i: (
        f"dataset/v1/{t}_{'u' if t.isupper() else 'l'}/train_{ord(t):02x}/{i}.png"
    ),
    "mohneesh": lambda t, i: f"output/{t}/{i}.jpg",
    "charwizard": lambda t, i: f"dataset-28/{t}/2024-{t}_{i % 9}{i}.png",
    "ateam": lambda t, i: f"u{ord(t):02x}/u{ord(t):02x}-{i}.png",
}


def _latin(name: str, found: Sample) -> dict[str, bytes]:
    paths = [LATIN_PATHS[name](text, i) for i, text in enumerate(found.texts)]
    pairs = zip(paths, found.images, strict=True)
    return {f"{name}.zip": zipped({path: png(image, Path(path).suffix) for path, image in pairs})}


# Set, layout: how its files are written from one sample.
WRITERS: dict[str, dict[str, Callable[[Sample], dict[str, bytes]]]] = {
    "ahcd": {
        "csv": _ahcd,
        "mat": _ahcd_mat,
        "png": lambda found: {AHCD_TEST_PNG: zipped(ahcd_pngs("test", np.stack(found.images), 2))},
    },
    "hijja": {
        "png": lambda found: {"Hijja2.zip": zipped(hijja_tree(found))},
        "csv": hijja_tables,
    },
    **{f"emnist-{split}": _emnist(split) for split in EMNIST_CLASSES},
    "mnist": {"idx": _mnist},
    "hoda": {
        "cdb": lambda found: {
            "Test 20000.cdb": cdb(found.images, [PERSIAN.index(t) for t in found.texts])
        },
        "mat": lambda found: {"Data_hoda_full.mat": hoda_as_mat(found)},
    },
    "persian-digits": {
        "tree": lambda found: {
            "persian-digits.zip": zipped(in_folders(found, lambda t: str(PERSIAN.index(t))))
        }
    },
    "comnist-cyrillic": {
        "tree": lambda found: {
            "Cyrillic.zip": zipped(in_folders(found, lambda text: f"Cyrillic/{text}"))
        }
    },
    "comnist-latin": {
        "tree": lambda found: {"Latin.zip": zipped(in_folders(found, lambda t: f"Latin/{t}"))}
    },
    "russian-letters": {"csv": lambda found: {"letters.zip": zipped(russian(found))}},
    "az": {"csv": _az},
    "sd19": {"by_class": lambda found: {"by_class.zip": zipped(by_class(found))}},
    **{name: {"tree": partial(_latin, name)} for name in LATIN_PATHS},
}
# Every layout of every set; of EMNIST's, whose code is one, each layout once and each set once.
LAYOUTS = [
    (name, layout)
    for name in WRITERS
    for layout in WRITERS[name]
    if layout == "idx" or name == "emnist-letters" or not name.startswith("emnist-")
]
_UNDIVIDED = ("hijja", "persian-digits", "comnist-cyrillic", "comnist-latin", "russian-letters")


def few(name: str, data_dir: Path, count: int) -> Sample:
    """The first images of a sample, but AHCD's whole test part: its files have a fixed length."""
    found = sample(name, data_dir)
    return found if name == "ahcd" else found.first(count)


def split_of(name: str, layout: str) -> str:
    """The split under which those files are read."""
    if (name, layout) == ("hijja", "csv"):
        return "test"
    if (name, layout) == ("hoda", "mat"):
        return "train"
    return "all" if name in (*_UNDIVIDED, "az", "sd19", *LATIN_PATHS) else "test"
