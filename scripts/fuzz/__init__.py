"""Differential fuzzing of the plugin against XLA:CPU; ``python scripts/fuzz --help``."""
