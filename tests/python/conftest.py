"""Settings for every Python test: which platform is under test, and that it is there.

``JAX_MPS_TEST_PLATFORM`` names the platform under test, ``mps`` unless set.
With ``cpu`` the tests compare XLA:CPU with itself, which validates the tests.
"""

import os
from pathlib import Path

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


@pytest.fixture(autouse=True, scope="module")
def collect_programs(request):
    """Where ``JAX_MPS_OP_PROGRAMS`` names a folder: what the tests of ops compile, for scripts/op_coverage.rs."""
    base, file = os.environ.get("JAX_MPS_OP_PROGRAMS"), Path(request.module.__file__)
    if not base or not (file.parent.name == "ops" or file.stem == "test_callbacks"):
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_MPS_DUMP", str(Path(base) / file.stem))
        patch.setenv("JAX_MPS_DUMP_STAGE", "00-received")
        yield


@pytest.fixture(autouse=True, scope="module")
def release_executables():
    """Executables of two platforms for thousands of cases would fill the memory of a small machine."""
    import jax

    yield
    jax.clear_caches()
