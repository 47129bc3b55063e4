"""Fourier transforms of all kinds (src/lower/fft)."""

import functools

import jax.numpy as jnp
from jax import lax

from ops.harness import Case, normal, suite

SHAPES = [((8,), 1), ((7,), 1), ((3, 12), 1), ((4, 6), 2), ((2, 3, 5), 2), ((2, 4, 6), 3), ((1,), 1)]


def name_of(kind, shape, rank):
    return f"{kind}_{rank}d_{'x'.join(map(str, shape))}"


def transform(x, kind, lengths):
    return lax.fft(x, kind, lengths)


def half(shape):
    return (*shape[:-1], shape[-1] // 2 + 1)


CASES = [
    *(
        Case(name_of(kind.lower(), shape, rank),
             functools.partial(transform, kind=kind, lengths=shape[len(shape) - rank:]), [normal(*shape)],
             ("complex64",), gradient=True, accumulates=True)
        for kind in ("FFT", "IFFT")
        for shape, rank in SHAPES
    ),
    *(
        Case(name_of("rfft", shape, rank),
             functools.partial(transform, kind="RFFT", lengths=shape[len(shape) - rank:]),
             [normal(*shape)], gradient=True, accumulates=True)
        for shape, rank in SHAPES
    ),
    *(
        Case(name_of("irfft", shape, rank),
             functools.partial(transform, kind="IRFFT", lengths=shape[len(shape) - rank:]),
             [normal(*half(shape))], ("complex64",), gradient=True, accumulates=True)
        for shape, rank in SHAPES
    ),
    # A length of 0 for one bin or none, which MLX is never asked for.
    Case("irfft_of_one_bin", lambda x: jnp.fft.irfft(x), [normal(3, 1)], ("complex64",)),
    Case("irfft_of_one_bin_in_two_dimensions", lambda x: jnp.fft.irfft2(x), [normal(3, 1)], ("complex64",)),
    Case("hfft_of_one_bin", lambda x: jnp.fft.hfft(x), [normal(1)], ("complex64",)),
    Case("irfft_no_bins", lambda x: lax.fft(x, "IRFFT", (0,)), [normal(3, 0)], ("complex64",)),
    Case("fft_no_elements", lambda x: (lax.fft(x, "FFT", (0,)), lax.fft(x, "IFFT", (3, 0))), [normal(3, 0)],
         ("complex64",)),
    Case("fft_empty_batch", lambda x: jnp.fft.fft(x), [normal(0, 4)], ("complex64",)),
    Case("fft_padded_and_cropped", lambda x: (jnp.fft.fft(x, 12), jnp.fft.fft(x, 5)), [normal(2, 8)],
         ("complex64",), accumulates=True),
    Case("fft_other_axis", lambda x: jnp.fft.fft(x, axis=0), [normal(6, 3)], ("complex64", "float32"),
         gradient=True, accumulates=True),
    Case("fft_norms", lambda x: (jnp.fft.fft(x, norm="ortho"), jnp.fft.ifft(x, norm="forward")),
         [normal(8)], ("complex64",), accumulates=True),
    Case("hfft", lambda x: jnp.fft.hfft(x), [normal(5)], ("complex64",), accumulates=True),
    Case("ihfft", lambda x: jnp.fft.ihfft(x), [normal(8)], accumulates=True),
    Case("fftshift", lambda x: jnp.fft.fftshift(x), [normal(5, 4)], ("complex64", "float32")),
    Case("long_prime", lambda x: jnp.fft.fft(x), [normal(211)], ("complex64",), accumulates=True),
    Case("long_power", lambda x: jnp.fft.rfft(x), [normal(1024)], accumulates=True),
    Case("convolve_by_fft",
         lambda x, y: jnp.fft.irfft(jnp.fft.rfft(x, 16) * jnp.fft.rfft(y, 16), 16),
         [normal(8), normal(9)], gradient=True, accumulates=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
