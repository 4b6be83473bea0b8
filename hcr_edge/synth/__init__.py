"""Videos composed from real letters, with the truth beside: a camera test without a camera."""

from hcr_edge.synth.compose import Composition, Distraction, Script, Shown, compose, write_script
from hcr_edge.synth.score import Score, score
from hcr_edge.synth.video import read_truth, truth_file, write_video

__all__ = [
    "Composition",
    "Distraction",
    "Score",
    "Script",
    "Shown",
    "compose",
    "read_truth",
    "score",
    "truth_file",
    "write_script",
    "write_video",
]
