"""A benchmark for people: Markdown, and one picture."""

from __future__ import annotations

import io

import matplotlib as mpl

from hcr_export.benchmark import BATCHES, Benchmark, Speed

mpl.use("Agg")

from matplotlib import pyplot as plt


def to_markdown(benchmark: Benchmark) -> str:
    """Return the benchmark as Markdown."""
    threads = "one thread" if benchmark.threads == 1 else f"{benchmark.threads} threads"
    lines = [
        f"# Speed of {benchmark.model}",
        "",
        f"Images: {benchmark.images['description']}. Machine: {benchmark.machine}. {threads} for"
        " one inference (Keras and Tesseract take what they take).",
        "",
        *_unlabelled(benchmark),
        "| | engine | KB | accuracy | p50 µs | p95 µs | p99 µs | images/s | load ms | memory MB |"
        " times as fast as |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(speed) for speed in benchmark.speeds]
    lines += [
        "",
        "p50, p95, p99: one image in a call. images/s: at the best batch size below. Load: from"
        " the file to a model that can run. Memory: by which a process grows that holds NumPy and"
        " OpenCV. Tesseract: one process a letter; images/s: all in one process.",
        "",
        "## Median of a call, µs, by images in it",
        "",
        "| | " + " | ".join(str(size) for size in BATCHES) + " |",
        "|---|" + "---|" * len(BATCHES),
    ]
    for speed in benchmark.speeds:
        medians = [
            f"{speed.latency_us[size]['p50']:.0f}" if size in speed.latency_us else ""
            for size in BATCHES
        ]
        lines.append(f"| {speed.name} | " + " | ".join(medians) + " |")
    advice = benchmark.advice
    if advice:
        lines += ["", "## Slower than float32", "", *(f"- {line}" for line in advice)]
    if benchmark.skipped:
        lines += ["", "## Not run", ""]
        lines += [f"- {name}: {words}" for name, words in benchmark.skipped.items()]
    return "\n".join(lines) + "\n"


def draw(benchmark: Benchmark) -> bytes:
    """Return a PNG: time for each image by batch size, and memory and size of each file."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6))
    for speed in benchmark.speeds:
        sizes = sorted(speed.latency_us)
        times = [speed.latency_us[size]["p50"] / size for size in sizes]
        left.plot(sizes, times, marker="o", markersize=4, label=speed.name)
    left.set(xscale="log", yscale="log", xlabel="images in a call", ylabel="µs for one image")
    left.set_xticks(list(BATCHES), [str(size) for size in BATCHES])
    left.minorticks_off()
    left.grid(alpha=0.3)
    left.legend(fontsize=8)
    left.set_title(f"{benchmark.model}: median time", fontsize=10)
    sized = [speed for speed in benchmark.speeds if speed.bytes is not None]
    places = range(len(sized))
    kilobytes = [(speed.bytes or 0) / 1000 for speed in sized]
    megabytes = [(speed.memory_bytes or 0) / 1e6 for speed in sized]
    right.barh([p - 0.2 for p in places], kilobytes, 0.38, label="file, KB", color="#4c78a8")
    right.barh([p + 0.2 for p in places], megabytes, 0.38, label="memory, MB", color="#f58518")
    right.set_yticks(list(places), [speed.name for speed in sized], fontsize=8)
    right.invert_yaxis()
    right.grid(alpha=0.3, axis="x")
    right.legend(fontsize=8)
    right.set_title("size of the file, memory added to a process", fontsize=10)
    figure.tight_layout()
    stream = io.BytesIO()
    figure.savefig(stream, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return stream.getvalue()


def ratios(speed: Speed) -> str:
    """Say how many times as fast as others a subject reads one image."""
    return ", ".join(
        f"{other} {ratio:.0f}" if ratio >= 10 else f"{other} {ratio:.2f}"
        for other, ratio in speed.times_as_fast.items()
    )


def _unlabelled(benchmark: Benchmark) -> list[str]:
    if benchmark.images["labelled"]:
        return []
    return ["**These images carry no labels:** what Keras answers counts as right.", ""]


def _row(speed: Speed) -> str:
    single = speed.latency_us[1]
    cells = [
        speed.name,
        speed.engine,
        "" if speed.bytes is None else f"{speed.bytes / 1000:.0f}",
        f"{speed.accuracy:.2%}",
        *(f"{single[name]:.0f}" for name in ("p50", "p95", "p99")),
        f"{speed.throughput:.0f}",
        "" if speed.load_ms is None else f"{speed.load_ms:.0f}",
        "" if speed.memory_bytes is None else f"{speed.memory_bytes / 1e6:.0f}",
        ratios(speed),
    ]
    return "| " + " | ".join(cells) + " |"
