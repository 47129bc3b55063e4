"""JAX's own test-suite as the measure of a platform; see ``run_jax_tests.py``."""
