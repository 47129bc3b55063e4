"""Seeds to workers, findings to files."""

from __future__ import annotations

import collections
import pathlib
import threading
import time
from typing import Any

from fuzz.pool import FINDINGS, Worker


class Campaign:
    """What the threads share."""

    def __init__(self, folder: pathlib.Path, x64: bool | None, fault: str | None, minimise: bool) -> None:
        self.folder, self.x64, self.fault, self.minimise = folder, x64, fault, minimise
        self.lock, self.stop = threading.Lock(), threading.Event()
        self.counts: collections.Counter[str] = collections.Counter()
        self.steps: collections.Counter[str] = collections.Counter()
        self.files: list[pathlib.Path] = []
        self.said = time.monotonic()

    def work(self, seeds: Any, deadline: float) -> None:
        worker = Worker()
        try:
            while time.monotonic() < deadline and not self.stop.is_set():
                with self.lock:
                    seed = next(seeds, None)
                if seed is None:
                    return
                answer = worker.ask(seed=seed, x64=self.x64, fault=self.fault)
                self.record(worker, seed, answer)
        finally:
            worker.stop()

    def record(self, worker: Worker, seed: int, answer: dict[str, Any]) -> None:
        status = answer["status"]
        if status in ("crash", "hang") and answer["phase"] == "cpu":
            status = f"{status} of XLA:CPU"
            print(f"{status}: seed {seed}: {answer['detail']}", flush=True)
        with self.lock:
            self.counts[status] += 1
            self.steps.update(answer.get("steps", ()))
            if time.monotonic() > self.said + 60:
                self.said = time.monotonic()
                print(self.summary(), flush=True)
        if status in FINDINGS:
            self.keep(worker, seed, answer)

    def keep(self, worker: Worker, seed: int, answer: dict[str, Any]) -> None:
        from fuzz.minimise import minimise, worker_judge
        from fuzz.program import read

        text = answer.get("text") or worker.ask(seed=seed, x64=self.x64, generate=True)["text"]
        program, detail = read(text), answer["detail"]
        length = len(program)
        if self.minimise:
            program, detail = minimise(program, answer, worker_judge(worker, self.fault))
        headline = f"{answer['status']} of seed {seed}, {len(program)} of {length} steps"
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{answer['status']}_{seed}.py"
        path.write_text(program.write(headline, detail))
        with self.lock:
            self.files.append(path)
        print(f"FINDING {path}: {headline}\n  {detail}\n{program.function_source()}", flush=True)

    def summary(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self.counts.most_common())
        return f"{sum(self.counts.values())} programs: {counts}"
