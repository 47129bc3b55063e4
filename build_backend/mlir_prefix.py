"""The folder that the crate ``mlir-sys`` builds against, made of registry packages.

mlir-sys asks an ``llvm-config`` for headers and libraries of LLVM. No package has
one that fits, so this writes one that answers with:

* the headers of MLIR's C interface out of ``xtc-mlir-dev``;
* the library of ``torch-mlir``, the one package with MLIR's C interface *and*
  StableHLO. It lies in the environment and is linked in place, like MLX.

The headers are of LLVM 22, the library is of LLVM 24, mlir-sys and melior are
written for LLVM 23, whose names of some functions the library has already: they
are declared here.
"""

from __future__ import annotations

import importlib.util
import os
import pathlib
import shlex
import sys

REQUIREMENTS = ["torch-mlir==20261001", "xtc-mlir-dev==22.1.8.4"]
# What a wheel with the reader needs where it runs.
RUNTIME_REQUIREMENT = REQUIREMENTS[0]

# Passes of mlir/Transforms whose functions got the suffix `Pass` in LLVM 23; those that melior knows.
TRANSFORMS = """
    CSE Canonicalizer CompositeFixedPoint ControlFlowSink GenerateRuntimeVerification Inliner
    LoopInvariantCodeMotion LoopInvariantSubsetHoisting PrintIR PrintOpStats RemoveDeadValues SCCP
    StripDebugInfo SymbolDCE SymbolPrivatize TopologicalSort ViewOpGraph
""".split()

VERSION = "23.1.1"
SHIM = """#!/bin/sh
# Answers mlir-sys and melior-macro, which ask an LLVM installation what to link.
for word; do last=$word; done
case $last in
    --version) echo {version} ;;
    --includedir) echo {prefix}/include ;;
    --libdir) echo {prefix}/lib ;;
    # There are no static libraries, which makes mlir-sys link the shared ones.
    --libnames) case " $* " in *" --link-static "*) exit 1 ;; *) echo ;; esac ;;
    --system-libs) echo ;;
    *) echo "llvm-config: unknown option $last" >&2; exit 1 ;;
esac
"""


def make(prefix: pathlib.Path) -> dict[str, str]:
    """Writes the folder and gives the settings that point cargo to it."""
    library = mlir_library()
    headers = _package_folder("mlir", "include/mlir-c/IR.h", "xtc-mlir-dev") / "include"
    suffix = library.suffix
    include = prefix / "include"
    for folder in ("bin", "lib", "include/mlir-c/Dialect", "include/mlir-c/Target"):
        (prefix / folder).mkdir(parents=True, exist_ok=True)
    for name in ("libMLIR", "libMLIR-C"):
        _link(prefix / "lib" / f"{name}{suffix}", library)
    for header in (headers / "mlir-c").rglob("*.h"):
        path = header.relative_to(headers)
        # LLVM's own C interface is in none of the packages, Python's is not wanted.
        if path.name != "LLVMIR.h" and "Bindings" not in path.parts:
            (include / path).parent.mkdir(parents=True, exist_ok=True)
            _link(include / path, header)
    _link(include / "mlir", headers / "mlir")
    _write(include / "mlir-c" / "Names23.h", _names())
    shim = prefix / "bin" / "llvm-config"
    _write(shim, SHIM.format(version=VERSION, prefix=shlex.quote(str(prefix))))
    shim.chmod(0o755)
    return {
        "MLIR_SYS_230_PREFIX": str(prefix),
        "JAX_MPS_MLIR_LIBRARY": str(library),
    }


def mlir_library() -> pathlib.Path:
    """The library of torch-mlir in the running Python's environment."""
    name = "libTorchMLIRAggregateCAPI" + (".dylib" if sys.platform == "darwin" else ".so")
    return _package_folder("torch_mlir", f"_mlir_libs/{name}", "torch-mlir") / "_mlir_libs" / name


def available() -> bool:
    """Whether the packages are there."""
    try:
        mlir_library()
        _package_folder("mlir", "include/mlir-c/IR.h", "xtc-mlir-dev")
    except SystemExit:
        return False
    return True


def _package_folder(package: str, marker: str, distribution: str) -> pathlib.Path:
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        if (pathlib.Path(folder) / marker).exists():
            return pathlib.Path(folder).resolve()
    requirement = next(r for r in REQUIREMENTS if r.startswith(distribution))
    raise SystemExit(
        f"jax-mps: the feature `mlir` needs the package {distribution}, which is not installed "
        f"in {sys.prefix}: pip install {requirement}"
    )


def _names() -> str:
    lines = ["#ifndef NAMES23_H", "#define NAMES23_H", '#include "mlir-c/Pass.h"']
    lines.append("MLIR_CAPI_EXPORTED MlirAttribute mlirDistinctAttrCreate(MlirAttribute referenced);")
    for name in TRANSFORMS:
        lines.append(f"MLIR_CAPI_EXPORTED MlirPass mlirCreateTransforms{name}Pass(void);")
        lines.append(f"MLIR_CAPI_EXPORTED void mlirRegisterTransforms{name}Pass(void);")
    return "\n".join([*lines, "#endif", ""])


def _link(path: pathlib.Path, target: pathlib.Path) -> None:
    if path.is_symlink() and os.readlink(path) == str(target):
        return
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _write(path: pathlib.Path, text: str) -> None:
    # Unchanged files keep their time, or cargo would build again what reads them.
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
