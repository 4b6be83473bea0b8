"""Arguments of the public functions, checked alike: what was received, and what is allowed."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any

from hcr_runtime.errors import HcrError

# Longer representations are not shown: an array's, or a whole file's. Texts are cut.
LONGEST = 160


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


def is_number(value: object) -> bool:
    """Whether this is a finite number, and no larger than a float holds; True is none.

    >>> is_number(0.5), is_number(10**400), is_number(float("nan")), is_number("1")
    (True, False, False, False)
    """
    try:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        )
    except OverflowError:
        return False


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
        raise error(f"{name} is {received(value)}", allowed=kind.__name__, hint=hint)


def collect(name: str, items: Iterable[Any], error: type[HcrError] = HcrError) -> list[Any]:
    """Take out what an iterable gives.

    Raises:
        error: It raises something itself.

    >>> collect("images", iter([1, 2]))
    [1, 2]
    >>> collect("allow", (1 // n for n in (1, 0)))
    Traceback (most recent call last):
    hcr_runtime.errors.HcrError: allow cannot be read to its end (ZeroDivisionError)
    """
    try:
        return list(items)
    except Exception as problem:  # whatever a foreign object raises
        kind = type(problem).__name__
        raise error(f"{name} cannot be read to its end ({kind})") from problem


def check_images(images: object, error: type[HcrError] = HcrError) -> Sequence[Any]:
    """Return several images as a sequence; a generator's are taken out of it.

    An array of two axes, or of three whose last holds 1, 3 or 4 channels, is a single image.

    Raises:
        error: It is one image, nothing that holds images in an order, or it raises something.
    """
    if isinstance(images, list | tuple):
        return images
    shape = getattr(images, "shape", None)
    single = isinstance(images, str | bytes | bytearray | memoryview) or hasattr(images, "read")
    if isinstance(shape, tuple):
        single = len(shape) < 3 or (len(shape) == 3 and shape[2] in (1, 3, 4))
    if single or isinstance(images, Mapping | Set) or not isinstance(images, Iterable):
        raise error(
            f"images is {received(images)}",
            allowed="a list or another sequence of images",
            hint="one image goes to classify, or into a list",
        )
    return images if isinstance(images, Sequence) else collect("images", images, error)


def received(value: object) -> str:
    """Describe any value in one short line.

    >>> received("3"), received(b"\\0" * 10_000), received(10**9999)
    ("'3'", 'a value of type bytes', 'a value of type int')
    >>> received("x" * 5000)[-10:]
    'xxxxxxx...'
    """
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - foreign objects raise anything, long numbers ValueError
        text = ""
    if text.isprintable() and 0 < len(text) <= LONGEST:
        return text
    if isinstance(value, str) and text:
        return f"{text[:LONGEST]}..."
    return f"a value of type {type(value).__name__}"
