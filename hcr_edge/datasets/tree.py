"""Trees of image files, in a folder or an archive: every image decoded, every damaged one named."""

from __future__ import annotations

import contextlib
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath

import numpy as np

from hcr_edge.datasets.content import Content, Problem
from hcr_edge.datasets.formats.archive import Files
from hcr_edge.datasets.images import PixelFile
from hcr_runtime import ImageError
from hcr_runtime.image import to_gray

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".pgm")


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def by_base_name(
    names: Iterable[str], wanted: Sequence[str], clean: Callable[[str], str] = str
) -> dict[str, str]:
    """Find files by the last part of their path, whatever folder they lie in.

    Args:
        names: Paths, with ``/``.
        wanted: What is looked for; letter case does not matter.
        clean: Applied to what is found before it is compared.

    Returns:
        Each wanted name that is there, and its path; the shortest where there are several.

    >>> by_base_name(["a/b/Labels.csv", "labels.csv"], ["labels.csv", "images.csv"])
    {'labels.csv': 'labels.csv'}
    """
    keys = {name.casefold(): name for name in wanted}
    found: dict[str, str] = {}
    for name in sorted(names, key=len, reverse=True):
        base = clean(name.rsplit("/", 1)[-1]).casefold()
        if base in keys:
            found[keys[base]] = name
    return {name: found[name] for name in wanted if name in found}


def folder_text(name: str) -> str:
    """Return a file's or folder's name as its author wrote it.

    Archives from a Mac hold letters such as Й and Ё in two parts, and those that do not say that
    their names are UTF-8 are read in an old code page.

    >>> folder_text("╨û")
    'Ж'
    """
    with contextlib.suppress(UnicodeError):  # it was no code page
        name = name.encode("cp437").decode("utf-8")
    return unicodedata.normalize("NFC", name)


def read_tree(
    files: Files, members: Sequence[str], label_of: Callable[[str], int], pixels: PixelFile
) -> Content:
    """Decode image files, in the order of `members`.

    Args:
        files: The folder or archive.
        members: Names of the files.
        label_of: Gives a file's class.
        pixels: Takes the images, turned into grey.
    """
    wanted = set(members)
    names: list[str] = []
    problems: list[Problem] = []
    for name, data in files.walk(wanted.__contains__):
        try:
            pixels.append(to_gray(data))
        except ImageError as error:
            problems.append(Problem("undecodable", name, str(error)))
        else:
            names.append(name)
    place = {name: i for i, name in enumerate(members)}
    order = sorted(range(len(names)), key=lambda i: place[names[i]])
    images = pixels.finish().take(order)
    names = [names[i] for i in order]
    return Content(
        images=images,
        labels=np.array([label_of(name) for name in names], np.int64),
        names=tuple(names),
        problems=tuple(problems),
    )
