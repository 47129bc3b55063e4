"""Makes the programs of benches/dispatch.rs: COUNT arrays of SIZE numbers, one added to each.

python make.py    # written with jax 0.10.2
"""

from pathlib import Path

from jax._src.interpreters import mlir
from jax._src.lib import _jax
from jaxlib.mlir import ir

TARGET = "1.13.0"

for count, size in ((1, 16), (1, 1000), (100, 1000)):
    array = f"tensor<{size}xf32>"
    arguments = ", ".join(f"%a{index}: {array}" for index in range(count))
    body = [f"%one = stablehlo.constant dense<1.0> : {array}"]
    body += [f"%r{index} = stablehlo.add %a{index}, %one : {array}" for index in range(count)]
    results = ", ".join(f"%r{index}" for index in range(count))
    types = ", ".join([array] * count)
    text = f"func.func @main({arguments}) -> ({types}) {{\n{chr(10).join(body)}\nreturn {results} : {types}\n}}"
    with mlir.make_ir_context():
        artifact = _jax.mlir.serialize_portable_artifact(ir.Module.parse(text), TARGET, True)
    (Path(__file__).parent / f"add_{count}_of_{size}.mlirbc").write_bytes(artifact)
