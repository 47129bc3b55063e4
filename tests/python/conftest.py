"""Settings for every Python test: which platform is under test, and that it is there.

``JAX_MPS_TEST_PLATFORM`` names the platform under test, ``mps`` unless set.
With ``cpu`` the tests compare XLA:CPU with itself, which validates the tests.
"""

import os

PLATFORM = os.environ.setdefault("JAX_MPS_TEST_PLATFORM", "mps")

# Before the first import of jax: the platform under test and the reference in one process.
os.environ["JAX_PLATFORMS"] = "cpu" if PLATFORM == "cpu" else f"{PLATFORM},cpu"
os.environ.pop("JAX_ENABLE_X64", None)

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def device():
    """The device under test; a missing plugin is an error, never a skip."""
    import jax

    return jax.devices(PLATFORM)[0]


@pytest.fixture(scope="session")
def reference():
    """The device of XLA:CPU from the same jaxlib."""
    import jax

    return jax.devices("cpu")[0]
