"""Arguments of the public functions, checked alike: what was received, and what is allowed."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from hcr_runtime.errors import HcrError

# Longer representations are cut: an array's, or a whole file's.
LONGEST = 80


def check_whole(
    name: str, value: object, most: int | None = None, error: type[HcrError] = HcrError
) -> int:
    """Return a whole number of 1 or more, NumPy's among them; True is none.

    Raises:
        error: It is no whole number, or out of its range.

    >>> check_whole("top", 3)
    3
    >>> check_whole("top", "3")
    Traceback (most recent call last):
    hcr_runtime.errors.HcrError: top is '3'; allowed: a whole number of 1 or more
    """
    allowed = f"a whole number {'of 1 or more' if most is None else f'from 1 to {most}'}"
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = 0
    if number < 1 or (most is not None and number > most):
        raise error(f"{name} is {received(value)}", allowed=allowed)
    return number


def check_choice(
    name: str, value: object, choices: Iterable[str], error: type[HcrError] = HcrError
) -> None:
    """Raise `error` unless `value` is one of the texts `choices`."""
    if not (isinstance(value, str) and value in choices):
        raise error(f"{name} is {received(value)}", allowed=", ".join(choices))


def check_type(
    name: str, value: object, kind: type, error: type[HcrError] = HcrError, hint: str = ""
) -> None:
    """Raise `error` unless `value` is a `kind`."""
    if not isinstance(value, kind):
        raise error(f"{name} is {received(value)}", allowed=f"a {kind.__name__}", hint=hint)


def check_images(images: object, error: type[HcrError] = HcrError) -> Sequence[Any]:
    """Return several images as a sequence; a generator's are taken out of it.

    An array of two axes, or of three whose last holds colours, is a single image.

    Raises:
        error: It is one image, or nothing that holds images in an order.
    """
    if isinstance(images, list | tuple):
        return images
    shape = getattr(images, "shape", None)
    single = isinstance(images, str | bytes | bytearray | memoryview) or hasattr(images, "read")
    if isinstance(shape, tuple):
        single = len(shape) < 3 or (len(shape) == 3 and shape[2] in (3, 4))
    if single or isinstance(images, Mapping | Set) or not isinstance(images, Iterable):
        raise error(
            f"images is {received(images)}",
            allowed="a list or another sequence of images",
            hint="one image goes to classify, or into a list",
        )
    return images if isinstance(images, Sequence) else list(images)


def received(value: object) -> str:
    """Describe any value in one short line.

    >>> received("3"), received(b"\\0" * 10_000), received(10**9999)
    ("'3'", 'a bytes', 'a int')
    """
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - foreign objects raise anything, long numbers ValueError
        text = ""
    short = text.isprintable() and 0 < len(text) <= LONGEST
    return text if short else f"a {type(value).__name__}"
