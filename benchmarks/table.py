#!/usr/bin/env python3
"""Prints what the benchmarks measured as one table, and draws it.

    table.py FOLDER [--json FILE] [--plots docs/benchmarks]

FOLDER has what benchmarks/run leaves there: passes.json, trajectories.json, scaling.json, rivals*.json, digits.json; each may be
missing. Times are over the *floor*, the products of matrices that the computation cannot do without at the speed of the faster of
OpenBLAS and oneDNN, and over the fastest *rival*, the same computation as users of the libraries write it.
"""

import argparse
import json
import math
import pathlib
import re
import statistics
import sys

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
# Products in the floor of a computation: scores X A^T and sums W A.
FLOORS = {"full_pass": (1, 2), "denoiser": (1, 1), "vjp": (2, 1), "tmpd": (2, 2)}
TITLES = {"full_pass": "full pass (prior and posterior mean)", "denoiser": "denoiser (one mean)", "vjp": "C v, the mean given",
          "tmpd": "guided step of TMPD (mean, A C A^T, C v)"}


def read(path):
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        sys.exit(f"{path}: not JSON: {error}")


# ---- passes ----

def pass_times(report):
    """{(d, n): {(family, who, t): seconds or the reason why there is none}}; medians where there are repetitions."""
    cells, aggregated = {}, set()
    for entry in report["benchmarks"]:
        if entry.get("run_type") == "aggregate" and entry.get("aggregate_name") != "median":
            continue
        match = re.match(r"(\w+)/(\w+)/d:(\d+)/n:(\d+)(?:/t:([\d.e+-]+))?(?:/|$|_)", entry["name"])
        if not match:
            continue
        family, who, dim, count, t = match.groups()
        key, shape = (family, who, float(t) if t else None), (int(dim), int(count))
        row = cells.setdefault(shape, {})
        if entry.get("error_occurred"):
            row[key] = entry.get("error_message", "failed")
        elif entry.get("run_type") == "aggregate":
            row[key] = entry["real_time"] * UNITS[entry["time_unit"]]
            aggregated.add((shape, key))
        elif (shape, key) not in aggregated:
            row[key] = entry["real_time"] * UNITS[entry["time_unit"]]
    return cells


def best(row, family):
    return min((s for (f, _, _), s in row.items() if f == family and isinstance(s, float)), default=math.nan)


def floor_of(row, family):
    scores, sums = FLOORS[family]
    one, two = best(row, "sgemm_sums"), best(row, "sgemm_sums_of_two")
    per_pair = two if not two >= 2 * one else 2 * one
    return scores * best(row, "sgemm_scores") + (sums // 2) * per_pair + (sums % 2) * one


def milliseconds(seconds):
    return "-" if isinstance(seconds, str) or math.isnan(seconds) else f"{1e3 * seconds:.4g}"


def ratio(numerator, denominator):
    numbers = isinstance(numerator, float) and isinstance(denominator, float)
    return f"{numerator / denominator:.3g}" if numbers and denominator > 0 and not math.isnan(numerator / denominator) else "-"


def print_columns(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths)))


def print_passes(report):
    cells = pass_times(report)
    reasons = set()
    context = report["context"]
    print(f"\nOne call, {context.get('particles', '?')} particles, tolerance {context.get('tolerance', '?')}; milliseconds. x floor, x rival: "
          "time over that of the floor, of the textbook on OpenBLAS (float32)")
    for family, title in TITLES.items():
        rows = [["d", "N", "floor", "textbook", "x floor", "t", "fslens", "x floor", "x rival"]]
        for (dim, count), row in sorted(cells.items()):
            floor, rival = floor_of(row, family), row.get((family, "textbook", None), math.nan)
            ours = sorted((t, who, s) for (f, who, t), s in row.items() if f == family and who.startswith("fslens"))
            for t, who, seconds in ours:
                if isinstance(seconds, str):
                    reasons.add(f"{family} d = {dim}, N = {count}, t = {t}: {seconds}")
                mark = "*" if who == "fslens_exact_scan" else ""
                rows.append([str(dim), str(count), milliseconds(floor), milliseconds(rival), ratio(rival, floor), f"{t:g}{mark}",
                             milliseconds(seconds), ratio(seconds, floor), ratio(seconds, rival)])
            if isinstance(rival, str):
                reasons.add(f"{family} d = {dim}, N = {count}, textbook: {rival}")
        if len(rows) > 1:
            print(f"\n{title}")
            print_columns(rows)
    if any(who == "fslens_exact_scan" for row in cells.values() for _, who, _ in row):
        print("\n  * every atom looked at (exact_scan)")
    for reason in sorted(reasons):
        print(f"  {reason}")


# ---- trajectories ----

def rival_times(run, reports):
    """[(name, seconds a step, largest error)] of a grid, the textbook first."""
    rivals = []
    if "textbook" in run:
        rivals.append(("textbook OpenBLAS", run["textbook"]["step_seconds"], run["textbook"]["largest_error"]))
    for report in reports:
        for name, library in report["libraries"].items():
            if run["spacing"] in library["runs"]:
                timed = library["runs"][run["spacing"]]
                rivals.append((f"{name} {library['version']}".strip(), timed["step_seconds"], timed["largest_error"]))
    return rivals


def print_trajectories(report, rival_reports):
    steps = report["steps"]
    print(f"\nWhole chains: Fashion-MNIST, {report['atoms']} atoms, {report['particles']} particles, {steps} steps from t = 1 to 0.01, a full pass "
          f"at each\n  ESS {report['effective_atoms']:.1f}, tolerance {report['tolerance']:g}; error: a |m - m_exact| / (s sqrt d), of fslens its bound. "
          "Rivals: single steps, times the number of steps")
    for run in report["runs"]:
        floor = run["floor"]["step_seconds"] * steps if "floor" in run else math.nan
        rivals = rival_times(run, rival_reports)
        fastest = min((seconds * steps for _, seconds, _ in rivals), default=math.nan)
        rows = [[f"{run['spacing']} grid", "seconds", "x floor", "x best rival", "error"]]
        for name, seconds, error in [("fslens", run["fslens_seconds"], run["largest_error_bound"]), ("three sgemms (floor)", floor, None)] + [
                (name, seconds * steps, error) for name, seconds, error in rivals]:
            rows.append([name, f"{seconds:.2f}", ratio(seconds, floor), ratio(seconds, fastest), "" if error is None else f"{error:.1e}"])
        print()
        print_columns(rows)
        print(f"  fslens: peak memory {run['fslens_peak_bytes'] / 1e6:.0f} MB; steps between the passes {run['integrator_seconds']:.2f} s; "
              f"{100 * statistics.fmean(run['atoms_seen']):.2f} % of the pairs seen")
    for report in rival_reports:
        if report["not_there"]:
            print(f"  not importable, left out: {', '.join(report['not_there'])}")


# ---- scaling ----

def exponent(points):
    """Least squares of log(seconds) on log(N); nan for fewer than two points."""
    logs = [(math.log(n), math.log(s)) for n, s in points]
    if len(logs) < 2:
        return math.nan
    return statistics.linear_regression(*zip(*logs)).slope


def by_time(report):
    curves = {}
    for step in report["steps"]:
        curves.setdefault(step["t"], []).append((step["atoms"], step["step_seconds"], step["atoms_seen"]))
    return {t: sorted(points) for t, points in sorted(curves.items())}


def print_scaling(report):
    curves = by_time(report)
    counts = sorted({n for points in curves.values() for n, _, _ in points})
    print(f"\nA step of a chain against N: d = {report['dim']}, {report['particles']} particles; milliseconds (share of the pairs seen)")
    rows = [["t"] + [f"N = {n}" for n in counts] + ["exponent"]]
    for t, points in curves.items():
        cells = {n: f"{1e3 * s:.4g} ({100 * seen:.3g} %)" for n, s, seen in points}
        rows.append([f"{t:g}"] + [cells.get(n, "-") for n in counts] + [f"{exponent([(n, s) for n, s, _ in points]):.2f}"])
    # Sizes grow, so the peak so far is that of the size at hand.
    peaks = {step["atoms"]: step["peak_bytes"] for step in report["steps"]}
    rows.append(["peak MB"] + [f"{peaks[n] / 1e6:.0f}" for n in counts] + [""])
    print_columns(rows)


def print_digits(report):
    ours, theirs = report["fslens_seconds"], report["numpy_seconds"]
    print(f"\ndigits-superres, dps-sigma, {report['particles']} particles, {report['steps']} steps: fslens {ours:.2f} s (the whole command), "
          f"numpy float64 {theirs:.2f} s, {ratio(theirs, ours)} times as long")


# ---- plots ----

COLOURS = ["#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#56B4E9", "#000000"]  # Okabe & Ito


def floor_line(passes, dim):
    if passes is None:
        return []
    rows = sorted((n, floor_of(row, "full_pass")) for (d, n), row in pass_times(passes).items() if d == dim)
    return [(n, s) for n, s in rows if not math.isnan(s)]


def draw_scaling(plt, report, passes, path):
    figure, axis = plt.subplots(figsize=(6, 4.2), layout="constrained")
    for colour, (t, points) in zip(COLOURS, by_time(report).items()):
        slope = exponent([(n, s) for n, s, _ in points])
        axis.plot([n for n, _, _ in points], [1e3 * s for _, s, _ in points], "o-", color=colour, label=f"t = {t:g}: N^{slope:.2f}")
    floor = floor_line(passes, report["dim"])
    if floor:
        axis.plot([n for n, _ in floor], [1e3 * s for _, s in floor], "--", color="0.5", label="three sgemms")
    axis.set(xscale="log", yscale="log", xlabel="atoms N", ylabel="milliseconds a full pass")
    axis.legend(frameon=False)
    figure.savefig(path)


def draw_trajectories(plt, report, rival_reports, path):
    figure, axes = plt.subplots(1, len(report["runs"]), figsize=(5 * len(report["runs"]), 4.2), layout="constrained", squeeze=False, sharey=True)
    for axis, run in zip(axes[0], report["runs"]):
        axis.plot(run["t"], [1e3 * s for s in run["pass_seconds"]], color=COLOURS[0], label="fslens")
        if "floor" in run:
            axis.axhline(1e3 * run["floor"]["step_seconds"], ls="--", color="0.5", label="three sgemms")
        for colour, (name, seconds, _) in zip(COLOURS[1:], rival_times(run, rival_reports)):
            axis.axhline(1e3 * seconds, color=colour, lw=1, label=name)
        axis.set(yscale="log", xlabel="diffusion time t", ylabel="milliseconds a full pass", title=f"{run['spacing']} grid")
        axis.invert_xaxis()
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    figure.savefig(path)


def draw(folder, passes, trajectories, scaling, rival_reports):
    try:
        import matplotlib
    except ImportError:
        print("no plots: matplotlib is not installed (Debian: python3-matplotlib)", file=sys.stderr)
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    matplotlib.rcParams["svg.hashsalt"] = "fslens"  # equal figures, equal files
    folder.mkdir(parents=True, exist_ok=True)
    if scaling:
        draw_scaling(plt, scaling, passes, folder / "scaling.svg")
    if trajectories:
        draw_trajectories(plt, trajectories, rival_reports, folder / "trajectories.svg")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--json", type=pathlib.Path, help="write all results into one file")
    parser.add_argument("--plots", type=pathlib.Path, help="draw scaling.svg and trajectories.svg there")
    arguments = parser.parse_args()
    parts = {name: read(arguments.folder / f"{name}.json") for name in ("passes", "trajectories", "scaling", "digits")}
    rivals = [read(path) for path in sorted(arguments.folder.glob("rivals*.json"))]
    if not any(parts.values()):
        sys.exit(f"{arguments.folder}: no results; run benchmarks/run")
    machine = next((part["machine"] for part in parts.values() if part and "processor" in part.get("machine", {})), None)
    machine = machine or {key: value for key, value in (parts["passes"] or {}).get("context", {}).items() if isinstance(value, str)}
    for key, value in machine.items():
        print(f"{key}: {value}")
    for report in rivals:
        print(f"python {report['machine']['python']}, numpy {report['machine']['numpy']}, BLAS: {json.dumps(report['machine']['blas'])}")
    if parts["trajectories"]:
        print_trajectories(parts["trajectories"], rivals)
    if parts["scaling"]:
        print_scaling(parts["scaling"])
    if parts["passes"]:
        print_passes(parts["passes"])
    if parts["digits"]:
        print_digits(parts["digits"])
    if arguments.json:
        arguments.json.write_text(json.dumps({**parts, "rivals": rivals}, indent=1) + "\n", encoding="utf-8")
    if arguments.plots:
        draw(arguments.plots, parts["passes"], parts["trajectories"], parts["scaling"], rivals)


if __name__ == "__main__":
    main()
