"""Benchmarks of jax-mps against hand-written mlx.core and XLA:CPU, in one process.

    python benches/run.py                      # all cases, table and bars
    python benches/run.py --only conv --only scan
    python benches/run.py --readme             # and write the table into README.md

Exit status 1 when an arm failed; with --check also when a bar does not hold.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import report
from harness import ARMS, CPU, MLX, OURS, JaxArm, MlxArm, run_case


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="TEXT", help="run the cases whose name contains the text")
    parser.add_argument("--arms", default=",".join(ARMS), help="arms to run, separated by commas (default: %(default)s)")
    parser.add_argument(
        "--json",
        type=pathlib.Path,
        default=report.ROOT / "target" / "bench.json",
        metavar="FILE",
        help="where the numbers go (default: %(default)s)",
    )
    parser.add_argument("--readme", action="store_true", help="write the table between the markers of README.md")
    parser.add_argument("--check", action="store_true", help="exit status 1 also when a bar does not hold")
    parser.add_argument(
        "--mlx-first",
        action="store_true",
        help="import mlx.core before the plugin is loaded: on Linux, MLX then keeps its own slow BLAS",
    )
    arguments = parser.parse_args()
    arguments.arms = arguments.arms.split(",")
    if unknown := set(arguments.arms) - set(ARMS):
        parser.error(f"unknown arms: {', '.join(sorted(unknown))}")
    return arguments


def main():
    arguments = parse_arguments()
    if arguments.mlx_first:
        import mlx.core  # noqa: F401

    import jax

    ours = OURS in arguments.arms
    jax.config.update("jax_platforms", "mps,cpu" if ours else "cpu")
    # The plugin before mlx.core: on Linux the BLAS that it exports then serves both arms.
    devices = {OURS: jax.devices("mps")[0]} if ours else {}
    devices[CPU] = jax.devices("cpu")[0]

    import mlx.core as mx

    if os.environ.get("JAX_MPS_DEVICE") == "cpu":
        mx.set_default_device(mx.Device(mx.cpu))

    import compile_time
    import kernels
    import training

    arms = {OURS: lambda: JaxArm(devices[OURS]), MLX: MlxArm, CPU: lambda: JaxArm(devices[CPU])}
    arms = {arm: arms[arm]() for arm in ARMS if arm in arguments.arms}
    machine = report.describe_machine(devices)

    jobs = [(case.name, lambda case=case: run_case(case, arms)) for case in kernels.cases(mx) + training.cases(mx)]
    jobs += compile_time.results({arm: device for arm, device in devices.items() if arm in arms})
    if arguments.only:
        jobs = [job for job in jobs if any(text in job[0] for text in arguments.only)]
        if not jobs:
            raise SystemExit("no case has such a name")

    results = []
    started = time.perf_counter()
    for index, (name, job) in enumerate(jobs):
        print(f"[{index + 1}/{len(jobs)}] {name}", file=sys.stderr, flush=True)
        results.append(job())
        for failure in report.failures(results[-1:]):
            print(f"    failed: {failure}", file=sys.stderr, flush=True)
    machine["seconds"] = round(time.perf_counter() - started, 1)
    machine["load_average_after"] = os.getloadavg()

    text = report.summary(machine, results)
    print(text)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report.as_json(machine, results), indent=1) + "\n")
    print(f"\n{machine['seconds']} s; numbers in {arguments.json}")
    if arguments.readme:
        if arguments.only or set(arguments.arms) != set(ARMS):
            raise SystemExit("--readme wants a full run: leave out --only and --arms")
        report.write_readme(text)
    held = all(holds for _, holds in report.bars(results))
    return 1 if report.failures(results) or (arguments.check and not held) else 0


if __name__ == "__main__":
    sys.exit(main())
