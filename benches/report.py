"""The table, the bars and the JSON of a benchmark run."""

import datetime
import importlib.metadata
import math
import os
import pathlib
import platform
import subprocess

from harness import CPU, MLX, OURS, SCAN_STEPS, scan_name

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
HEADINGS = {OURS: "jax-mps", MLX: "mlx.core", CPU: "XLA:CPU"}

GEOMETRIC_MEAN_BAR = 1.3
CALL_BAR = 1.5
COMPILE_BAR = 5.0
GROWTH_BAR = 1.5


def _command(*words):
    try:
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _processor():
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return _command("sysctl", "-n", "machdep.cpu.brand_string") or platform.processor() or platform.machine()


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe_machine(devices):
    """What the numbers depend on: machine, date, versions, settings."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "device_kinds": {arm: device.device_kind for arm, device in devices.items()},
        "python": platform.python_version(),
        "versions": {
            name: _version(name)
            for name in ("jax-mps", "jax", "jaxlib", "mlx", "mlx-cpu", "mlx-metal", "mlx-cuda-13", "optax")
            if _version(name)
        },
        "commit": _command("git", "rev-parse", "--short", "HEAD"),
        "modified": bool(_command("git", "status", "--porcelain", "--untracked-files=no")),
        "settings": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(("JAX_", "MLX_", "XLA_")) or name == "RAYON_NUM_THREADS"
        },
        "load_average_before": os.getloadavg(),
    }


def geometric_mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _growth(by_name, arm):
    """How many times as long the longer of the stacked scans takes; None where one was not timed."""
    scans = [by_name[name].timings.get(arm) for name in map(scan_name, SCAN_STEPS) if name in by_name]
    if len(scans) < len(SCAN_STEPS) or not all(timing and timing.samples for timing in scans):
        return None
    return scans[1].median / scans[0].median


def bars(results):
    """The bars as (text, whether it holds) for the results of a full run."""
    by_name = {result.name: result for result in results}
    kernels = [result for result in results if result.kind == "kernel"]
    ratios = [result.ratio(OURS, MLX) for result in kernels]
    measured = [ratio for ratio in ratios if ratio is not None]
    found = []
    if measured:
        mean = geometric_mean(measured)
        text = f"geometric mean against mlx.core over {len(measured)} of {len(ratios)} cases: {mean:.2f}"
        complete = len(measured) == len(ratios)
        found.append((f"{text} (bar: <= {GEOMETRIC_MEAN_BAR}, all cases)", complete and mean <= GEOMETRIC_MEAN_BAR))
    for name in ("call, 1 in and out of 16", "call, 1 in and out of 16, not waiting"):
        ratio = by_name[name].ratio(OURS, CPU) if name in by_name else None
        if ratio is not None:
            found.append((f"{name}: {ratio:.2f} of XLA:CPU (bar: <= {CALL_BAR})", ratio <= CALL_BAR))
    # By hand for mlx.core each row is written once; what caches and fresh memory cost grows there alike.
    growths = [_growth(by_name, arm) for arm in (OURS, MLX)]
    if None not in growths:
        ours, theirs = growths
        text = (
            f"stacked scan: {ours:.1f} times the time for {SCAN_STEPS[1] / SCAN_STEPS[0]:g} times the steps,"
            f" {theirs:.1f} by hand for mlx.core (bar: <= {GROWTH_BAR} times that)"
        )
        found.append((text, ours <= GROWTH_BAR * theirs))
    ratio = by_name["compile, one op"].ratio(CPU, OURS) if "compile, one op" in by_name else None
    if ratio is not None:
        found.append((f"compile, one op: {ratio:.1f} times faster than XLA:CPU (bar: >= {COMPILE_BAR:g})", ratio >= COMPILE_BAR))
    return found


def _duration(seconds):
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _cell(timing):
    if timing is None:
        return "–"
    if timing.error is not None:
        return "failed"
    spread = f"{_duration(timing.quantile(0.1))} – {_duration(timing.quantile(0.9))}"
    return f"{_duration(timing.median)} ({spread})"


def _ratio(value):
    return "–" if value is None else f"{value:.2f}"


def table(results):
    """A Markdown table: median (10 % – 90 % quantile) of each arm, and our share of theirs."""
    rows = [["case", *HEADINGS.values(), "of mlx.core", "of XLA:CPU"]]
    for result in results:
        cells = [_cell(result.timings.get(arm)) for arm in HEADINGS]
        rows.append([result.name, *cells, _ratio(result.ratio(OURS, MLX)), _ratio(result.ratio(OURS, CPU))])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def failures(results):
    return [
        f"{result.name}: {HEADINGS[arm]}: {timing.error}"
        for result in results
        for arm, timing in result.timings.items()
        if timing.error is not None
    ]


def summary(machine, results):
    """Markdown of the whole run: stamp, table, failures, bars."""
    kinds = ", ".join(f"{HEADINGS[arm]} on {kind}" for arm, kind in machine["device_kinds"].items())
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; {machine['date'][:10]}; {kinds}; "
        f"Python {machine['python']}, {versions}"
        + (f"; commit {machine['commit']}" if machine["commit"] else "")
        + (" with changes" if machine["modified"] else "")
        + ".",
        "Median of a call (10 % – 90 % quantile); the ratios are our time over theirs, median over the rounds.",
        "",
        table(results),
        "",
    ]
    failed = failures(results)
    if failed:
        lines += ["Failed:", "", *(f"- {failure}" for failure in failed), ""]
    lines += [f"- {text}: {'holds' if holds else 'DOES NOT HOLD'}" for text, holds in bars(results)]
    return "\n".join(lines)


def as_json(machine, results):
    return {
        "machine": machine,
        "results": [
            {
                "name": result.name,
                "kind": result.kind,
                "arms": {arm: timing.as_json() for arm, timing in result.timings.items()},
                "ours_over_mlx": result.ratio(OURS, MLX),
                "ours_over_cpu": result.ratio(OURS, CPU),
            }
            for result in results
        ],
        "bars": [{"bar": text, "holds": holds} for text, holds in bars(results)],
    }


def write_readme(text):
    """Puts the text between the markers of README.md."""
    path = ROOT / "README.md"
    content = path.read_text()
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} lacks the markers {BEGIN} and {END}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}")
