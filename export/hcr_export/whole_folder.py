"""A folder that is there complete, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hcr_export.manifest import BundleError, read_manifest


@contextmanager
def whole_folder(out: Path, overwrite: bool) -> Iterator[Path]:
    """Give a temporary folder that becomes `out` on success and vanishes otherwise.

    Raises:
        BundleError: `out` exists and may not be replaced, or its parent cannot be written.
    """
    out = Path(os.path.abspath(out))  # noqa: PTH100 - resolve() would follow a link at `out`
    check_out(out, overwrite)
    made: list[Path] = []
    try:
        for parent in reversed([out.parent, *out.parent.parents]):
            if not parent.exists():
                parent.mkdir()
                made.append(parent)
        partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        _remove_empty(made)
        raise BundleError(f"cannot write {out}: {error.strerror or error}") from error
    try:
        folder = partial / out.name
        folder.mkdir()
        yield folder
        _put_in_place(folder, out, partial / "replaced", overwrite)
        made.clear()
    except OSError as error:
        raise BundleError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _remove_empty(made)


def _put_in_place(folder: Path, out: Path, replaced: Path, overwrite: bool) -> None:
    """Rename `folder` to `out`; what was there goes to `replaced`, or stays if that fails."""
    check_out(out, overwrite)
    try:
        if out.exists():
            out.rename(replaced)
        folder.rename(out)
    except BaseException:
        if replaced.exists() and not out.exists():
            replaced.rename(out)
        raise


def check_out(out: Path, overwrite: bool) -> None:
    """Raise `BundleError` when `out` is in the way of a bundle."""
    if not os.path.lexists(out):
        return
    # Only what a bundle is, or an empty folder, is replaced: never somebody's home.
    try:
        if not out.is_dir() or any(out.iterdir()):
            read_manifest(out)
    except BundleError as error:
        raise BundleError(f"{out} exists and is no bundle", hint="choose another folder") from error
    if not overwrite:
        raise BundleError(f"{out} exists", hint="give --overwrite to replace it")


def _remove_empty(made: list[Path]) -> None:
    for parent in reversed(made):
        try:
            parent.rmdir()
        except OSError:
            return
