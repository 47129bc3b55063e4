"""Steps that sum products: dot_general, convolution, Fourier transforms, decompositions of matrices."""

from __future__ import annotations

from fuzz.builder import Builder
from fuzz.elementwise import kind_for


def dot_general(b: Builder) -> None:
    x = b.value(b.types.numbers, fits=lambda shape: 1 <= len(shape) <= 4)
    shape = b.of(x)
    dims = list(range(len(shape)))
    b.random.shuffle(dims)
    batch = dims[: b.integer(0, min(2, len(dims) - 1))]
    contract = dims[len(batch) : len(batch) + b.integer(0, 2)]
    free = [b.integer(1, 4) for _ in range(b.integer(0, 2))]
    roles = [*(("b", d) for d in batch), *(("c", d) for d in contract), *(("f", size) for size in free)]
    b.random.shuffle(roles)
    other = tuple(size if role == "f" else shape[size] for role, size in roles)
    y = b.value((b.dtype(x),), shape=other)
    find = lambda role, d: roles.index((role, d))  # noqa: E731
    numbers = (
        (tuple(contract), tuple(find("c", d) for d in contract)),
        (tuple(batch), tuple(find("b", d) for d in batch)),
    )
    preferred = ""
    if b.chance(0.3):
        wider = {"bfloat16": ("float32",), "float16": ("float32",), "int8": ("int32", "int16"), "uint8": ("int32", "uint32")}
        options = (*wider.get(b.dtype(x), ()), b.dtype(x))
        preferred = f", preferred_element_type={b.choice(options)!r}"
    b.step(f"lax.dot_general({x}, {y}, {numbers}{preferred})", kind_for(b, "sum", x))


def matmul(b: Builder) -> None:
    x = b.value(b.types.numbers, fits=lambda shape: 1 <= len(shape) <= 3)
    y = b.value(b.types.numbers if b.chance(0.2) else (b.dtype(x),), shape=(*b.of(x)[:-2], b.of(x)[-1], b.integer(1, 5)))
    exact = kind_for(b, "sum", x) == kind_for(b, "sum", y) == "move"
    b.step(f"jnp.matmul({x}, {y})", "move" if exact else "sum")


def einsum(b: Builder) -> None:
    x = b.value(b.types.numbers, rank=2)
    y = b.value((b.dtype(x),), shape=(b.of(x)[1], b.integer(1, 4)))
    form = b.choice(("ij,jk->ik", "ij,jk->ki", "ij,jk->i", "ij,jk->", "ij,jk->ijk", "ij,jk->k"))
    b.step(f"jnp.einsum({form!r}, {x}, {y})", kind_for(b, "sum", x))


def convolution(b: Builder) -> None:
    dtypes = b.types.reals + ("float32", "float32", "complex64", "int32", "int8")
    spatial = b.choice((0, 1, 1, 2, 2, 2, 3))
    groups = b.choice((1, 1, 1, 2, 3))
    batches = 1
    if groups > 1 and b.chance(0.3):
        groups, batches = 1, groups
    inputs = b.integer(1, 2) * groups
    outputs = b.integer(1, 2) * groups * batches
    batch = b.integer(1, 2) * batches
    dtype = b.choice(dtypes)
    sizes = tuple(b.integer(1, 6) for _ in range(spatial))
    kernel = tuple(b.integer(1, 3) for _ in range(spatial))
    x_spec = list("NC") + [str(i) for i in range(spatial)]
    k_spec = list("OI") + [str(i) for i in range(spatial)]
    o_spec = list(x_spec)
    for spec in (x_spec, k_spec, o_spec):
        if b.chance(0.6):
            b.random.shuffle(spec)
    of = {"N": batch, "C": inputs} | {str(i): size for i, size in enumerate(sizes)}
    ok = {"O": outputs, "I": inputs // groups} | {str(i): size for i, size in enumerate(kernel)}
    x = b.value((dtype,), shape=tuple(of[c] for c in x_spec))
    k = b.value((dtype,), shape=tuple(ok[c] for c in k_spec))
    strides = tuple(b.choice((1, 1, 2, 3)) for _ in range(spatial))
    # XLA:CPU reads beside the operand where strides meet negative padding: a window of ones and zeros sums to 10 for 6.
    least = -1 if max(strides, default=1) == 1 else 0
    padding = [(b.integer(least, 3), b.integer(least, 3)) for _ in range(spatial)]
    if b.chance(0.3):
        padding = b.choice(("'SAME'", "'VALID'"))
    dilation = [tuple(b.choice((1, 1, 1, 2)) for _ in range(spatial)) for _ in range(2)]
    if isinstance(padding, str):
        dilation[0] = (1,) * spatial
    preferred = ", preferred_element_type='float32'" if dtype in ("bfloat16", "float16") and b.chance(0.3) else ""
    b.step(
        f"lax.conv_general_dilated({x}, {k}, {strides}, {padding}, lhs_dilation={dilation[0]}, rhs_dilation={dilation[1]},"
        f" dimension_numbers=({''.join(x_spec)!r}, {''.join(k_spec)!r}, {''.join(o_spec)!r}),"
        f" feature_group_count={groups}, batch_group_count={batches}{preferred})",
        kind_for(b, "sum", x),
    )


def fourier(b: Builder) -> None:
    kind = b.choice(("fft", "ifft", "rfft", "irfft"))
    real = kind == "rfft"
    x = b.value(("float32",) if real else ("complex64",), fits=lambda shape: 1 <= len(shape) and 0 not in shape)
    shape = b.of(x)
    dims = b.integer(1, min(3, len(shape)))
    lengths = list(shape[-dims:])
    if kind == "irfft":
        lengths[-1] = max(1, 2 * (lengths[-1] - 1) + b.integer(0, 1))
    b.step(f"lax.fft({x}, {kind!r}, {tuple(lengths)})", "mixture")


def numpy_fourier(b: Builder) -> None:
    x = b.value(("float32", "complex64", "int32", "bfloat16"), fits=lambda shape: len(shape) >= 1 and 0 not in shape)
    name = b.choice(("fft", "ifft", "irfft", "hfft", "fftshift"))
    length = "" if name == "fftshift" else f", n={b.choice(('None', b.integer(1, 8)))}"
    b.step(f"jnp.fft.{name}({x}{length})", "mixture")


def square(b: Builder, dtypes, shape: tuple[int, ...] | None = None) -> str:
    batch = b.choice(((), (), (2,), (0,), (1, 2)))
    size = b.choice((0, 1, 2, 3, 4, 5))
    return b.value(dtypes, shape=shape or (*batch, size, size))


def well(x: str) -> str:
    """A matrix that follows from any matrix, of moderate numbers and far from singular: its diagonal outweighs its rows."""
    small = f"jnp.nan_to_num({x}) / (1 + jnp.abs(jnp.nan_to_num({x})))"
    return f"({small} + ({x}.shape[-1] + 1) * jnp.eye({x}.shape[-1], dtype={x}.dtype))"


def solve(b: Builder) -> None:
    x = square(b, b.types.lapack)
    *batch, size, _ = b.of(x)
    y = b.value((b.dtype(x),), shape=(*batch, size, b.integer(1, 3)))
    a = well(x)
    lower, left = b.chance(0.5), b.chance(0.6)
    if not left:
        y = b.value((b.dtype(x),), shape=(*batch, b.integer(1, 3), size))
    options = f"left_side={left}, lower={lower}, transpose_a={b.chance(0.4)}, conjugate_a={b.chance(0.3)}, unit_diagonal={b.chance(0.3)}"
    b.step(
        b.choice((
            f"jnp.linalg.solve({a}, jnp.nan_to_num({y}))" if left else f"jnp.linalg.inv({a})",
            f"lax.linalg.triangular_solve({a}, {y}, {options})",
        )),
        "mixture",
    )  # fmt: skip


def decomposition(b: Builder) -> None:
    """What of a decomposition is unique: signs and order of equal values are not."""
    x = square(b, b.types.lapack)
    a = well(x)
    hermitian = f"({a} @ jnp.conj(jnp.swapaxes({a}, -1, -2)))"
    b.step(
        b.choice((
            f"lax.linalg.cholesky({hermitian})",
            f"lax.linalg.cholesky({x})",
            f"jnp.linalg.det({a})",
            f"jnp.linalg.slogdet({a})[1]",
            f"jnp.linalg.eigvalsh({hermitian})",
            f"jnp.linalg.svd({a}, compute_uv=False)",
            f"jnp.abs(jnp.linalg.qr({a})[1])",
            f"jnp.matmul(*jnp.linalg.qr({a}))",
            f"lax.linalg.lu({a})[0]",
            f"lax.linalg.lu({a})[2]",
            f"jnp.linalg.pinv({a})",
            f"jnp.linalg.matrix_power({a}, {b.integer(-2, 3)})",
            f"jax.scipy.linalg.expm({a} / 4)",
            f"(lambda w, v: jnp.abs(v) @ jnp.ones(w.shape[-1]))(*jnp.linalg.eigh({hermitian}))"
            if b.dtype(x) == "float32" else f"jnp.trace({a}, axis1=-2, axis2=-1)",
        )),
        "mixture",
    )  # fmt: skip


GENERATORS = {
    dot_general: 4, matmul: 2, einsum: 1, convolution: 4, fourier: 2, numpy_fourier: 0.7, solve: 1, decomposition: 1.5,
}  # fmt: skip
