"""The workstation: data sets, architectures, training, evaluation, and the command line."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # Late: a Ctrl-C while NumPy and OpenCV are imported shall meet the command line's handler.
    if name == "__version__":
        from hcr_runtime import __version__

        return __version__
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
