"""Errors of the workstation package, beside those of `hcr_runtime.errors`."""

from __future__ import annotations

from hcr_runtime import HcrError


class DataError(HcrError):
    """A data set that is missing, damaged, or of another form than expected."""


class RecipeError(HcrError):
    """A training recipe, or a run folder, that cannot be used."""
