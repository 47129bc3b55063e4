"""Makes the reader's test data with jaxlib (written with jax 0.10.2).

    python make.py [--texts FOLDER]

Writes all_ops.mlirbc (every op form of VHLO 1.13, and constants of every element type) from all_ops.mlir,
version_1_15.mlirbc (the op forms that are younger) from version_1_15.mlir, older/VERSION.mlirbc of what of all_ops.mlir
older versions can say, and beside them, for these files and for each file of ../stablehlo-1.13, NAME.mlir.xz: jaxlib's
own reading of the very bytes, as MLIR's generic text, with all ops upgraded to their newest forms. With --texts only such
texts, beside each file of FOLDER.
"""

import lzma
import re
import sys
from pathlib import Path

from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import stablehlo

HERE = Path(__file__).parent
TARGETS = {"all_ops": "1.13.0", "version_1_15": "1.15.0"}
# The versions at both sides of each change of an op form, of the container and of how it holds properties
# (openxla/stablehlo, stablehlo/dialect/VhloDialect.td): 0.9.0 is the oldest that can be written.
OLDER = ["0.9.0", "0.10.0", "0.12.0", "0.14.0", "0.15.0", "0.19.0", "0.20.0", "1.0.0", "1.1.0", "1.4.0", "1.5.0", "1.6.0"]
OLDER += ["1.8.0", "1.9.0", "1.10.0", "1.11.0", "1.12.0", "1.14.0"]


def only(text, version):
    """The text without the ops that stand behind a comment `// Since` of a version after this one."""

    def number(version):
        return tuple(map(int, version.split(".")))

    kept, since, keeps = [], "0.0.0", True
    for line in text.splitlines():
        if comment := re.fullmatch(r"    // Since (\S+)\.", line):
            since = comment[1]
            continue
        if re.match(r"    [^ }^]|  [^ ]", line):
            # An op begins, or a function ends.
            keeps, since = number(since) <= number(version), "0.0.0"
        if keeps:
            kept.append(line)
    return "\n".join(kept)


def keep_results(module):
    """Uses all results at the end of each function: serialization drops dead ops."""
    for function in module.body.operations:
        ops = list(function.regions[0].blocks[0].operations)
        unusable = ("tuple", "!stablehlo.future")
        results = [result for op in ops for result in op.results if not str(result.type).startswith(unusable)]
        if results:
            with ir.InsertionPoint(ops[-1]), ir.Location.unknown():
                stablehlo.custom_call([], results, "keep", has_side_effect=True)


def write_bytes(text, target, version):
    with mlir.make_ir_context():
        module = ir.Module.parse(text)
        keep_results(module)
        module.operation.verify()
        target.write_bytes(_jax.mlir.serialize_portable_artifact(module, version, True))


def write_text(source, folder):
    context = mlir.make_ir_context()
    with context:
        module = _jax.mlir.deserialize_portable_artifact(source.read_bytes(), context)
        text = module.operation.get_asm(print_generic_op_form=True, large_elements_limit=None)
    target = folder / f"{source.stem}.mlir.xz"
    target.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


if sys.argv[1:2] == ["--texts"]:
    folder = Path(sys.argv[2])
    for artifact in sorted(folder.glob("*.mlirbc")):
        write_text(artifact, folder)
else:
    for name, version in TARGETS.items():
        write_bytes((HERE / f"{name}.mlir").read_text(), HERE / f"{name}.mlirbc", version)
    for version in OLDER:
        artifact = HERE / "older" / f"{version}.mlirbc"
        write_bytes(only((HERE / "all_ops.mlir").read_text(), version), artifact, version)
        write_text(artifact, artifact.parent)
    made = [HERE / f"{name}.mlirbc" for name in TARGETS]
    for artifact in [*made, *sorted((HERE.parent / "stablehlo-1.13").glob("*.mlirbc"))]:
        write_text(artifact, HERE)
