"""Anyone's own images, ``npz:PATH``: arrays as `numpy.savez` writes them.

``x_train``, ``y_train``, ``x_test``, ``y_test`` as in Keras' own sets, or ``images`` and
``labels`` (or ``x`` and ``y``); optionally ``writers``, and ``classes`` with the text of each
label. Nothing is unpickled.
"""

from __future__ import annotations

import io
import math
import tokenize
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from hcr_edge.datasets.base import Dataset
from hcr_edge.datasets.content import UNKNOWN_WRITER, known_labels
from hcr_edge.datasets.formats.archive import Files, open_files
from hcr_edge.datasets.formats.streams import damage
from hcr_edge.datasets.naming import LabelNames, at_home, named_label, named_labels
from hcr_edge.datasets.writers import DIVIDED, divide
from hcr_edge.errors import DataError
from hcr_edge.labels import find_label
from hcr_runtime import Label

_IMAGES = ("images", "x", "data")
_LABELS = ("labels", "y", "targets")
_WRITERS = ("writers", "writer")
_PARTS = ("train", "val", "test")
# What NumPy raises on headers of its files that are damaged or made up.
_NO_ARRAY = (
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    MemoryError,
    RuntimeError,
    tokenize.TokenError,
)


def load(
    path: Path,
    split: str,
    label_set: tuple[Label, ...] | None,
    fold: Mapping[str, str] = MappingProxyType({}),
) -> Dataset:
    """Read arrays of images and labels.

    Args:
        path: The file.
        split: ``train``, ``val`` or ``test`` where the arrays are so called, or ``all``. Where none
            is, ``train``, or ``test``, which is a fifth.
        label_set: The classes; None takes ``classes`` of the file, or what the labels name in all
            its parts.
        fold: Other characters, and the class that each is read as.

    Raises:
        DataError: The file is missing, damaged, or holds arrays of other shapes.
    """
    path = at_home(path)
    with damage(str(path)):
        opened = open_files(path)
    with opened as files:
        names = {name.removesuffix(".npy").casefold(): name for name in files.names()}
        parts = [part for part in _PARTS if _find(names, _IMAGES, part)]
        undivided = not parts and split in DIVIDED
        if split == "all" or undivided:
            wanted = parts or [""]
        elif split in parts:
            wanted = [split]
        else:
            allowed = ", ".join([*(parts or DIVIDED), "all"])
            raise DataError(f"{path} has no split {split!r}", allowed=allowed)
        tables = [_read_part(path, files, names, part) for part in wanted]
        classes: list[str] = []
        if "classes" in names:
            classes = _texts(path, read_array(path, files, names["classes"]).ravel())
        elif label_set is None:
            others = [part for part in parts if part not in wanted]
            every = [_read_labels(path, files, names, part) for part in others]
            every += [labels for _, labels, _ in tables]
            label_set = named_labels({text for labels in every for text in _texts(path, labels)})
    values = np.concatenate([labels for _, labels, _ in tables])
    numbers, label_set, skipped = _number(path, values, classes, label_set, fold)
    people = [writers for _, _, writers in tables if writers is not None]
    name = f"npz:{path}"
    data = Dataset(
        name=name,
        split=split,
        images=[image for images, _, _ in tables for image in images],
        labels=numbers,
        label_set=label_set,
        writers=_number_writers(people) if len(people) == len(tables) else None,
        licence="the user's own",
        skipped=skipped,
        split_rule=path.name if parts else "none",
        origins=(name,),
    )
    data = data.select(numbers >= 0, split) if skipped else data
    return divide(data, split) if undivided else data


def read_array(path: Path, files: Files, name: str) -> NDArray:
    """Read one ``.npy`` member, whose header must agree with its size.

    Raises:
        DataError: It is damaged, or holds Python objects.
    """
    data = files.read(name)
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read is None:
            raise ValueError(f"version {version}")
        shape, fortran, dtype = read(stream)
    except _NO_ARRAY as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(f"{path}: {name} is no array ({reason[:200]})") from error
    if dtype.hasobject:
        raise DataError(f"{path}: {name} holds Python objects", allowed="numbers or text")
    # The sizes are Python's whole numbers, which do not wrap round; or True, which is one too.
    shape = tuple(int(side) for side in shape)
    count = math.prod(shape)
    left = len(data) - stream.tell()
    if dtype.itemsize * count != left or dtype.itemsize == 0 or min(shape, default=0) < 0:
        raise DataError(f"{path}: {name} promises {shape} of {dtype}, which is not what it holds")
    array = np.frombuffer(data, dtype, count, stream.tell())
    return array.reshape(shape, order="F" if fortran else "C")


def _find(names: dict[str, str], words: tuple[str, ...], part: str) -> str:
    keys = [f"{word}_{part}" if part else word for word in words]
    keys += [f"{part}_{word}" for word in words] if part else []
    return next((names[key] for key in keys if key in names), "")


def _read_part(
    path: Path, files: Files, names: dict[str, str], part: str
) -> tuple[NDArray[np.uint8], NDArray, NDArray | None]:
    images_name = _find(names, _IMAGES, part)
    if not images_name or not _find(names, _LABELS, part):
        raise DataError(
            f"{path} holds the arrays {', '.join(names) or 'none'}",
            allowed="x_train, y_train, x_test, y_test; or images, labels",
        )
    images = _as_gray(path, images_name, read_array(path, files, images_name))
    labels = _read_labels(path, files, names, part)
    if labels.shape != (len(images),):
        raise DataError(f"{path}: {len(images)} images, labels of shape {labels.shape}")
    people = None
    if name := _find(names, _WRITERS, part):
        people = read_array(path, files, name).ravel()
        if people.dtype.kind not in "iuSU":
            raise DataError(f"{path}: {name} is {people.dtype}", allowed="whole numbers or text")
        if people.shape != labels.shape:
            raise DataError(f"{path}: {len(images)} images, {len(people)} writers")
    return images, labels, people


def _read_labels(path: Path, files: Files, names: dict[str, str], part: str) -> NDArray:
    """Read the labels of a part: whole numbers, also where the file holds 3.0 or one-hot rows."""
    name = _find(names, _LABELS, part)
    if not name:
        raise DataError(f"{path} holds no labels of its part {part!r}", allowed=f"y_{part}")
    labels = read_array(path, files, name)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    elif labels.ndim == 2 and labels.dtype.kind in "iufb":
        if ((labels == 1).sum(axis=1) != 1).any() or ((labels != 0) & (labels != 1)).any():
            raise DataError(
                f"{path}: {name} has shape {labels.shape}", allowed="one label an image, or one-hot"
            )
        labels = labels.argmax(axis=1)
    if labels.dtype.kind == "f" and not (labels != np.rint(labels)).any():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuSU" or labels.ndim != 1:
        raise DataError(
            f"{path}: {name} is {labels.dtype} of shape {labels.shape}",
            allowed="one label an image, whole numbers or text",
        )
    return labels


def _texts(path: Path, values: NDArray) -> list[str]:
    """Return labels as text; bytes are taken to be UTF-8."""
    if values.dtype.kind != "S":
        return [str(value) for value in values.tolist()]
    try:
        return [value.decode() for value in values.tolist()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path} holds labels that are no text in UTF-8") from error


def _number_writers(people: list[NDArray]) -> NDArray[np.int64]:
    """Number writers from 0, alike in all parts; numbers below 0 and empty names are unknown."""
    whole = np.concatenate(people)
    numbers = np.unique(whole, return_inverse=True)[1].astype(np.int64)
    unknown = whole < 0 if whole.dtype.kind in "iu" else whole == whole.dtype.type()
    return np.where(unknown, UNKNOWN_WRITER, numbers)


def _as_gray(path: Path, name: str, images: NDArray) -> NDArray[np.uint8]:
    shape = images.shape
    if images.ndim == 4 and shape[3] == 1:
        images = images[..., 0]
    if images.ndim not in (3, 4) or (images.ndim == 4 and shape[3] != 3) or 0 in shape:
        raise DataError(
            f"{path}: {name} has shape {shape}", allowed="(N, H, W), (N, H, W, 1) or (N, H, W, 3)"
        )
    if images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())  # both nan if one value is
        if not (low >= 0 and high <= 255):
            raise DataError(f"{path}: {name} has values from {low:g} to {high:g}", allowed="0 to 1")
        images = np.rint(images * (255 if high <= 1 else 1)).astype(np.uint8)
    elif images.dtype == np.bool_:
        images = images.astype(np.uint8) * 255
    elif images.dtype != np.uint8:
        if images.dtype.kind not in "iu" or images.min() < 0 or images.max() > 255:
            raise DataError(f"{path}: {name} is {images.dtype}", allowed="whole numbers 0 to 255")
        images = images.astype(np.uint8)
    if images.ndim == 4:
        images = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images])
    return np.ascontiguousarray(images)


def _named(classes: list[str]) -> tuple[Label, ...]:
    """Labels by the file's names: characters where all name one (beh, U+0628), else those texts."""
    if "" in classes:
        return ()
    named = tuple(named_label(text) for text in classes)
    if all(len(label.text) == 1 for label in named) and len(set(named)) == len(classes):
        return named
    return tuple(find_label(text) for text in classes)


def _number(
    path: Path,
    values: NDArray,
    classes: list[str],
    label_set: tuple[Label, ...] | None,
    fold: Mapping[str, str],
) -> tuple[NDArray[np.int64], tuple[Label, ...], dict[str, int]]:
    """Return the index of each label, or -1; the classes; and how many have none, by their text."""
    counted = values.dtype.kind in "iu" and not classes
    if classes:
        own = _named(classes)
        if len({label.text for label in own}) < len(classes):
            raise DataError(f"{path}: two of its classes are called alike, or one has no name")
        if values.dtype.kind in "iu":
            numbers, _, problems = known_labels(values, 0, len(own), str(path))
            if problems:
                raise DataError(f"{problems[0].where}: {problems[0].message}")
            if label_set is None:
                return numbers, own, {}
            values = np.array([label.text for label in own])[numbers]
        label_set = own if label_set is None else label_set
    texts = _texts(path, values)
    if label_set is None:
        label_set = named_labels(set(texts))
    resolve = LabelNames(label_set, sorted(set(texts)), fold)
    found = {text: resolve(text) for text in sorted(set(texts))}
    unknown = [text for text, number in found.items() if number is None]
    # A number beyond the classes is a mistake; a text, a class that others have.
    if unknown and (counted or len(unknown) == len(found)):
        raise DataError(
            f"{path}: labels that are none of the classes: {', '.join(unknown[:8])}",
            allowed=" ".join(label.text for label in label_set),
        )
    places = {text: -1 if number is None else number for text, number in found.items()}
    skipped = {text: texts.count(text) for text in unknown}
    return np.array([places[text] for text in texts], np.int64), label_set, skipped
