"""``python -m hcr_runtime``: the command line of a device without hcr-edge."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from hcr_runtime import __version__, shipped_models, to_gray
from hcr_runtime.__main__ import main
from hcr_runtime.golden import write_golden

Letter = Callable[..., Path]


def test_as_a_process_from_any_folder(tmp_path: Path, letter: Letter) -> None:
    command = [sys.executable, "-m", "hcr_runtime", "classify", letter("jeem"), "-", "--top", "1"]
    done = subprocess.run(
        command, cwd=tmp_path, input=letter("waw").read_bytes(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    first, second = (line.split("\t") for line in done.stdout.decode().splitlines())
    assert first[:3] == [str(letter("jeem")), "ج", "jeem"]
    assert second[:3] == ["-", "و", "waw"]


def test_classify_as_json(letter: Letter, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(letter("dal")), "--json", "--top", "2", "--deny", "د"]) == 0
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["image"] == str(letter("dal"))
    assert len(answer["top"]) == 2
    assert answer["reason"] == "not allowed"


def test_read_a_page(tmp_path: Path, letter: Letter, capsys: pytest.CaptureFixture[str]) -> None:
    page = np.full((200, 420), 255, np.uint8)
    for number, name in enumerate(("beh", "seen", "waw")):  # written from right to left
        tile = cv2.resize(to_gray(letter(name)), (112, 112))
        page[40:152, 300 - 130 * number : 412 - 130 * number] = tile
    path = tmp_path / "page.png"
    cv2.imwrite(str(path), page)
    assert main(["read", str(path), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [glyph["name"] for glyph in answer["glyphs"]] == ["beh", "seen", "waw"]
    assert main(["read", str(path)]) == 0
    assert capsys.readouterr().out.split() == [
        glyph["label"] if glyph["accepted"] else "?" for glyph in answer["glyphs"]
    ]
    assert main(["read", "absent.png"]) == 2


@pytest.mark.parametrize("shape", [(64, 64), (16, 64)])
def test_read_a_page_of_few_blocks(
    tmp_path: Path, shape: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    # OpenCV takes small arrays beside a number for scalars.
    for number, page in enumerate((np.full(shape, 255), np.arange(np.prod(shape)).reshape(shape))):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), page.astype(np.uint8))
        assert main(["read", str(path), "--json"]) == 0, capsys.readouterr().err
        json.loads(capsys.readouterr().out)


def test_refused_answers_are_answers_and_say_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cross = np.full((64, 64), 255, np.uint8)
    cross[30:34] = cross[:, 30:34] = 0
    cv2.imwrite(str(tmp_path / "cross.png"), cross)
    assert main(["classify", str(tmp_path / "cross.png")]) == 0
    assert "(not accepted: too large)" in capsys.readouterr().out


def test_a_blank_image_is_bad_input_as_for_hcr_edge(
    tmp_path: Path, letter: Letter, capsys: pytest.CaptureFixture[str]
) -> None:
    paper = tmp_path / "paper.pgm"
    paper.write_bytes(b"P5 40 40 255 " + bytes([250]) * 1600)
    assert main(["classify", str(paper), str(letter("beh")), "--json"]) == 2
    out, err = capsys.readouterr()
    assert [(item["name"], item["reason"]) for item in json.loads(out)] == [
        ("", "blank"),
        ("beh", ""),
    ]
    assert err == f"error: {paper}: the image is empty: no ink found\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["classify", "absent.png"], "error: cannot read absent.png: No such file"),
        (["classify", "a.png", "--model", "arabic-leters"], "did you mean arabic-letters"),
        (["classify", "a.png", "--engine", "opencv"], "use the engine onnxruntime"),
        (["info", "absent.onnx"], "there is no model file 'absent.onnx'"),
        (["selftest", "absent"], "absent is no bundle"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [[], ["read-mind"], ["classify"], ["classify", "a", "--top", "0"]]
)
def test_misused_commands_show_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m hcr_runtime" in capsys.readouterr().err


def test_a_number_that_is_none_says_what_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    for given in ("x", "0", "1.5"):
        with pytest.raises(SystemExit):
            main(["classify", "a.png", "--top", given])
        said = capsys.readouterr().err.splitlines()[-1]
        assert said.endswith(f"'{given}' was given; allowed: a whole number of 1 or more")


def test_a_page_without_characters_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "blank.png"), np.full((240, 320), 255, np.uint8))
    assert main(["read", str(tmp_path / "blank.png")]) == 0
    assert capsys.readouterr() == ("", "no characters\n")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise")
def test_who_reads_the_answers_may_leave() -> None:
    source, sink = os.pipe()
    os.close(source)
    command = [sys.executable, "-m", "hcr_runtime", "info"]
    done = subprocess.run(command, stdout=sink, stderr=subprocess.PIPE, check=False)
    os.close(sink)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_is_one_line_and_exit_code_2(options: list[str]) -> None:
    command = [sys.executable, "-m", "hcr_runtime", "info", *options]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 2
    assert done.stderr == b"error: the output: No space left on device\n"


def _shell(redirected: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    line = f'"$0" -m hcr_runtime "$@" {redirected}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable, *arguments], capture_output=True, check=False
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a shell closes them otherwise")
def test_closed_streams_are_no_mistake() -> None:
    done = _shell(">&-", "info")
    assert (done.returncode, done.stderr) == (0, b"")
    done = _shell("2>&-", "info")
    assert done.returncode == 0
    assert b"arabic-letters" in done.stdout
    assert _shell(">&- 2>&-", "info").returncode == 0
    done = _shell("<&-", "classify", "-")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ")
    assert b"Traceback" not in done.stderr
    assert _shell("2>&-", "classify", "no-such.png").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_what_cannot_be_said_is_told_by_the_exit_code() -> None:
    assert _shell("2>/dev/full", "classify", "no-such.png").returncode == 2


def test_interrupted(letter: Letter, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Interrupting()))
    assert main(["classify", "-"]) == 130


def test_info_names_versions_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert f"hcr-edge-runtime {__version__}, python 3" in text
    assert all(f"{name}: " in text for name in shipped_models())
    assert main(["info", "persian-digits", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"versions", "models"}
    (model,) = answer["models"]
    assert [label["text"] for label in model["spec"]["labels"]] == list("۰۱۲۳۴۵۶۷۸۹")


def test_selftest_tells_a_right_device_from_a_wrong_one(
    tmp_path: Path,
    tiny_onnx: Callable[..., Path],
    letter: Letter,
    two: object,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = tmp_path / "bundle" / "two.onnx"
    model.parent.mkdir()
    model.write_bytes(tiny_onnx().read_bytes())
    images = [letter(name).read_bytes() for name in ("beh", "lam", "waw")]
    write_golden(model.parent / "golden", two, images, {"two.onnx": model})
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    entry = {"file": "two.onnx", "role": "artifact", "kind": "float32.onnx", "sha256": sha256}
    manifest = model.parent / "manifest.json"
    manifest.write_text(json.dumps({"schema_version": 1, "files": [entry]}))
    assert main(["selftest", str(model.parent)]) == 0
    assert "two.onnx: 3 cases, 3 exact tensors: as recorded" in capsys.readouterr().out
    vectors = model.parent / "golden" / "vectors.json"
    data = json.loads(vectors.read_text())
    data["cases"][1]["outputs"]["two.onnx"] = (
        -np.array(data["cases"][1]["outputs"]["two.onnx"])
    ).tolist()
    vectors.write_text(json.dumps(data))
    assert main(["selftest", str(model.parent), "--json"]) == 1
    (answer,) = json.loads(capsys.readouterr().out)
    assert answer["failures"] == ["images/001.png: the model answers otherwise"]
    (model.parent / "two.c").write_bytes(model.read_bytes())
    manifest.write_text(json.dumps({"schema_version": 1, "files": [entry | {"file": "two.c"}]}))
    assert main(["selftest", str(model.parent)]) == 2
    assert "can be run here; two.c: no engine" in capsys.readouterr().err
