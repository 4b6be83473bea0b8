"""Coverage-guided fuzzing of the runtime; see docs/fuzzing.md."""
