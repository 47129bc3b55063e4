#!/usr/bin/env python3
"""Runs JAX's own test-suite on a platform and says which part of it passes.

The top-level tests of the release that is installed, one process for each file; a file that
crashes or runs out of time counts as failed in all of its cases; skips are JAX's own.
The pass rate is passed / (passed + failed + errors).

    scripts/run_jax_tests.py --jax-source ~/jax-0.10.2 --cases 1 lax_test 'lax_numpy*'
    scripts/run_jax_tests.py --triage build/jax-tests/results.json
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from jax_tests import manifest, results, sources, triage  # noqa: E402

REGULAR_STATUS = {0, 1, 2, 5}

PROBE = """
import jax
device = jax.devices()[0]
print("device:", jax.__version__, device.platform, len(jax.devices()), device.device_kind, sep="|")
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("files", nargs="*", help="names or patterns of test files (default: all)")
    add("--jax-source", type=pathlib.Path, help="a checkout of the release (default: download it)")
    add("--platforms", default="mps,cpu", help="JAX_PLATFORMS of the tests (default: mps,cpu)")
    add("--label", help="what the tests take the device for: mps, gpu … (default: the platform)")
    add("--cases", type=int, default=10, help="JAX_NUM_GENERATED_CASES (default: 10)")
    add("--jobs", type=int, default=1, help="files at a time (default: 1)")
    add("--timeout", type=float, default=3600, help="seconds for one file (default: 3600)")
    add("-k", dest="keyword", help="only the cases that match this pytest expression")
    add("--out", type=pathlib.Path, default=pathlib.Path("build/jax-tests"), help="where results go")
    add("--expected", type=pathlib.Path, default=HERE / "jax_tests/expected", help="the manifests")
    add("--update-manifest", action="store_true", help="make the failures of this run the expected ones")
    add(
        "--triage",
        nargs="?",
        const=True,
        metavar="RESULTS",
        help="print classes of failures, of this run or of an earlier results.json",
    )
    add("--examples", type=int, default=3, help="tests named for each class (default: 3)")
    return parser.parse_args()


def environment(options: argparse.Namespace) -> dict[str, str]:
    environment = dict(os.environ)
    environment.pop("JAX_ENABLE_X64", None)
    environment["JAX_PLATFORMS"] = options.platforms
    environment["JAX_NUM_GENERATED_CASES"] = str(options.cases)
    return environment


def probe(options: argparse.Namespace) -> dict[str, str]:
    """The device that the tests will get; asked in another process, since it might crash."""
    answer = subprocess.run(
        [sys.executable, "-c", PROBE], env=environment(options), capture_output=True, text=True
    )
    line = next((one for one in answer.stdout.splitlines() if one.startswith("device:")), None)
    if answer.returncode or line is None:
        last = (answer.stderr.strip().splitlines() or ["no message"])[-1]
        raise sources.SourceError(f"JAX_PLATFORMS={options.platforms} gives no device: {last}")
    _, version, platform, count, kind = line.split("|")
    return {"jax": version, "platform": platform, "devices": count, "device_kind": kind}


def backend_of(device: dict[str, str]) -> str:
    """Which manifest is meant: what is behind the platform."""
    if device["platform"] != "mps":
        return device["platform"]
    kind = device["device_kind"]
    return "mlx-cuda" if "CUDA" in kind else "mlx-cpu" if "CPU" in kind else "mlx-metal"


class Suite:
    """Runs the files, each in a process of its own."""

    def __init__(self, options: argparse.Namespace, source: pathlib.Path) -> None:
        self.options, self.source = options, source
        self.folder = options.out.resolve() / "files"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.running: dict[str, float] = {}
        # Processes that tests spawn import the module of the test by name.
        self.importable = options.out.resolve() / "import"
        self.importable.mkdir(exist_ok=True)
        tests = self.importable / "tests"
        tests.unlink(missing_ok=True)
        tests.symlink_to(source / "tests", target_is_directory=True)

    def lines_path(self, name: str) -> pathlib.Path:
        return self.folder / f"{name}.jsonl"

    def command(self, path: pathlib.Path, *extra: str) -> list[str]:
        command = [sys.executable, "-m", "pytest", str(path), "-p", "jax_tests.suite_plugin"]
        # Settings of the release; its folder must not become a place to import jax from.
        command += ["-c", str(self.source / "pyproject.toml"), "--rootdir", str(self.source)]
        command += ["-p", "no:cacheprovider", "-q", "--tb=short", "--color=no", *extra]
        # Tests that capture what the process prints must be the only ones to do so.
        command.append("-s")
        if self.options.keyword:
            command += ["-k", self.options.keyword]
        return command

    def environment(self, lines: pathlib.Path) -> dict[str, str]:
        paths = [str(HERE), str(self.importable), os.environ.get("PYTHONPATH", "")]
        return environment(self.options) | {
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
            "JAX_SUITE_SOURCE": str(self.source),
            "JAX_SUITE_LABEL": self.options.label,
            "JAX_SUITE_RESULTS": str(lines),
        }

    def collect(self, path: pathlib.Path) -> list[str]:
        """The cases of a file whose own process ended before it had collected them."""
        lines = self.folder / f"{path.stem}.collect.jsonl"
        variables = self.environment(lines) | {"JAX_PLATFORMS": "cpu"}
        subprocess.run(
            self.command(path, "--collect-only"), env=variables, cwd=self.folder, timeout=600,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        return results.gather(results.read_events(lines))[0]

    def run(self, path: pathlib.Path) -> results.FileResult:
        lines = self.lines_path(path.stem)
        lines.unlink(missing_ok=True)
        started = time.monotonic()
        self.running[path.stem] = started
        broken = ""
        with (self.folder / f"{path.stem}.log").open("w") as log:
            process = subprocess.Popen(
                self.command(path), env=self.environment(lines), cwd=self.folder,
                stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            try:
                status = process.wait(self.options.timeout)
            except subprocess.TimeoutExpired:
                broken = f"timeout after {self.options.timeout:.0f} s"
                os.killpg(process.pid, signal.SIGKILL)
                status = process.wait()
        seconds = time.monotonic() - started
        del self.running[path.stem]
        events = results.read_events(lines)
        usage = results.usage_of(events)
        collected, outcomes, running, finished = results.gather(events)
        if not broken and (status not in REGULAR_STATUS or not finished):
            broken = f"crash ({signal.Signals(-status).name if status < 0 else f'status {status}'})"
        if not broken:
            return results.FileResult(path.stem, outcomes, seconds, usage=usage)
        if running:
            broken += f" in {running.split('::', 1)[-1]}"
        tests = collected or self.collect(path) or [f"tests/{path.name}"]
        failed = [results.Result(test, "failed", 0.0, results.BROKEN + broken) for test in tests]
        return results.FileResult(path.stem, failed, seconds, broken)

    def progress(self) -> str:
        parts = []
        for name, started in sorted(self.running.items()):
            events = results.read_events(self.lines_path(name))
            total = next((len(one["tests"]) for one in events if one["event"] == "collected"), 0)
            done = sum(one["event"] == "result" for one in events)
            parts.append(f"{name} {done}/{total} ({time.monotonic() - started:.0f} s)")
        return ", ".join(parts)

    def run_all(self, paths: list[pathlib.Path]) -> list[results.FileResult]:
        done: list[results.FileResult] = []
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            waiting = {pool.submit(self.run, path) for path in paths}
            while waiting:
                ready, waiting = concurrent.futures.wait(
                    waiting, timeout=60, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in ready:
                    one = future.result()
                    done.append(one)
                    counts = " ".join(f"{one.count(outcome)} {outcome}," for outcome in results.OUTCOMES)
                    rate = results.percent([one.count(outcome) for outcome in results.OUTCOMES])
                    print(
                        f"[{len(done)}/{len(paths)}] {one.file}: {counts} {rate} %,"
                        f" {one.seconds:.0f} s {one.broken}".rstrip(),
                        flush=True,
                    )
                if not ready and self.running:
                    print(f"          running: {self.progress()}", flush=True)
        return done


def main() -> int:
    options = arguments()
    if isinstance(options.triage, str) and not pathlib.Path(options.triage).is_file():
        options.files.insert(0, options.triage)  # `--triage` before the name of a test file
        options.triage = True
    if isinstance(options.triage, str):
        print(triage.report(results.read_json(pathlib.Path(options.triage))[1], options.examples))
        return 0
    if missing := sources.missing_distributions():
        print(f"missing, so that cases would vanish: pip install {' '.join(missing)}", file=sys.stderr)
        return 2
    try:
        device = probe(options)
        source = sources.checked(options.jax_source or sources.download(device["jax"]), device["jax"])
        paths = sources.test_files(source, options.files)
    except sources.SourceError as error:
        print(error, file=sys.stderr)
        return 2
    options.label = options.label or device["platform"]
    backend = backend_of(device)
    settings = device | {
        "backend": backend,
        "platforms": options.platforms,
        "label": options.label,
        "cases": options.cases,
        "python": sys.version.split()[0],
        "keyword": options.keyword,
    }
    print(
        f"jax {device['jax']} on {device['platform']} ({device['device_kind']}), label {options.label},"
        f" {options.cases} generated cases, {len(paths)} files",
        flush=True,
    )
    files = Suite(options, source).run_all(paths)
    results.write_json(options.out / "results.json", settings, files)
    table = results.table(files)
    (options.out / "results.md").write_text(table + "\n")
    print(f"\n{table}\n")
    if options.triage:
        print(triage.report(files, options.examples), end="\n\n")

    path = manifest.path_of(options.expected, backend, device["jax"], options.label, options.cases)
    groups = manifest.load(path)
    verdict = manifest.compare(groups, files, whole_files=not options.keyword)
    if options.update_manifest:
        manifest.save(path, manifest.updated(groups, files, verdict))
        verdict = manifest.compare(manifest.load(path), files, whole_files=not options.keyword)
        print(f"wrote {path}")
    if text := verdict.text():
        print(text)
    return int(verdict.red)


if __name__ == "__main__":
    sys.exit(main())
