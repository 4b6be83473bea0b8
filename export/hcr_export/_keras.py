"""Keras, imported once and quietly, on whichever backend it is set to."""

from __future__ import annotations

import os

from hcr_export._quiet import quiet

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet():
    import keras

__all__ = ["keras"]
