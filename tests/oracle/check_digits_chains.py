#!/usr/bin/env python3
"""Runs six samplers of the built-in problem `digits-superres` in fslens and in numpy, and compares the final laws.

    check_digits_chains.py FSLENS WORKDIR --atoms A.npy --y y.npy --labels l.npy [--particles 1000]

The atoms (N, 64), the measurement and the labels are those that fslens used. Both chains are Euler-Maruyama, 500 uniform
steps, t 1 -> 0.01, with different random numbers, so the comparison is statistical. Per sampler, three statistics:

- the share of every class (label of the nearest atom), pooled two-sample z;
- the share of samples whose nearest atom lies outside the smallest set of atoms with 99.9 % of the posterior, pooled z;
- the total variance Tr Cov, whose difference must stay within 5 standard errors of a bootstrap.

The z bound is Bonferroni's over all shares of all samplers, so that a correct pair of programs fails with probability at
most 1e-4 (the variances add 6e-7 each). Under equal sample sizes the conditional law of a small count is lighter in the
tail than the normal, so the bound errs on the safe side. Exit: 0 agreement, 1 disagreement, 2 usage, 4 a run of fslens failed.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

from chains import (ChainProblem, block_means, nearest_atoms, outside_credible_set, run_chain)

FALSE_ALARM = 1e-4
BOOTSTRAP_REPLICATES = 400
# (label, method, numpy parameters, name and options for --sampler)
SAMPLERS = (
    ("lens", "lens", {}, "lens"),
    ("dps-sigma", "dps-sigma", {}, "dps-sigma"),
    ("dps-zeta", "dps-zeta", {"zeta": 1.0, "weight": "precision"}, "dps-zeta:zeta=1,weight=precision"),
    ("pigdm-unit", "pigdm", {"r2": "unit"}, "pigdm:r2=unit"),
    ("pigdm-flat", "pigdm", {"r2": "flat"}, "pigdm:r2=flat"),
    ("tmpd", "tmpd", {}, "tmpd"),
)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fslens", type=pathlib.Path)
    parser.add_argument("workdir", type=pathlib.Path)
    parser.add_argument("--atoms", type=pathlib.Path, required=True)
    parser.add_argument("--y", type=pathlib.Path, required=True)
    parser.add_argument("--labels", type=pathlib.Path, required=True)
    parser.add_argument("--matrix", type=pathlib.Path, help="operator (m, d); default 2x2 block means of 8x8 images")
    parser.add_argument("--sigma", type=float, default=0.1)
    parser.add_argument("--problem", default="digits-superres", help="built-in name or problem file")
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20240229, help="of the numpy chains")
    parser.add_argument("--only", nargs="*", choices=[s[0] for s in SAMPLERS], help="a subset of the samplers")
    parser.add_argument("--spelling", action="append", default=[], metavar="LABEL=NAME",
                        help="the --sampler argument that stands for LABEL, e.g. lens=lens-sde")
    parser.add_argument("--fslens-option", action="append", default=[], metavar="OPTION",
                        help="passed on to fslens sample, e.g. --fslens-option=--threads=1")
    return parser.parse_args()


def run_fslens(arguments, label, spelling):
    """Final states [particles, d] of one fslens run, and its seconds."""
    output = arguments.workdir / f"{label}.npz"
    output.unlink(missing_ok=True)
    command = [str(arguments.fslens), "sample", arguments.problem, "--sampler", spelling, "--out", str(output), "--record", "1",
               "--set", f"run.particles={arguments.particles}", "--set", f"grid.steps={arguments.steps}"]
    command += arguments.fslens_option
    started = time.time()
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        print(f"{label}: exit {result.returncode} from {' '.join(command)}\n{result.stderr}", file=sys.stderr)
        sys.exit(4)
    with np.load(output) as trajectory:
        if "x" in trajectory.files:
            final = np.asarray(trajectory["x"][np.argmin(trajectory["t"])], dtype=float)
            reached = float(trajectory["t"].min())
        else:
            final, reached = np.asarray(trajectory["x0"], dtype=float), 0.01
    if final.shape[0] != arguments.particles or abs(reached - 0.01) > 1e-9:
        print(f"{label}: expected {arguments.particles} states at t = 0.01, found shape {final.shape} at t = {reached}",
              file=sys.stderr)
        sys.exit(4)
    return final, time.time() - started


def two_sample_z(count_a, size_a, count_b, size_b):
    """Pooled z of two shares; 0 where both are 0 or both are everything (the samples agree exactly)."""
    pooled = (count_a + count_b) / (size_a + size_b)
    if pooled in (0.0, 1.0):
        return 0.0
    return (count_a / size_a - count_b / size_b) / np.sqrt(pooled * (1 - pooled) * (1 / size_a + 1 / size_b))


def total_variance(x):
    return float(np.sum(np.var(x, axis=0, ddof=1)))


def bootstrap_error(x, rng):
    """Standard error of the total variance: multinomial weights on the centred rows."""
    centred = x - x.mean(axis=0)
    squares = np.sum(centred**2, axis=1)
    weights = rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=BOOTSTRAP_REPLICATES) / len(x)
    replicates = weights @ squares - np.sum((weights @ centred) ** 2, axis=1)
    return float(np.std(replicates, ddof=1))


def compare(label, theirs, ours, atoms, labels, outside, num_classes, z_bound, rng):
    """Prints the sampler's rows; returns the number of disagreements."""
    finite = [x[np.all(np.isfinite(x), axis=1)] for x in (theirs, ours)]
    lost = [len(x) - len(f) for x, f in zip((theirs, ours), finite)]
    rows = [("non-finite", lost[0], lost[1], abs(two_sample_z(lost[0], len(theirs), lost[1], len(ours))), z_bound)]
    if min(len(f) for f in finite) >= 2:
        nearest = [nearest_atoms(atoms, x) for x in finite]
        for c in range(num_classes):
            counts = [int(np.sum(labels[n] == c)) for n in nearest]
            z = abs(two_sample_z(counts[0], len(nearest[0]), counts[1], len(nearest[1])))
            rows.append((f"class {c}", counts[0] / len(nearest[0]), counts[1] / len(nearest[1]), z, z_bound))
        counts = [int(np.sum(outside[n])) for n in nearest]
        z = abs(two_sample_z(counts[0], len(nearest[0]), counts[1], len(nearest[1])))
        rows.append(("outside 99.9 %", counts[0] / len(nearest[0]), counts[1] / len(nearest[1]), z, z_bound))
        variances = [total_variance(x) for x in finite]
        errors = [bootstrap_error(x, rng) for x in finite]
        error = float(np.hypot(*errors))
        z = abs(variances[0] - variances[1]) / error if error > 0 else np.inf
        rows.append(("total variance", variances[0], variances[1], z, 5.0))
    failures = 0
    for statistic, a, b, z, bound in rows:
        bad = not z <= bound
        failures += bad
        print(f"{label:11} {statistic:15} {a:12.5f} {b:12.5f} {z:8.2f} {bound:6.2f}  {'DISAGREE' if bad else 'ok'}")
    return failures


def main():
    arguments = parse_arguments()
    atoms = np.load(arguments.atoms).astype(float)
    atoms = atoms.reshape(len(atoms), -1)
    labels = np.load(arguments.labels).astype(int)
    y = np.atleast_1d(np.load(arguments.y).astype(float))
    matrix = block_means(8, 2) if arguments.matrix is None else np.load(arguments.matrix).astype(float)
    if len(labels) != len(atoms) or matrix.shape != (y.size, atoms.shape[1]):
        print(f"shapes disagree: atoms {atoms.shape}, labels {labels.shape}, y {y.shape}, matrix {matrix.shape}",
              file=sys.stderr)
        return 2
    spellings = {label: spelling for label, _, _, spelling in SAMPLERS}
    spellings.update(item.split("=", 1) for item in arguments.spelling)
    samplers = [s for s in SAMPLERS if not arguments.only or s[0] in arguments.only]
    bias = np.zeros(y.size)
    posterior = ChainProblem(atoms, matrix, bias, y, arguments.sigma).posterior_weights()
    outside = outside_credible_set(posterior)
    num_classes = int(labels.max()) + 1
    comparisons = len(samplers) * (num_classes + 2)
    z_bound = statistics.NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * comparisons))
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(arguments.seed + 1)
    print(f"{len(atoms)} atoms, ESS {1 / np.sum(posterior**2):.1f}, {arguments.particles} particles, "
          f"{comparisons} shares, |z| <= {z_bound:.2f}")
    print(f"{'sampler':11} {'statistic':15} {'fslens':>12} {'numpy':>12} {'|z|':>8} {'bound':>6}")
    failures = 0
    for offset, (label, method, params, _) in enumerate(samplers):
        theirs, seconds = run_fslens(arguments, label, spellings[label])
        started = time.time()
        ours = run_chain(atoms, matrix, bias, y, arguments.sigma, method, params, arguments.particles, arguments.steps,
                         1.0, 0.01, arguments.seed + 100 * offset)
        print(f"{label:11} fslens {seconds:.1f} s, numpy {time.time() - started:.1f} s", file=sys.stderr)
        failures += compare(label, theirs, ours, atoms, labels, outside, num_classes, z_bound, rng)
    print("agreement" if failures == 0 else f"{failures} disagreements")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
