"""Callbacks from a running program into Python.

``jax.pure_callback``, ``io_callback``, ``jax.debug.callback`` and ``print``, and
checkify's run-time checks become ``stablehlo.send`` and ``recv``: the route that
JAX takes for TPUs, and the one that PJRT's C API carries for every platform.

Private parts of JAX: ``callback.emit_python_callback``, which knows the
platforms that it serves by name; the rules of ``debug_callback_p``,
``debug_print_p`` and ``check_p``, which are registered by platform.
"""

import dataclasses
import importlib

from jax.interpreters import mlir

from jax_plugins.mps import guard, interrupts, primitives
from jax_plugins.mps.registration import PLATFORM
from jax_plugins.mps.wrapping import Renamed, wrapped


def register() -> None:
    """Opens JAX's route for this platform and registers the rules."""
    guard.attempt("jax.pure_callback and io_callback", _open_route)
    for what, primitive, module, rule in (
        ("jax.debug.callback", "DEBUG_CALLBACK", "debugging", "debug_callback_lowering"),
        ("jax.debug.print", "DEBUG_PRINT", "debugging", "debug_print_lowering_rule"),
        ("checkify's run-time checks", "CHECK", "checkify", "check_lowering_rule"),
    ):
        guard.attempt(what, _register, primitive, module, rule)


def _register(primitive: str, module: str, name: str) -> None:
    rule = getattr(importlib.import_module(f"jax._src.{module}"), name)
    # Each callback has channels of its own, which a rule that is lowered once
    # for several uses would share.
    mlir.register_lowering(getattr(primitives, primitive), rule, platform=PLATFORM, cacheable=False)


def _open_route() -> None:
    from jax._src import callback

    emit = wrapped(callback.emit_python_callback, _emit_python_callback)
    callback.emit_python_callback = emit
    if hasattr(mlir, "emit_python_callback"):
        mlir.emit_python_callback = emit


def _emit_python_callback(original, ctx, *args, **kwargs):
    if tuple(ctx.module_context.platforms) == (PLATFORM,):
        ctx = _as_tpu(ctx)
        # One device: its part of the operands is the whole.
        kwargs.pop("partitioned", None)
    return original(ctx, *args, **kwargs)


class _Backend(Renamed):
    """A client whose callbacks may be interrupted."""

    def make_python_callback_from_host_send_and_recv(self, callback, *args, **kwargs):
        make = self._client.make_python_callback_from_host_send_and_recv
        return make(interrupts.interruptible(callback), *args, **kwargs)


def _as_tpu(ctx):
    """The same context under the name of the platform whose route it takes.

    Channels and the list of callbacks stay shared with the original.
    """
    module_context = ctx.module_context
    backend = _Backend(module_context.get_backend(), "tpu")
    return dataclasses.replace(
        ctx,
        module_context=dataclasses.replace(
            module_context, platforms=("tpu",), backend=backend
        ),
    )
