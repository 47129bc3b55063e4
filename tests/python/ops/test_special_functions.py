"""The CHLO functions: error functions, gamma family, Bessel functions (src/lower/special)."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ops.harness import FLOATS, Case, fixed, specials, suite, uniform

SHAPE = (3, 5)
TINY = np.geomspace(1e-20, 1e-2, 19)

CASES = [
    Case("erf", lax.erf, [uniform(-3, 3, *SHAPE)], FLOATS, gradient=True),
    Case("erf_near_zero", lax.erf, [fixed(np.concatenate([TINY, -TINY]))]),
    Case("erf_specials", lax.erf, [specials()], FLOATS, signed_zeros=True),
    Case("erfc", lax.erfc, [uniform(-2, 2, *SHAPE)], FLOATS, gradient=True),
    Case("erfc_tail", lax.erfc, [uniform(2, 8, 16)]),
    Case("erfc_specials", lax.erfc, [specials()], FLOATS),
    Case("erf_inv", lax.erf_inv, [uniform(-0.9, 0.9, *SHAPE)], FLOATS, gradient=True),
    Case("erf_inv_edges", lax.erf_inv, [fixed([-1, 1, 0, 0.999999, -0.999999, 2, np.nan])]),
    Case("lgamma", lax.lgamma, [uniform(0.5, 6, *SHAPE)], FLOATS, gradient=True, accumulates=True),
    Case(
        "lgamma_negative",
        lax.lgamma,
        [uniform(-4.9, -0.1, 16)],
        accumulates=True,
        conditioning=10,  # the distance to the pole is known to the rounding of x only
    ),
    # Near its roots at 1 and 2 it is a difference of larger numbers.
    Case("lgamma_specials", lax.lgamma, [specials(huge=False)], accumulates=True),
    Case("lgamma_huge", lax.lgamma, [fixed([1e10, 1e30, 3e38, 1e-10, 1e-30])]),
    Case(
        "digamma", lax.digamma, [uniform(0.5, 6, *SHAPE)], FLOATS, gradient=True, accumulates=True
    ),
    Case("digamma_specials", lax.digamma, [specials(huge=False)]),
    Case(
        "polygamma",
        lambda x: lax.polygamma(jnp.ones_like(x), x),
        [uniform(0.5, 6, *SHAPE)],
        accumulates=True,
    ),
    Case("zeta", lax.zeta, [uniform(1.5, 5, *SHAPE), uniform(0.5, 4, *SHAPE)], accumulates=True),
    Case("igamma", lax.igamma, [uniform(0.5, 4, *SHAPE), uniform(0.1, 6, *SHAPE)]),
    Case(
        "igamma_gradient",
        lax.igamma,
        [uniform(0.5, 4, *SHAPE), uniform(0.1, 6, *SHAPE)],
        gradient=True,
        accumulates=True,
    ),
    Case("igammac", lax.igammac, [uniform(0.5, 4, *SHAPE), uniform(0.1, 6, *SHAPE)]),
    Case(
        "betainc",
        lax.betainc,
        [uniform(0.5, 4, *SHAPE), uniform(0.5, 4, *SHAPE), uniform(0.1, 0.9, *SHAPE)],
        accumulates=True,
        conditioning=4,  # a continued fraction of some ten terms
    ),
    Case("bessel_i0e", lax.bessel_i0e, [uniform(-12, 12, *SHAPE)], FLOATS, gradient=True),
    Case("bessel_i1e", lax.bessel_i1e, [uniform(-12, 12, *SHAPE)], FLOATS, gradient=True),
    Case(
        "random_gamma_grad",
        lax.random_gamma_grad,
        [uniform(0.5, 4, 8), uniform(0.5, 4, 8)],
        accumulates=True,
        conditioning=10,  # a numerical quotient of two series
    ),
    # The left tail of gelu is the small difference 1 + tanh.
    Case("gelu", jax.nn.gelu, [uniform(-3, 3, *SHAPE)], FLOATS, gradient=True, accumulates=True),
    Case(
        "gelu_exact",
        lambda x: jax.nn.gelu(x, approximate=False),
        [uniform(-3, 3, *SHAPE)],
        FLOATS,
        gradient=True,
        accumulates=True,
    ),
    Case("softplus", jax.nn.softplus, [uniform(-6, 6, *SHAPE)], FLOATS, gradient=True),
    Case("silu", jax.nn.silu, [uniform(-6, 6, *SHAPE)], FLOATS, gradient=True),
    Case("sinc", jnp.sinc, [uniform(0.1, 3, *SHAPE)], gradient=True, accumulates=True),
    Case("logaddexp", jnp.logaddexp, [uniform(-4, 4, *SHAPE), uniform(-4, 4, *SHAPE)], FLOATS,
         gradient=True, accumulates=True),
]  # fmt: skip

test_value, test_gradient = suite(CASES)
