"""Products of float32 keep all of float32.

``MLX_ENABLE_TF32=0`` holds for the whole process, MLX's own Python package included, from the
moment at which JAX makes the platform's client.  A program that never uses the platform keeps
its environment; one that wants TF32 sets ``MLX_ENABLE_TF32=1``.

MLX multiplies float32 in TF32 (10 bits of significand) where the GPU has hardware
for it, an M5 or an NVIDIA GPU.  JAX's default precision means float32 on the
CPU, whose results this platform reproduces, and a program that asks for
``Precision.HIGHEST`` could not be served: MLX knows one setting per process.
"""

import os

VARIABLE = "MLX_ENABLE_TF32"
"""MLX reads it at the first product of the process."""


def keep_float32() -> None:
    """Turns TF32 off, unless the user has set the variable."""
    os.environ.setdefault(VARIABLE, "0")
