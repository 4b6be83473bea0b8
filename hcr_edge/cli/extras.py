"""Commands whose packages a plain installation does not have say so in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hcr_runtime import HcrError


class MissingExtraError(HcrError):
    """A command whose packages are not installed."""


@contextmanager
def export_extra(command: str) -> Iterator[None]:
    """Turn a failed import into an error that names the extra to install."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"'hcr-edge {command}' needs {error.name}", hint="pip install 'hcr-edge[export]'"
        ) from error
