"""Worker processes, watched: a crash or a hang of one is an outcome like any other."""

from __future__ import annotations

import json
import pathlib
import queue
import subprocess
import sys
import threading
from typing import Any

FINDINGS = ("value", "type", "error", "accepted", "crash", "hang")
"""The outcomes that say that something is wrong."""
START_SECONDS = 180
REFERENCE = ("noise", "alternatives", "documented")
"""Phases in which only XLA:CPU works."""
PATIENCE = 5
"""How many times as long these may take: XLA's compiler is slow on programs with noise in them."""
LIFE = 2000
"""Programs after which a worker is replaced."""


class Worker:
    """One process at a time; a new one after each crash or hang."""

    def __init__(self, seconds: float = 120.0) -> None:
        self.seconds, self.process, self.served = seconds, None, 0

    def start(self) -> None:
        command = [sys.executable, "-m", "fuzz.worker"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=pathlib.Path(__file__).resolve().parents[1],
        )
        self.answers: queue.Queue[str | None] = queue.Queue()
        self.errors: list[str] = []
        self.served = 0
        for stream, keep in ((self.process.stdout, self.answers.put), (self.process.stderr, self.remember)):
            threading.Thread(target=self._pump, args=(stream, keep), daemon=True).start()
        first = self._next(START_SECONDS)
        if not first or "ready" not in first:
            raise RuntimeError(f"the worker did not start:\n{''.join(self.errors[-40:])}")

    def _pump(self, stream: Any, keep: Any) -> None:
        for line in stream:
            keep(line)
        if stream is self.process.stdout:
            self.answers.put(None)

    def remember(self, line: str) -> None:
        self.errors.append(line)
        del self.errors[:-200]

    def _next(self, seconds: float) -> dict[str, Any] | None:
        """An answer; None if the process ended. Raises `queue.Empty` after the time."""
        line = self.answers.get(timeout=seconds)
        return None if line is None else json.loads(line)

    def ask(self, **request: Any) -> dict[str, Any]:
        """The worker's answer, or one with the status ``crash`` or ``hang`` and the phase in which it came."""
        if self.process is None or self.served >= LIFE:
            self.stop()
            self.start()
        self.served += 1
        phase = "generate"
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            while (answer := self._next(self.seconds * (PATIENCE if phase in REFERENCE else 1))) and "phase" in answer:
                phase = answer["phase"]
        except queue.Empty:
            self.stop()
            return {"status": "hang", "phase": phase, "detail": f"more than {self.seconds:g} s in {phase}"}
        except BrokenPipeError:
            answer = None
        if answer is None:
            code = self.process.wait()
            detail = f"exit status {code} in {phase}\n{''.join(self.errors[-12:])}"
            self.stop()
            return {"status": "crash", "phase": phase, "detail": detail}
        return answer

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
                try:
                    stream.close()
                except OSError:
                    pass
            self.process = None
