"""Fuzz one target: ``python -m fuzz.run image --runs 100000``.

Coverage guides it through the runtime's Python code; the native code of OpenCV and onnxruntime is
run, but not instrumented. A finding is written to ``findings/``, and ends the run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris
import cv2

# What `fuzz.targets` imports is instrumented; the libraries below it would only dilute it.
with atheris.instrument_imports(include=["hcr_runtime", "zipfile", "json.decoder"]):
    from fuzz.targets import TARGETS, seeds


def main() -> None:
    """Run libFuzzer on one target."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=int, default=100_000, help="executions")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=Path("build/fuzz"), help="what is kept")
    chosen = parser.parse_args()
    corpus = chosen.corpus / chosen.target
    findings = chosen.corpus / "findings"
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(chosen.target)):
        (corpus / f"seed-{number:02d}").write_bytes(seed)
    options = [
        f"-runs={chosen.runs}",
        f"-seed={chosen.seed}",
        f"-artifact_prefix={findings}/{chosen.target}-",
        "-max_len=65536",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
        str(corpus),
    ]
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    cv2.setNumThreads(1)
    atheris.Setup([sys.argv[0], *options], TARGETS[chosen.target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
