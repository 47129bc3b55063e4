"""The process in which programs run. It answers requests, one JSON object a line, and says what it is about to do.

Requests: ``{"seed": n, "x64": null}`` or ``{"text": repro}``; with ``"generate": true`` the program is only made.
Answers: ``{"phase": "cpu"}`` and so on, then ``{"status", "detail", "text"}``.
"""

from __future__ import annotations

import json
import os
import sys
import time

CLEAR_AFTER = 60
"""Programs between clearing JAX's caches, which would fill the memory."""


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints

    def answer(**values: object) -> None:
        print(json.dumps(values), file=answers, flush=True)

    os.environ.setdefault("JAX_PLATFORMS", "mps,cpu")
    import jax

    from fuzz import generate, judge, program

    jax.devices(os.environ["JAX_MPS_TEST_PLATFORM"])
    answer(ready=True)
    for count, line in enumerate(sys.stdin):
        request = json.loads(line)
        began = time.monotonic()
        if "text" in request:
            made = program.read(request["text"])
        else:
            made = generate.generate(request["seed"], request.get("x64"))
        text = made.write("program", "")
        if request.get("generate"):
            answer(status="generated", detail="", text=text)
            continue
        verdict = judge.judge(made, request.get("fault"), lambda name: answer(phase=name))
        steps = [step.expression.split("(")[0].split(".")[-1] for step in made.steps]
        answer(status=verdict.status, detail=verdict.detail, text=text, seconds=time.monotonic() - began, steps=steps)
        if count % CLEAR_AFTER == CLEAR_AFTER - 1:
            jax.clear_caches()


if __name__ == "__main__":
    main()
