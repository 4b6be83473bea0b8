"""The version of the three distributions, in its one place."""

__version__ = "0.1.0"
