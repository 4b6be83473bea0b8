"""The command line: `main` runs it and turns errors into one line and an exit code."""

from hcr_edge.cli.app import main

__all__ = ["main"]
