"""The command line of a device without hcr-edge: ``python -m hcr_runtime classify letter.png``.

Exit codes: 0 done, 1 beyond a limit, 2 bad input, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hcr_runtime import __version__
from hcr_runtime._opencv import cv2
from hcr_runtime.arguments import check_whole, received
from hcr_runtime.classifier import Classifier
from hcr_runtime.errors import HcrError
from hcr_runtime.models import find_model, shipped_models
from hcr_runtime.selftest import selftest


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # Who starts a service may have closed them.
    sys.stdout, sys.stderr = (
        stream or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        for stream in (sys.stdout, sys.stderr)
    )
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    chosen = _parser().parse_args(arguments)
    try:
        code = int(chosen.command(chosen))
        sys.stdout.flush()  # while an error can still be told
        return code
    except HcrError as error:
        _fail(error)
        return 2
    except BrokenPipeError:  # who reads the answers has seen enough
        _discard_output()
        return 0
    except OSError as error:
        _discard_output()
        _fail(f"{error.filename or 'the output'}: {error.strerror or error}")
        return 2
    except KeyboardInterrupt:
        _fail("interrupted")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hcr_runtime", description="Read handwritten characters on a device."
    )
    parser.add_argument("--version", action="version", version=f"hcr-edge-runtime {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    classify = commands.add_parser(
        "classify",
        help="read one character from each image",
        epilog="example: python -m hcr_runtime classify letter.png --top 5",
    )
    classify.add_argument("images", nargs="+", help="image files; - is standard input")
    classify.add_argument("-m", "--model", default="arabic-letters", help=_MODEL_HELP)
    classify.add_argument("--top", type=_positive, default=3, help="candidates to name")
    classify.add_argument("--engine", choices=("onnxruntime", "litert", "opencv"))
    classify.add_argument(
        "--allow", type=list, help="letters that may be answered, e.g. --allow ابت"
    )
    classify.add_argument("--deny", type=list, help="letters that may not be answered")
    classify.set_defaults(command=_classify)

    read = commands.add_parser(
        "read",
        help="read every character on a page",
        epilog="example: python -m hcr_runtime read page.jpg",
    )
    read.add_argument("page", help="a photograph or scan; - is standard input")
    read.add_argument("-m", "--model", default="arabic-letters", help=_MODEL_HELP)
    read.add_argument("--engine", choices=("onnxruntime", "litert", "opencv"))
    read.set_defaults(command=_read)

    proof = commands.add_parser(
        "selftest",
        help="run a bundle's golden vectors on this machine",
        epilog="example: python -m hcr_runtime selftest build/arabic-letters",
    )
    proof.add_argument("bundle", type=Path, help="a folder that 'hcr-edge export' made")
    proof.set_defaults(command=_selftest)

    info = commands.add_parser("info", help="versions and shipped models, or one model")
    info.add_argument("model", nargs="?", help=_MODEL_HELP)
    info.set_defaults(command=_info)
    for command in (classify, read, proof, info):
        command.add_argument("--json", action="store_true", help="answer as JSON (docs/json.md)")
    return parser


_MODEL_HELP = "a shipped name, an .onnx or .tflite file, or a bundle"


def _positive(text: str) -> int:
    try:
        return check_whole("number", int(text))
    except (ValueError, HcrError) as error:
        raise argparse.ArgumentTypeError(
            f"{received(text)} was given; allowed: a whole number of 1 or more"
        ) from error


def _classify(chosen: argparse.Namespace) -> int:
    classifier = Classifier.load(chosen.model, engine=chosen.engine)
    answers: list[dict[str, Any]] = []
    code = 0
    for name in chosen.images:
        try:
            image = _standard_input() if name == "-" else name
            found = classifier.classify(image, chosen.top, allow=chosen.allow, deny=chosen.deny)
        except HcrError as error:
            code = 2
            _fail(error)
            answers.append({"image": name, "error": str(error)})
            continue
        answers.append({"image": name, **found.to_dict()})
        if not found.label:
            code = 2
            _fail(f"{name}: the image is empty: no ink found")
        elif not chosen.json:
            refused = "" if found.accepted else f"\t(not accepted: {found.reason})"
            _say(f"{name}\t{found.label}\t{found.name}\t{found.confidence:.3f}{refused}")
    if chosen.json:
        _say(json.dumps(answers, ensure_ascii=False, indent=2))
    return code


def _read(chosen: argparse.Namespace) -> int:
    page = _standard_input() if chosen.page == "-" else chosen.page
    glyphs = Classifier.load(chosen.model, engine=chosen.engine).read(page)
    if chosen.json:
        answer = {"page": chosen.page, "glyphs": [glyph.to_dict() for glyph in glyphs]}
        _say(json.dumps(answer, ensure_ascii=False, indent=2))
        return 0
    if not glyphs:
        sys.stderr.write("no characters\n")
    for _, line in groupby(glyphs, key=lambda glyph: glyph.line):
        _say(" ".join(g.prediction.label if g.prediction.accepted else "?" for g in line))
    return 0


def _selftest(chosen: argparse.Namespace) -> int:
    results = selftest(chosen.bundle)
    if chosen.json:
        answer = [result.to_dict() for result in results]
        _say(json.dumps(answer, ensure_ascii=False, indent=2))
    else:
        for result in results:
            _say(f"{result.file}: {result.verdict}")
    return int(any(result.failures for result in results))


def _info(chosen: argparse.Namespace) -> int:
    import onnxruntime

    names = [chosen.model] if chosen.model else list(shipped_models())
    models = {name: (find_model(name), Classifier.load(name).spec) for name in names}
    if chosen.json:
        answer = {
            "versions": _versions(onnxruntime.__version__),
            "models": [
                {"name": name, "file": str(path), "spec": spec.to_dict()}
                for name, (path, spec) in models.items()
            ],
        }
        _say(json.dumps(answer, ensure_ascii=False, indent=2))
        return 0
    _say(", ".join(f"{k} {v}" for k, v in _versions(onnxruntime.__version__).items()))
    for name, (path, spec) in models.items():
        _say(f"{name}: {len(spec.labels)} labels, {' '.join(spec.texts)}")
        _say(f"  {path}")
        _say(
            f"  {spec.provenance.quantization}; accepted from {spec.rejection.min_confidence:.2%}"
            f" on; trained on {spec.provenance.training_data or 'unknown data'}"
        )
    return 0


def _versions(onnxruntime: str) -> dict[str, str]:
    return {
        "hcr-edge-runtime": __version__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "onnxruntime": onnxruntime,
    }


def _standard_input() -> BinaryIO:
    return sys.stdin.buffer if sys.stdin else BytesIO()


def _discard_output() -> None:
    """Let the interpreter flush what cannot be written to nowhere, as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _fail(problem: object) -> None:
    try:
        sys.stderr.write(f"error: {' '.join(str(problem).split())}\n")
        sys.stderr.flush()
    except OSError:  # the exit code tells it too, if what is left is flushed to nowhere
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


if __name__ == "__main__":
    sys.exit(main())
