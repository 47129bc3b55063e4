"""Random programs on the platform under test and on XLA:CPU, compared.

    python scripts/fuzz --seconds 600                 # random seeds
    python scripts/fuzz --seed 7 --programs 100       # seeds 7 to 106
    python scripts/fuzz --replay tests/data/fuzz/*.py # repros; a number is a seed

Each finding goes, minimised, to a file of its own that shows it: `python FILE`. 1 if there was one.
"""

from __future__ import annotations

import argparse
import itertools
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (sys.path[0], os.environ.get("PYTHONPATH"))))

from fuzz.campaign import FINDINGS, Campaign  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="the first seed; by default the time's")
    parser.add_argument("--programs", type=int, help="how many seeds, whatever the time")
    parser.add_argument("--x64", action=argparse.BooleanOptionalAction, help="64-bit types in all programs, or in none")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--findings", type=pathlib.Path, default=pathlib.Path("target/fuzz"), help="folder of the repros")
    parser.add_argument("--replay", nargs="+", metavar="FILE|SEED")
    parser.add_argument("--minimise", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--fault", help="a function of jax.lax to make wrong on purpose, for the fuzzer's own test")
    options = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "mps,cpu"
    if options.replay:
        return replay(options.replay, options)
    first = options.seed if options.seed is not None else time.time_ns() % 2**40
    seeds = itertools.count(first) if options.programs is None else iter(range(first, first + options.programs))
    deadline = time.monotonic() + options.seconds if options.programs is None else float("inf")
    print(f"seeds from {first}", flush=True)
    campaign = Campaign(options.findings, options.x64, options.fault, options.minimise)
    threads = [threading.Thread(target=campaign.work, args=(seeds, deadline)) for _ in range(options.jobs)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        campaign.stop.set()
        for thread in threads:
            thread.join()
    print(campaign.summary())
    for path in campaign.files:
        print(f"finding: {path}")
    return bool(campaign.files)


def replay(what: list[str], options: argparse.Namespace) -> int:
    from fuzz.pool import Worker

    worker, bad = Worker(), 0
    try:
        for one in what:
            if one.isdecimal():
                answer = worker.ask(seed=int(one), x64=options.x64, fault=options.fault)
            else:
                answer = worker.ask(text=pathlib.Path(one).read_text(), fault=options.fault)
            bad += answer["status"] in FINDINGS
            print(f"{one}: {answer['status']} {answer['detail']}", flush=True)
    finally:
        worker.stop()
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
