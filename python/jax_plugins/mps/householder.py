"""QR decomposition by Householder reflections, in operations of ``jax.lax``.

The conventions are LAPACK's ``geqrf`` and ``orgqr``/``ungqr``:
``Q = H(0) H(1) ... H(k-1)``, ``H(i) = I - tau[i] v v^H`` with ``v[:i] = 0``,
``v[i] = 1`` and ``v[i+1:]`` stored below the diagonal of column ``i``.
"""

import jax
import jax.numpy as jnp
from jax import lax


def geqrf(a: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``a[..., m, n]`` to (R above and the v below the diagonal, tau)."""
    m, n = a.shape[-2:]
    rows, columns = jnp.arange(m), jnp.arange(n)
    taus = jnp.zeros((*a.shape[:-2], min(m, n)), a.dtype)
    if not taus.shape[-1]:
        return a, taus

    def eliminate(i, state):
        a, taus = state
        column = lax.dynamic_index_in_dim(a, i, axis=-1, keepdims=False)
        v, tau, beta = _reflector(column, i, rows)
        # H(i)^H from the left, on the columns to the right of i.
        product = jnp.where(columns > i, _row_product(v, a), 0)
        a = a - jnp.conj(tau)[..., None, None] * v[..., :, None] * product[..., None, :]
        column = jnp.where(rows < i, column, jnp.where(rows == i, beta[..., None], v))
        a = lax.dynamic_update_index_in_dim(a, column, i, axis=-1)
        return a, lax.dynamic_update_index_in_dim(taus, tau, i, axis=-1)

    return lax.fori_loop(0, min(m, n), eliminate, (a, taus))


def householder_product(a: jax.Array, taus: jax.Array) -> jax.Array:
    """The first ``n`` columns of Q for a packed ``a[..., m, n]``."""
    m, n = a.shape[-2:]
    rows = jnp.arange(m)
    q = jnp.broadcast_to(jnp.eye(m, n, dtype=a.dtype), a.shape)
    count = taus.shape[-1]
    if not count:
        return q

    def multiply(step, q):
        i = count - 1 - step
        column = lax.dynamic_index_in_dim(a, i, axis=-1, keepdims=False)
        tau = lax.dynamic_index_in_dim(taus, i, axis=-1, keepdims=False)
        v = jnp.where(rows > i, column, jnp.where(rows == i, 1, 0).astype(a.dtype))
        product = tau[..., None] * _row_product(v, q)
        return q - v[..., :, None] * product[..., None, :]

    return lax.fori_loop(0, count, multiply, q)


def _row_product(v: jax.Array, a: jax.Array) -> jax.Array:
    """``v^H a`` for ``v[..., m]`` and ``a[..., m, n]``."""
    return jnp.einsum("...m,...mn->...n", jnp.conj(v), a, precision="highest")


def _reflector(column, i, rows):
    """v, tau and beta with ``H^H column = beta e_i`` below row ``i`` (larfg)."""
    alpha = lax.dynamic_index_in_dim(column, i, axis=-1, keepdims=False)
    below = jnp.where(rows > i, column, 0)
    # Scaled, so that squares neither overflow nor vanish.
    scale = jnp.maximum(jnp.max(jnp.abs(below), axis=-1), jnp.abs(alpha))
    divisor = jnp.where(scale == 0, 1, scale)
    squares = jnp.sum(jnp.square(jnp.abs(below / divisor[..., None])), axis=-1)
    norm = divisor * jnp.sqrt(squares + jnp.square(jnp.abs(alpha / divisor)))
    real = jnp.real(alpha)
    beta = jnp.where(real < 0, norm, -norm)
    # Nothing to eliminate: H is the identity.
    identity = (squares == 0) & (jnp.imag(alpha) == 0)
    beta = jnp.where(identity, real, beta)
    tau = jnp.where(identity, 0, (beta - alpha) / jnp.where(identity, 1, beta))
    denominator = jnp.where(identity, 1, alpha - beta)
    v = jnp.where(rows == i, 1, below / denominator[..., None])
    return v, tau.astype(column.dtype), beta.astype(column.dtype)
