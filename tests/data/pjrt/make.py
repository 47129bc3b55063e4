"""Makes the programs of the tests of src/pjrt: each *.mlir as jaxlib serializes it, at StableHLO 1.13.0; older.mlir also at
0.9.0.

python make.py    # written with jax 0.10.2
"""

from pathlib import Path

from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jaxlib.mlir import ir



def write(source, target, version):
    with mlir.make_ir_context():
        module = ir.Module.parse(source.read_text())
        artifact = _jax.mlir.serialize_portable_artifact(module, version, True)
    target.write_bytes(artifact)


for source in sorted(Path(__file__).parent.glob("*.mlir")):
    write(source, source.with_suffix(".mlirbc"), "1.13.0")
    if source.stem == "older":
        write(source, source.with_name("older-0.9.0.mlirbc"), "0.9.0")
