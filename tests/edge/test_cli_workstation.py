"""Exporting, verifying and training from the command line, and interrupting it."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import onnx
import onnx.numpy_helper
import pytest
from rich.console import Console

from hcr_edge.cli.training import _TrainingBar
from hcr_edge.recipe import load_recipe

REPOSITORY = Path(__file__).parents[2]
RESULT = {
    *(
        "name",
        "arch",
        "dataset",
        "protocol",
        "epochs",
        "averaged_branches",
        "best_epoch",
        "validation",
        "test",
    ),
    *("parameters", "published", "temperature", "min_confidence", "false_acceptance"),
    "neighbours",
    "crossed_out",
}


@pytest.fixture(scope="module")
def trained(cli, data_dir: Path, tmp_path_factory: pytest.TempPathFactory):
    """A run folder and what the command answered."""
    out = tmp_path_factory.mktemp("trained") / "runs" / "first"
    ask = ("train", "--dataset", "ahcd", "--arch", "ahcd-baseline", "--out", out)
    return out, cli(*ask, "--epochs", 1, "--limit", 320, "--json", data=data_dir)


def test_train_json(trained) -> None:
    out, answer = trained
    assert answer.code == 0
    assert answer.json.keys() == RESULT
    assert answer.json == json.loads((out / "result.json").read_text(encoding="utf-8"))
    assert answer.json["test"].keys() == {
        *("split", "accuracy", "correct", "total", "interval", "origins"),
        *("accepted", "error", "calibration_error"),
    }
    assert answer.json["validation"].keys() == {
        *("dataset", "accuracy", "total", "accepted", "error", "calibration_error"),
    }
    assert "epoch 1/1" in answer.err, "how it went is told on standard error"
    assert load_recipe(out / "recipe.yaml") == load_recipe("ahcd-baseline", epochs=1, limit=320)


def test_train_refuses_a_run_that_is_there(trained, cli, data_dir: Path) -> None:
    out, _ = trained
    before = {item.name: item.stat().st_mtime_ns for item in out.iterdir()}
    ask = ("train", "--arch", "ahcd-baseline", "--epochs", 1, "--limit", 320, "--out", out)
    refused, finished = cli(*ask, data=data_dir), cli(*ask, "--resume", "--json", data=data_dir)
    assert refused.code == 2
    assert "--resume" in refused.err
    # Finished already: it answers what is there.
    assert (finished.code, finished.json) == (0, trained[1].json)
    assert {item.name: item.stat().st_mtime_ns for item in out.iterdir()} == before


def test_a_run_folder_is_exported(trained, cli, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    # A network so little trained is unsure of many letters, but float32 is exact all the same.
    answer = cli("export", trained[0], "--out", out, "--artifact", "float32.onnx", "--json")
    assert answer.code == 0, answer.err
    assert answer.json["model"] == "ahcd-baseline"
    assert (out / "ahcd-baseline-float32.onnx").is_file()


def test_crossval_runs_each_fold_once(cli, data_dir: Path, tmp_path: Path) -> None:
    ask = ("crossval", "--arch", "ahcd-baseline", "--out", tmp_path / "cv", "--json")
    small = ("--folds", 1, "--epochs", 1, "--limit", 64)
    first = cli(*ask, *small, data=data_dir)
    assert first.code == 0, first.err
    assert first.json.keys() == {
        *("name", "dataset", "folds", "accuracy", "correct", "total", "interval"),
        *("lowest", "highest", "per_fold"),
    }
    assert (first.json["folds"], first.json["total"]) == (1, 12 * 280)
    again = cli(*ask, *small, data=None)  # needs no data: nothing is left to do
    assert (again.code, again.json) == (0, first.json)


def test_export_refuses_an_existing_folder(exported: Path, cli) -> None:
    before = (exported / "manifest.json").stat().st_mtime_ns
    answer = cli("export", "arabic-letters", "--out", exported)
    assert answer.code == 2
    assert answer.errors == [f"error: {exported} exists; give --overwrite to replace it"]
    assert (exported / "manifest.json").stat().st_mtime_ns == before


def test_export_overwrites_when_told(exported: Path, cli, tmp_path: Path) -> None:
    out = Path(shutil.copytree(exported, tmp_path / "bundle"))
    only = ("--artifact", "float32.onnx")
    answer = cli("export", "arabic-letters", "--out", out, *only, "--overwrite", "--json")
    assert answer.code == 0, answer.err
    assert [item["kind"] for item in answer.json["artifacts"]] == ["float32.onnx"]
    assert not (out / "arabic-letters-int8.onnx").exists()


@pytest.fixture
def worse(exported: Path, tmp_path: Path) -> Path:
    """A bundle whose float32 ONNX can no longer answer the first letter, and says so nowhere."""
    out = Path(shutil.copytree(exported, tmp_path / "worse"))
    path = out / "arabic-letters-float32.onnx"
    model = onnx.load(path)
    biases = [item for item in model.graph.initializer if list(item.dims) == [28]]
    assert len(biases) == 1
    values = onnx.numpy_helper.to_array(biases[0]).copy()
    values[0] = -1000.0
    biases[0].CopyFrom(onnx.numpy_helper.from_array(values, biases[0].name))
    onnx.save(model, path)
    text = (out / "manifest.json").read_text(encoding="utf-8")
    before, after = (
        hashlib.sha256(file.read_bytes()).hexdigest() for file in (exported / path.name, path)
    )
    (out / "manifest.json").write_text(text.replace(before, after), encoding="utf-8")
    return out


@pytest.mark.parametrize("limits", [(), ("--max-drop", 100, "--min-agreement", 0)])
def test_verify_beyond_the_limits(limits: tuple[object, ...], worse: Path, cli) -> None:
    """Exit code 1, the reason and the letters; limits for int8 do not excuse float32."""
    answer = cli("verify", worse, *limits, "--json")
    assert answer.code == 1
    assert answer.json["passed"] is False
    verdicts = {item["kind"]: item["passed"] for item in answer.json["artifacts"]}
    assert verdicts["float32.onnx"] is False
    assert len(answer.errors) == 1 + (not verdicts["int8.onnx"])
    line = answer.errors[0]
    assert line.startswith("error: arabic-letters-float32.onnx: ")
    assert "points of accuracy lost" in line
    assert "letters that lost: ا 24 → 0 of 24" in line
    report = (worse / "parity.md").read_text(encoding="utf-8")
    assert "ا (alef) 24 → 0 of 24" in report


def test_verify_finds_an_altered_file(exported: Path, cli, tmp_path: Path) -> None:
    out = Path(shutil.copytree(exported, tmp_path / "altered"))
    with (out / "arabic-letters-int8.onnx").open("ab") as stream:
        stream.write(b"\0")
    answer = cli("verify", out)
    assert answer.code == 2
    assert "arabic-letters-int8.onnx was altered" in answer.errors[0]


def test_selftest_fails_on_another_answer(worse: Path, cli) -> None:
    answer = cli("selftest", worse, "--json")
    assert answer.code == 1
    failures = {item["file"]: item["failures"] for item in answer.json}
    assert failures["arabic-letters-int8.onnx"] == []
    assert "answers otherwise" in failures["arabic-letters-float32.onnx"][0]


def _interrupt_when(
    there: Callable[[Path], bool], number: signal.Signals, out: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    """Export in a process of its own, and send it a signal when `there` holds."""
    program = Path(sys.executable).with_name("hcr-edge")
    environment = {k: v for k, v in os.environ.items() if k != "HCR_EDGE_DATA"}
    process = subprocess.Popen(
        [str(program), "export", "arabic-letters", "--out", str(out), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=REPOSITORY,
    )
    try:
        while process.poll() is None and not there(out):
            time.sleep(0.02)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    return subprocess.CompletedProcess([], process.returncode, stdout, stderr)


def _begun(out: Path) -> bool:
    return any(out.parent.glob(f".{out.name}.*"))


def _first_is_converted(out: Path) -> bool:
    return any(out.parent.glob(f".{out.name}.*/*/*.onnx"))


@pytest.mark.parametrize(
    ("there", "number"),
    [
        (_begun, signal.SIGINT),  # Ctrl-C while converting
        (_first_is_converted, signal.SIGTERM),  # the machine shuts down while measuring
    ],
)
def test_interrupted_export_leaves_nothing(
    there: Callable[[Path], bool], number: signal.Signals, tmp_path: Path
) -> None:
    out = tmp_path / "made" / "bundle"
    result = _interrupt_when(there, number, out, "--artifact", "float32.onnx")
    assert result.returncode == 130, result.stderr
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in result.stderr
    assert list(tmp_path.iterdir()) == []


ENDING = """
import atexit, time
atexit.register(lambda: (print("told", flush=True), time.sleep(1)))
from hcr_edge.cli import interrupt
interrupt.listen()
"""


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_done_is_not_interrupted(number: signal.Signals) -> None:
    """TensorFlow takes a second to end, when the result is told already."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", ENDING], stdout=pipe, stderr=pipe, text=True, cwd=REPOSITORY
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "told\n"
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told) == (0, "")


def test_interrupted_before_a_command_begins(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hcr_edge.cli.app.app", interrupted)
    answer = cli("models")
    assert (answer.code, answer.out, answer.err) == (130, "", "error: interrupted\n")


def test_interrupted_training_says_how_to_go_on(
    cli, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hcr_edge.train.train", interrupted)
    out = tmp_path / "run"
    answer = cli("train", "--arch", "edge-s", "--out", out, data=data_dir)
    assert (answer.code, answer.out) == (130, "")
    assert f"note: what is done is in {out}; the same command with --resume goes on" in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (("export", "arabic-letters", "--out", "new"), "hcr_export.bundle"),
        (("verify", "bundle"), "hcr_export.bundle"),
        (("evaluate", "arabic-letters", "--dataset", "samples"), "hcr_edge.evaluate"),
        (("train", "--arch", "edge-s", "--out", "new"), "hcr_edge.train"),
        (("crossval", "--arch", "edge-s", "--out", "new"), "hcr_edge.crossval"),
    ],
)
def test_missing_extra_is_named(
    arguments: tuple[str, ...], module: str, cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install hcr-edge` alone does not bring TensorFlow."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, module, None)
    answer = cli(*arguments)
    assert answer.code == 2
    assert len(answer.errors) == 1, answer.err
    assert answer.errors[0].startswith(f"error: 'hcr-edge {arguments[0]}' needs ")
    assert "pip install 'hcr-edge[export]'" in answer.errors[0]
    assert list(tmp_path.iterdir()) == []


WITHOUT_EXTRAS = """
import sys
for name in ("tensorflow", "keras", "hcr_export", "onnx", "tf2onnx", "sklearn", "matplotlib"):
    sys.modules[name] = None
from hcr_edge.cli import main
sys.argv = ["hcr-edge", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("models", "--json"),
        ("classify", "samples/photos/seen-chalk.jpg", "--json"),
        ("inspect", "arabic-letters", "--json"),
    ],
)
def test_device_commands_need_no_extra(arguments: tuple[str, ...]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS, *arguments],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=120,
    )
    assert (result.returncode, result.stderr) == (0, "")
    if "--json" in arguments:
        json.loads(result.stdout)


def test_training_bar_says_what_goes_on() -> None:
    def shown() -> str:
        console = Console(file=io.StringIO(), width=100)
        console.print(bar.progress.get_renderable())
        return str(console.file.getvalue())  # type: ignore[attr-defined]

    bar = _TrainingBar(load_recipe("ahcd-baseline", epochs=3))
    assert shown().startswith("reading the images")
    assert "None" not in shown()
    bar.step(2, 5, 20, 1.25)
    assert shown().startswith("epoch 2/3")
    assert "5/20  loss 1.250" in shown()
