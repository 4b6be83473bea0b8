"""The model card (Mitchell et al. 2019) that lies in every bundle."""

from __future__ import annotations

from hcr_export.parity_report import ParityReport
from hcr_runtime import ModelSpec


def model_card(spec: ModelSpec, report: ParityReport, calibration: str) -> str:
    """Return the card as Markdown."""
    provenance = spec.provenance
    scripts = ", ".join(sorted({label.script for label in spec.labels}))
    lines = [
        f"# {spec.name}",
        "",
        f"Reads one isolated handwritten character ({scripts}), {len(spec.labels)} classes: "
        + " ".join(spec.texts),
        "",
        "| | |",
        "|---|---|",
        f"| architecture | {provenance.architecture} |",
        f"| recipe | {provenance.recipe or 'not known'} |",
        f"| input | one glyph, {spec.input.height}x{spec.input.width} after preprocessing"
        f" version {spec.preprocess.version} |",
        f"| output | {spec.output}, temperature {spec.temperature:g} |",
        f"| refuses | what it is less sure of than {spec.rejection.min_confidence:g} |",
        f"| training data | {provenance.training_data} |",
        f"| licence of the data | {provenance.data_licence} |",
        f"| calibration of int8 | {calibration} |",
        "",
        "## Accuracy",
        "",
    ]
    if provenance.figures:
        lines += [
            "Measured when the Keras model was trained:",
            "",
            "| what | share |",
            "|---|---|",
        ]
        lines += [f"| {what} | {value:.2%} |" for what, value in provenance.figures.items()]
        lines.append("")
    synthetic = " (drawn by a program: no measure of accuracy)" if report.synthetic else ""
    if not report.labelled:
        synthetic += " (without labels: accuracy is agreement with Keras)"
    lines += [
        f"Measured when this bundle was made, on {report.images}{synthetic}:",
        "",
        "| file | KB | accuracy | agreement with Keras |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {item.file} | {item.bytes / 1000:.0f} | {item.accuracy:.2%} | {item.agreement:.2%} |"
        for item in report.artifacts
    ]
    lines += ["", "## Limits", ""]
    if provenance.confusions:
        lines += [f"Commonest mistakes on its test set: {provenance.confusions}.", ""]
    lines += [
        "It knows its classes alone: words, joined letters and other scripts are refused where it",
        "is unsure, and otherwise read as one of them.",
        "",
    ]
    return "\n".join(lines)
