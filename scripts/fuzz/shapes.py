"""Steps that move data without looking at it."""

from __future__ import annotations

import math

from fuzz.builder import Builder


def any_value(b: Builder, **wanted) -> str:
    return b.value(b.types.storable if b.chance(0.15) else b.types.all, **wanted)


def broadcast(b: Builder) -> None:
    x = any_value(b)
    shape = b.of(x)
    extra = b.integer(0, 2)
    rank = len(shape) + extra
    places = sorted(b.random.sample(range(rank), len(shape)))
    sizes = [b.choice((1, 2, 3)) for _ in range(rank)]
    for place, size in zip(places, shape):
        sizes[place] = size if size != 1 or b.chance(0.5) else b.choice((1, 2, 4))
    b.step(f"lax.broadcast_in_dim({x}, {tuple(sizes)}, {tuple(places)})", "move")


def factors(b: Builder, count: int) -> tuple[int, ...]:
    """A random shape of so many elements."""
    if count == 0:
        shape = [0, *(b.choice((1, 2, 3)) for _ in range(b.integer(0, 2)))]
        b.random.shuffle(shape)
        return tuple(shape)
    shape = []
    while count > 1 and len(shape) < 4:
        divisor = b.choice([n for n in range(2, count + 1) if count % n == 0])
        shape.append(divisor)
        count //= divisor
    if count > 1:
        shape.append(count)
    for _ in range(b.integer(0, 1)):
        shape.insert(b.integer(0, len(shape)), 1)
    return tuple(shape)


def reshape(b: Builder) -> None:
    x = any_value(b)
    b.step(f"lax.reshape({x}, {factors(b, math.prod(b.of(x)))})", "move")


def permutation(b: Builder, rank: int) -> tuple[int, ...]:
    order = list(range(rank))
    b.random.shuffle(order)
    return tuple(order)


def transpose(b: Builder) -> None:
    x = any_value(b)
    b.step(f"lax.transpose({x}, {permutation(b, len(b.of(x)))})", "move")


def slice_(b: Builder) -> None:
    x = any_value(b)
    begins, ends, strides = [], [], []
    for size in b.of(x):
        begin = b.integer(0, size)
        begins.append(begin)
        ends.append(b.integer(begin, size))
        strides.append(b.choice((1, 1, 2, 3)))
    b.step(f"lax.slice({x}, {begins}, {ends}, {strides})", "move")


def basic_index(b: Builder) -> None:
    """NumPy's slices with steps of either sign, whole numbers, ellipsis and new axes."""
    x = any_value(b)
    parts = []
    for size in b.of(x):
        kind = b.random.random()
        if kind < 0.25 and size:
            parts.append(str(b.integer(-size, size - 1)))
        elif kind < 0.75:
            ends = [b.choice(("", str(b.integer(-size, size)))) for _ in range(2)]
            parts.append(f"{ends[0]}:{ends[1]}:{b.choice(('', '-1', '2', '-2'))}")
        else:
            parts.append(":")
        if b.chance(0.1):
            parts.append("None")
    if parts:
        b.step(f"{x}[{', '.join(parts)}]", "move")


def reverse(b: Builder) -> None:
    x = any_value(b)
    rank = len(b.of(x))
    b.step(f"lax.rev({x}, {tuple(b.random.sample(range(rank), b.integer(0, rank)))})", "move")


def pad(b: Builder) -> None:
    x = any_value(b)
    value = b.value((b.dtype(x),), shape=())
    config = [(b.integer(-1 if size else 0, 3), b.integer(-1 if size > 1 else 0, 3), b.choice((0, 0, 1, 2))) for size in b.of(x)]
    b.step(f"lax.pad({x}, {value}, {config})", "move")


def numpy_pad(b: Builder) -> None:
    x = any_value(b, fits=lambda shape: len(shape) > 0 and 0 not in shape)
    width = [(b.integer(0, 3), b.integer(0, 3)) for _ in b.of(x)]
    mode = b.choice(("edge", "reflect", "symmetric", "wrap", "constant"))
    b.step(f"jnp.pad({x}, {width}, mode={mode!r})", "move")


def concatenate(b: Builder) -> None:
    x = any_value(b, fits=lambda shape: len(shape) > 0)
    shape = b.of(x)
    axis = b.integer(0, len(shape) - 1)
    parts = [x]
    for _ in range(b.integer(0, 3)):
        size = b.choice((shape[axis], 0, 1, 2, 3))
        parts.append(b.value((b.dtype(x),), shape=(*shape[:axis], size, *shape[axis + 1 :])))
    b.random.shuffle(parts)
    b.step(f"lax.concatenate([{', '.join(parts)}], {axis})", "move")


def stack(b: Builder) -> None:
    x = any_value(b)
    others = [b.value((b.dtype(x),), shape=b.of(x)) for _ in range(b.integer(0, 2))]
    b.step(f"jnp.stack([{', '.join([x, *others])}], axis={b.integer(-1, len(b.of(x)))})", "move")


def numpy_moves(b: Builder) -> None:
    x = any_value(b, fits=lambda shape: len(shape) > 0)
    rank = len(b.of(x))
    axis = b.integer(-rank, rank - 1)
    b.step(
        b.choice((
            f"jnp.roll({x}, {b.integer(-5, 5)}, axis={axis})",
            f"jnp.roll({x}, {b.integer(-5, 5)})",
            f"jnp.flip({x}, axis={axis})",
            f"jnp.repeat({x}, {b.integer(0, 3)}, axis={axis})",
            f"jnp.tile({x}, {tuple(b.integer(0, 2) for _ in range(b.integer(1, rank + 1)))})",
            f"jnp.expand_dims({x}, {axis})",
            f"jnp.squeeze({x})",
            f"jnp.moveaxis({x}, {axis}, {b.integer(0, rank - 1)})",
            f"jnp.ravel({x}, order={b.choice('CF')!r})",
            f"jnp.atleast_3d({x})",
            f"jnp.tril({x}, {b.integer(-2, 2)})",
            f"jnp.triu({x}, {b.integer(-2, 2)})",
            f"jnp.rot90({x}, {b.integer(0, 3)})",
            f"jnp.diagonal({x}, offset={b.integer(-2, 2)})",
            f"jnp.diag({x}, {b.integer(-2, 2)})",
            f"jnp.kron({x}, jnp.ones((2,), {x}.dtype))",
            f"jnp.delete({x}, 0, axis={axis})",
            f"jnp.insert({x}, 0, jnp.zeros((), {x}.dtype), axis={axis})",
            f"jnp.broadcast_to({x}, (2, *{x}.shape))",
        )),
        "move",
    )  # fmt: skip


def split(b: Builder) -> None:
    x = any_value(b, fits=lambda shape: len(shape) > 0)
    axis = b.integer(0, len(b.of(x)) - 1)
    size = b.of(x)[axis]
    first = b.integer(0, size)
    b.step(f"lax.split({x}, [{first}, {size - first}], axis={axis})", "move", 2)


def create(b: Builder) -> None:
    dtype = b.choice(b.types.numbers)
    shape = b.shape(least=1, rank=b.integer(1, 3))
    integer = b.choice(b.types.integers)
    b.step(
        b.choice((
            f"lax.broadcasted_iota({dtype!r}, {shape}, {b.integer(0, len(shape) - 1)})",
            f"lax.iota({b.choice(b.types.integers + b.types.reals + ('complex64',))!r}, {b.integer(0, 9)})",
            f"jnp.eye({b.integer(0, 4)}, {b.integer(1, 4)}, k={b.integer(-2, 2)}, dtype={dtype!r})",
            f"jnp.full({shape}, {b.integer(0, 9)}, {dtype!r})",
            f"jnp.arange({b.integer(-4, 4)}, {b.integer(4, 9)}, {b.integer(1, 3)}, dtype={b.choice(b.types.signed)!r})",
            f"jnp.tri({b.integer(0, 4)}, dtype={integer!r})",
        )),
        "move",
    )  # fmt: skip
    if b.chance(0.3):
        b.step(f"jnp.linspace({b.integer(-3, 0)}, {b.integer(1, 5)}, {b.integer(0, 9)}, dtype='float32')", "round")


GENERATORS = {
    broadcast: 3, reshape: 4, transpose: 4, slice_: 3, basic_index: 3, reverse: 2, pad: 3, numpy_pad: 1,
    concatenate: 3, stack: 1, numpy_moves: 4, split: 1, create: 2,
}  # fmt: skip
