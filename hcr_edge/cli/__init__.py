"""The command line: `main` runs it and turns errors into one line and an exit code."""

import sys

__all__ = ["main"]


def main() -> None:
    """Import what the commands need, and run the command line.

    The imports take most of a second, in which Ctrl-C is as likely as later; so does what goes on
    before a command begins.
    """
    try:
        from hcr_edge.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(130)
