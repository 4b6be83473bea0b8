"""Keras, imported once and quietly, on whichever backend it is set to."""

from __future__ import annotations

import os

from hcr_export._quiet import quiet

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Off by default on AMD, where it halves the time of a training step.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
with quiet():
    import keras

__all__ = ["keras"]
