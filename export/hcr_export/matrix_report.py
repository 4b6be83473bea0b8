"""The engine matrix for people: Markdown, and one picture."""

from __future__ import annotations

import io

import matplotlib as mpl

from hcr_export.matrix import Answer, Cell, EngineMatrix

mpl.use("Agg")

from matplotlib import pyplot as plt

_GREEN, _RED, _GREY, _WHITE = "#b7e1cd", "#f4c7c3", "#dddddd", "#ffffff"


def to_markdown(matrix: EngineMatrix) -> str:
    """Return the matrix as Markdown: what runs, what each cell measured, what does not run."""
    keras = matrix.cells[0].answer
    accuracy = "" if keras is None else f" Keras {keras.version} reads {keras.accuracy:.2%}."
    lines = [
        f"# Engines for {matrix.model}",
        "",
        f"Images: {matrix.images['description']}.{accuracy}",
        f"Machine: {matrix.machine}.",
        "",
    ]
    if matrix.images["synthetic"]:
        lines += ["**These images were drawn by a program, not written by people.**", ""]
    if not matrix.images["labelled"]:
        lines += ["**These images carry no labels:** what Keras answers counts as right.", ""]
    lines += _grid(matrix)
    if any(cell.emulated and cell.answer for cell in matrix.cells):
        lines += ["", "Engines of arm64 are emulated: their times and memory mean nothing."]
    lines += _natives(matrix)
    lines += _failures(matrix)
    lines += _details(matrix)
    lines += _refusals(matrix)
    return "\n".join(lines) + "\n"


def draw(matrix: EngineMatrix) -> bytes:
    """Return the matrix as a PNG: engines downwards, artifacts across."""
    engines, kinds = _axes(matrix)
    cells = {(cell.engine, cell.kind): cell for cell in matrix.cells}
    figure, axes = plt.subplots(figsize=(2.6 + 1.55 * len(kinds), 1.3 + 0.62 * len(engines)))
    for row, engine in enumerate(engines):
        for column, kind in enumerate(kinds):
            cell = cells.get((engine, kind))
            colour, text = _picture(cell)
            axes.add_patch(plt.Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="white"))
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8)
    axes.set(xlim=(0, len(kinds)), ylim=(len(engines), 0))
    axes.set_xticks([column + 0.5 for column in range(len(kinds))], kinds, fontsize=8)
    axes.set_yticks([row + 0.5 for row in range(len(engines))], engines, fontsize=9)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title(f"{matrix.model}, {matrix.images['total']} images", fontsize=10)
    axes.set_xlabel(
        "agreement with Keras, largest difference of a probability, median of one image;"
        " red: beyond a limit; grey: refused; white: another format",
        fontsize=7,
    )
    stream = io.BytesIO()
    figure.savefig(stream, dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return stream.getvalue()


def _axes(matrix: EngineMatrix) -> tuple[list[str], list[str]]:
    """Engines and kinds in their order; Keras is the reference, not a row."""
    others = matrix.cells[1:]
    return (
        list(dict.fromkeys(cell.engine for cell in others)),
        list(dict.fromkeys(cell.kind for cell in others)),
    )


def _picture(cell: Cell | None) -> tuple[str, str]:
    if cell is None or cell.words.startswith("reads no"):
        return _WHITE, ""
    answer = cell.answer
    if answer is None:
        return _GREY, "no"
    time = "emulated" if answer.latency_us is None else f"{answer.latency_us['p50']:.0f} µs"
    return (
        _RED if answer.failures else _GREEN,
        f"{answer.agreement:.2%}  {answer.max_difference:.0e}\n{time}",
    )


def _grid(matrix: EngineMatrix) -> list[str]:
    engines, kinds = _axes(matrix)
    cells = {(cell.engine, cell.kind): cell for cell in matrix.cells}
    lines = [
        "Agreement with Keras; “no” is refused (see the end), “FAILED” beyond a limit.",
        "",
        "| engine | " + " | ".join(kinds) + " |",
        "|---|" + "---|" * len(kinds),
    ]
    for engine in engines:
        marks = [_mark(cells.get((engine, kind))) for kind in kinds]
        lines.append(f"| {engine} | {' | '.join(marks)} |")
    return lines


def _mark(cell: Cell | None) -> str:
    if cell is None or cell.words.startswith("reads no"):
        return ""
    if cell.answer is None:
        return "no"
    return f"{cell.answer.agreement:.2%}" + (" FAILED" if cell.answer.failures else "")


def _natives(matrix: EngineMatrix) -> list[str]:
    lines = []
    for cell in matrix.cells:
        native = cell.answer.native if cell.answer is not None else None
        if cell.answer is None or native is None:
            continue
        versions = f"({cell.answer.version} on arm64, {native.version} here)"
        if not native.changed:
            text = f"every output bit is the same {versions}"
        else:
            text = (
                f"outputs differ for {native.changed} of {matrix.images['total']} images, by up to"
                f" {native.max_difference:.1e}, the first answer for {native.differing} {versions}"
            )
        lines.append(f"- {cell.file} on {cell.engine}: {text}")
    return ["", "## arm64 beside this processor", "", *lines] if lines else []


def _failures(matrix: EngineMatrix) -> list[str]:
    lines = [
        f"- **{cell.file}** on {cell.engine}: {'; '.join(cell.answer.failures)}"
        for cell in matrix.cells
        if cell.answer is not None and cell.answer.failures
    ]
    return ["", "## Beyond the limits", "", *lines] if lines else []


def _details(matrix: EngineMatrix) -> list[str]:
    lines = [
        "",
        "## What each measured",
        "",
        "| engine | version | artifact | accuracy | points lost | agreement | largest difference"
        " | p50 µs | p95 µs | load ms | memory MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for cell in matrix.cells:
        if cell.answer is not None:
            lines.append(_detail(cell, cell.answer))
    lines += [
        "",
        "p50, p95: one image, one thread (Keras: `predict`, all cores). Load: from the file to a"
        " model that can run. Memory: by which a process grows that holds NumPy and OpenCV.",
    ]
    return lines


def _detail(cell: Cell, answer: Answer) -> str:
    times = ["", "", "", ""]
    if answer.latency_us is not None:
        memory = "" if answer.memory_bytes is None else f"{answer.memory_bytes / 1e6:.0f}"
        p50, p95 = answer.latency_us["p50"], answer.latency_us["p95"]
        times = [f"{p50:.0f}", f"{p95:.0f}", f"{answer.load_ms:.0f}", memory]
    figures = [
        f"{answer.accuracy:.2%}",
        f"{answer.drop:+.2f}",
        f"{answer.agreement:.2%}",
        f"{answer.max_difference:.1e}",
    ]
    return "| " + " | ".join([cell.engine, answer.version, cell.kind, *figures, *times]) + " |"


def _refusals(matrix: EngineMatrix) -> list[str]:
    """Cells that do not run, by engine; the same words once."""
    said: dict[tuple[str, str], list[str]] = {}
    for cell in matrix.cells:
        if cell.answer is None and not cell.words.startswith("reads no"):
            said.setdefault((cell.engine, cell.words), []).append(cell.kind)
    lines = [f"- {engine}, {', '.join(kinds)}: {words}" for (engine, words), kinds in said.items()]
    return ["", "## What does not run, in the engine's words", "", *lines] if lines else []
