#!/usr/bin/env python3
"""Runs six samplers of the built-in problem `digits-superres` in fslens and in numpy, and compares the final laws.

    check_digits_chains.py FSLENS WORKDIR [--particles 1000] [--only lens tmpd …]

The digits are read from the project's data, less the measured one; the measurement is the one that fslens leaves in a run
directory, whose posterior weights must be numpy's. Both chains are Euler-Maruyama, 500 uniform steps, t 1 -> 0.01, with different
random numbers, so the comparison is statistical. Per sampler, three statistics:

- the share of every class (label of the nearest atom), pooled two-sample z;
- the share of samples whose nearest atom lies outside the smallest set of atoms with 99.9 % of the posterior, pooled z;
- the total variance Tr Cov, whose difference must stay within 5 standard errors of a bootstrap.

The z bound is Bonferroni's over all shares of all samplers, so that a correct pair of programs fails with probability at
most 1e-4 (the variances add 6e-7 each). Under equal sample sizes the conditional law of a small count is lighter in the
tail than the normal, so the bound errs on the safe side. With 400 particles each a share of 0.3 that is off by 0.16 is seen.
Exit: 0 agreement, 1 disagreement, 2 usage, 4 a run of fslens failed.
"""

import argparse
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np

from chains import (ChainProblem, block_means, load_digits, nearest_atoms, outside_credible_set, run_chain)

FALSE_ALARM = 1e-4
BOOTSTRAP_REPLICATES = 400
PROBLEM, MEASURED_DIGIT, SIGMA = "digits-superres", 17, 0.1  # problems/digits-superres.toml
DIGITS = pathlib.Path(__file__).resolve().parents[2] / "data" / "uci_digits_8x8.csv.gz"
# (label, method, numpy parameters, name and options for --sampler)
SAMPLERS = (
    ("lens", "lens", {}, "lens-sde"),
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
    parser.add_argument("--particles", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20240229, help="of the numpy chains")
    parser.add_argument("--only", nargs="*", choices=[s[0] for s in SAMPLERS], help="a subset of the samplers")
    parser.add_argument("--spelling", action="append", default=[], metavar="LABEL=NAME",
                        help="the --sampler argument that stands for LABEL, to plant a fault, e.g. pigdm-unit=pigdm:r2=flat")
    parser.add_argument("--fslens-option", action="append", default=[], metavar="OPTION",
                        help="passed on to fslens sample, e.g. --fslens-option=--threads=1")
    return parser.parse_args()


def call_fslens(arguments, *command):
    command = [str(arguments.fslens), *map(str, command), *arguments.fslens_option]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode not in (0, 1, 3):  # a failed or undecided check is a verdict, not an error
        print(f"exit {result.returncode} from {' '.join(command)}\n{result.stderr}", file=sys.stderr)
        sys.exit(4)


def measured(arguments):
    """(y, logarithms of the posterior weights) as fslens has them, from a run directory."""
    run = arguments.workdir / "measured"
    call_fslens(arguments, "diagnose", PROBLEM, "--sampler", "exact", "--out", run,
                "--set", "run.particles=20", "--set", "grid.steps=1")
    return np.load(run / "arrays" / "y.npy"), np.load(run / "arrays" / "log_posterior_weights.npy")


def run_fslens(arguments, label, spelling):
    """Final states [particles, d] of one fslens run, and its seconds."""
    output = arguments.workdir / f"{label}.npz"
    output.unlink(missing_ok=True)
    started = time.time()
    call_fslens(arguments, "sample", PROBLEM, "--sampler", spelling, "--out", output, "--record", 1,
                "--set", f"run.particles={arguments.particles}", "--set", f"grid.steps={arguments.steps}")
    with np.load(output) as trajectory:
        final = np.asarray(trajectory["x"][np.argmin(trajectory["t"])], dtype=float)
        reached = float(trajectory["t"].min())
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
    images, digits = load_digits(DIGITS)
    atoms, labels = np.delete(images, MEASURED_DIGIT, axis=0), np.delete(digits, MEASURED_DIGIT)
    matrix = block_means(8, 2)
    arguments.workdir.mkdir(parents=True, exist_ok=True)
    y, log_weights = measured(arguments)
    spellings = {label: spelling for label, _, _, spelling in SAMPLERS}
    spellings.update(item.split("=", 1) for item in arguments.spelling)
    samplers = [s for s in SAMPLERS if not arguments.only or s[0] in arguments.only]
    bias = np.zeros(y.size)
    posterior = ChainProblem(atoms, matrix, bias, y, SIGMA).posterior_weights()
    if log_weights.shape != posterior.shape or not np.allclose(np.exp(log_weights), posterior, rtol=1e-9, atol=1e-12):
        print("posterior weights differ: fslens and numpy do not have the same atoms, measurement or noise")
        return 1
    outside = outside_credible_set(posterior)
    num_classes = int(labels.max()) + 1
    comparisons = len(samplers) * (num_classes + 2)
    z_bound = statistics.NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * comparisons))
    rng = np.random.default_rng(arguments.seed + 1)
    print(f"{len(atoms)} atoms, ESS {1 / np.sum(posterior**2):.1f}, {arguments.particles} particles, "
          f"{comparisons} shares, |z| <= {z_bound:.2f}")
    print(f"{'sampler':11} {'statistic':15} {'fslens':>12} {'numpy':>12} {'|z|':>8} {'bound':>6}")
    failures = 0
    for offset, (label, method, params, _) in enumerate(samplers):
        theirs, seconds = run_fslens(arguments, label, spellings[label])
        started = time.time()
        ours = run_chain(atoms, matrix, bias, y, SIGMA, method, params, arguments.particles, arguments.steps,
                         1.0, 0.01, arguments.seed + 100 * offset)
        print(f"{label:11} fslens {seconds:.1f} s, numpy {time.time() - started:.1f} s", file=sys.stderr)
        failures += compare(label, theirs, ours, atoms, labels, outside, num_classes, z_bound, rng)
    print("agreement" if failures == 0 else f"{failures} disagreements")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
