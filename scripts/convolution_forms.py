"""Convolutions of common networks and their gradients on the device, against XLA:CPU: which fail, and how long they take.

    python scripts/convolution_forms.py [--batch 32] [--only resnet18] [--dtypes float32,bfloat16,float16]

MLX on CUDA asks cuDNN for a plan when a convolution is evaluated, and for which sizes there is one only a GPU tells. The
last line counts the failures, which are the exit status too. Without a plugin under test (``JAX_MPS_TEST_PLATFORM=cpu``)
XLA:CPU is compared with itself, which tests the script.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLATFORM = os.environ.setdefault("JAX_MPS_TEST_PLATFORM", "mps")
os.environ["JAX_PLATFORMS"] = "cpu" if PLATFORM == "cpu" else f"{PLATFORM},cpu"
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "python"))

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax import lax  # noqa: E402

from ops.harness import difference, device_under_test, reference_device  # noqa: E402

SPATIAL = {1: "W", 2: "HW", 3: "DHW"}


@dataclass(frozen=True)
class Form:
    """A convolution of channels-last images."""

    name: str
    size: tuple[int, ...]
    """Of the image."""
    inputs: int
    outputs: int
    window: int = 3
    stride: int = 1
    padding: str = "SAME"
    groups: int = 1
    lhs_dilation: int = 1
    rhs_dilation: int = 1

    def shapes(self, batch: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of the images and of the kernel."""
        window = (self.window,) * len(self.size)
        return (batch, *self.size, self.inputs), (*window, self.inputs // self.groups, self.outputs)

    def __call__(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        rank = len(self.size)
        axes = SPATIAL[rank]
        padding: Any = self.padding
        if self.padding == "FULL":
            padding = [(self.window - 1, self.window - 1)] * rank
        return lax.conv_general_dilated(
            x,
            kernel,
            (self.stride,) * rank,
            padding,
            lhs_dilation=(self.lhs_dilation,) * rank,
            rhs_dilation=(self.rhs_dilation,) * rank,
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
            feature_group_count=self.groups,
        )


def resnet18() -> Iterator[Form]:
    """For images of 32 by 32."""
    yield Form("resnet18 stem", (32, 32), 3, 64)
    for size, channels in [(32, 64), (16, 128), (8, 256), (4, 512)]:
        yield Form(f"resnet18 {size}", (size, size), channels, channels)
        if channels > 64:
            yield Form(f"resnet18 {size} strided", (2 * size, 2 * size), channels // 2, channels, stride=2)
            yield Form(f"resnet18 {size} shortcut", (2 * size, 2 * size), channels // 2, channels, 1, stride=2)


def resnet50() -> Iterator[Form]:
    """For images of 224 by 224."""
    yield Form("resnet50 stem", (224, 224), 3, 64, 7, stride=2)
    yield Form("resnet50 first", (56, 56), 64, 64, 1)
    for size, channels in [(56, 64), (28, 128), (14, 256), (7, 512)]:
        yield Form(f"resnet50 {size}", (size, size), channels, channels)
        yield Form(f"resnet50 {size} expand", (size, size), channels, 4 * channels, 1)
        yield Form(f"resnet50 {size} reduce", (size, size), 4 * channels, channels, 1)
        if channels > 64:
            yield Form(f"resnet50 {size} strided", (2 * size, 2 * size), channels, channels, stride=2)
            yield Form(f"resnet50 {size} shortcut", (2 * size, 2 * size), 2 * channels, 4 * channels, 1, stride=2)


def unet() -> Iterator[Form]:
    for size, channels in [(128, 32), (64, 64), (32, 128)]:
        yield Form(f"unet {size}", (size, size), channels, channels)
        yield Form(f"unet {size} concatenated", (size, size), 2 * channels, channels)
        yield Form(f"unet {size} up", (size // 2, size // 2), 2 * channels, channels, 2, lhs_dilation=2, padding="FULL")
        yield Form(f"unet {size} up 3", (size // 2, size // 2), 2 * channels, channels, 3, lhs_dilation=2, padding="FULL")
        yield Form(f"unet {size} down", (size, size), channels, 2 * channels, 2, stride=2)


def others() -> Iterator[Form]:
    yield Form("vit patches", (224, 224), 3, 192, 16, stride=16, padding="VALID")
    yield Form("alexnet stem", (227, 227), 3, 96, 11, stride=4, padding="VALID")
    yield Form("odd channels", (15, 15), 3, 5)
    yield Form("one channel", (28, 28), 1, 8)
    yield Form("whole image", (7, 7), 64, 32, 7, padding="VALID")
    yield Form("window beyond the result", (2, 2), 64, 64)
    yield Form("dilated", (33, 33), 32, 32, rhs_dilation=2)
    yield Form("dilated by 4", (33, 33), 32, 32, rhs_dilation=4)
    yield Form("grouped", (28, 28), 32, 64, groups=4)
    yield Form("grouped strided", (28, 28), 32, 64, stride=2, groups=4)
    yield Form("depthwise", (28, 28), 32, 32, groups=32)
    yield Form("depthwise strided", (28, 28), 32, 64, stride=2, groups=32)
    for rank, size in [(1, 1024), (3, 16)]:
        each = (size,) * rank
        yield Form(f"{rank}d", each, 16, 32)
        yield Form(f"{rank}d strided", each, 16, 32, stride=2)
        yield Form(f"{rank}d valid", each, 16, 32, padding="VALID")
        yield Form(f"{rank}d dilated", each, 16, 32, rhs_dilation=2)
        yield Form(f"{rank}d transposed", each, 16, 32, lhs_dilation=2, padding="FULL")
        yield Form(f"{rank}d grouped", each, 16, 32, groups=4)
        yield Form(f"{rank}d depthwise", each, 16, 16, groups=16)
    # One after the other: a plan of the first must not serve the second, which differs by its dilation alone.
    yield Form("plan", (9, 9), 16, 16, padding="FULL", stride=2)
    yield Form("plan of a dilated operand", (9, 9), 16, 16, stride=2, lhs_dilation=2, padding="FULL")


def all_forms() -> Iterator[Form]:
    for network in (resnet18, resnet50, unet, others):
        yield from network()


def pieces(form: Form) -> dict[str, Any]:
    """The convolution, and its gradients for a given cotangent."""
    return {
        "forward": lambda x, kernel, cotangent: form(x, kernel),
        "gradient of x": lambda x, kernel, cotangent: jax.vjp(lambda x: form(x, kernel), x)[1](cotangent)[0],
        "gradient of kernel": lambda x, kernel, cotangent: jax.vjp(lambda k: form(x, k), kernel)[1](cotangent)[0],
    }


def run(function: Any, arguments: list[np.ndarray], device: jax.Device) -> tuple[np.ndarray, float]:
    """The result, and the seconds of a second call."""
    placed = [jax.device_put(argument, device) for argument in arguments]
    compiled = jax.jit(function)
    result = jax.block_until_ready(compiled(*placed))
    start = time.perf_counter()
    jax.block_until_ready(compiled(*placed))
    return np.asarray(result), time.perf_counter() - start


def compare(form: Form, dtype: str, batch: int) -> int:
    """Prints a line for each piece; returns how many failed."""
    generator = np.random.default_rng(1)
    shapes = [*form.shapes(batch)]
    shapes.append(jax.eval_shape(form, *(jax.ShapeDtypeStruct(shape, dtype) for shape in shapes)).shape)
    arguments = [generator.standard_normal(shape).astype(jnp.dtype(dtype)) for shape in shapes]
    failures = 0
    for name, function in pieces(form).items():
        # XLA:CPU in float32, rounded once, whatever the type: so are sums of halves to be kept.
        want, _ = run(function, [argument.astype(np.float32) for argument in arguments], reference_device())
        try:
            got, seconds = run(function, arguments, device_under_test())
        except jax.errors.JaxRuntimeError as error:
            problem, seconds = str(error).splitlines()[0][:160], float("nan")
        else:
            problem = difference(got, want.astype(got.dtype), accumulates=True, conditioning=4.0)
        failures += problem is not None
        print(f"{form.name:28} {dtype:9} {name:20} {1000 * seconds:9.2f} ms  {problem or 'ok'}", flush=True)
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32, help="images at a time")
    parser.add_argument("--only", default="", help="forms whose names hold this text")
    parser.add_argument("--dtypes", default="float32,bfloat16,float16")
    options = parser.parse_args()
    failures = sum(
        compare(form, dtype, options.batch)
        for form in all_forms()
        if options.only in form.name
        for dtype in options.dtypes.split(",")
    )
    print(f"{failures} failed on {device_under_test().device_kind}")
    return min(failures, 1)


if __name__ == "__main__":
    sys.exit(main())
