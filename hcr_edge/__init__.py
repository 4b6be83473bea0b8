"""The workstation: data sets, architectures, training, evaluation, and the command line."""

from hcr_runtime import __version__

__all__ = ["__version__"]
