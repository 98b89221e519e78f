#!/usr/bin/env python3
"""Calibration at full size: exact draws are uniform over 10,000 measurements, and dps-sigma on gaussian-1d covers what the law of its chain
predicts.

Fixed seeds. For exact draws each of 13 deviations may exceed 2.9/sqrt(R) with probability 1e-7 (Kolmogorov's law, an upper bound for ranks). For dps-sigma each
of 49 central intervals may be 4.9 binomial standard deviations off, 1e-6 each.
"""

import math
import tempfile
import tomllib
import unittest

import numpy as np

from judging import ROOT, json, pathlib, run


def calibration(folder, *arguments):
    """calibration.json and the ranks [statistics, R] of each sampler."""
    run("calibrate", *arguments, "--out", "run", folder=folder)
    out = pathlib.Path(folder) / "run"
    report = json.loads((out / "calibration.json").read_text())
    return report, [np.load(out / "arrays" / f"ranks_{i}.npy") for i in range(len(report["samplers"]))]


class ExactDraws(unittest.TestCase):
    REPLICATES = 10000

    def check(self, problem):
        with tempfile.TemporaryDirectory(prefix="fslens-published-") as folder:
            report, ranks = calibration(folder, problem, "--sampler", "exact", "--replicates", self.REPLICATES)
        self.assertEqual(report["verdict"], "pass")
        nominal = np.arange(1, 100) / 100
        for statistic, row in zip(report["statistics"], ranks[0]):
            with self.subTest(problem=problem, statistic=statistic["id"]):
                self.assertEqual(statistic["validity"], "valid")
                ecdf = (row[:, None] < np.arange(1, 100)).mean(axis=0)
                self.assertLess(np.abs(ecdf - nominal).max() * math.sqrt(self.REPLICATES), 2.9)

    def test_uniform(self):
        for problem in ("gaussian-1d", "gmm-2d", "three-atoms"):
            self.check(problem)


def dps_sigma_chain(mu, v0, slope, bias, sigma, grid):
    """(c0, c1, variance): given y the last state of Euler–Maruyama under vp-linear is N(c0 + c1 y, variance), since dps-sigma's score is affine here."""
    alpha_bar = lambda t: math.exp(-0.01 * t - 0.5 * 19.99 * t * t)  # noqa: E731
    c0, c1, variance = 0.0, 0.0, 1.0 - alpha_bar(grid[0])
    for t, u in zip(grid[:-1], grid[1:]):
        a, beta, step = math.sqrt(alpha_bar(t)), 0.01 + 19.99 * t, t - u
        gamma = a * a * v0 + 1.0 - a * a
        jacobian = a * v0 / gamma
        gain = jacobian * slope / sigma**2
        intercept = a * mu / gamma - gain * (slope * (mu - jacobian * a * mu) + bias)
        factor = 1.0 + (0.5 * beta - beta * (1.0 / gamma + gain * slope * jacobian)) * step
        c0, c1 = factor * c0 + beta * intercept * step, factor * c1 + beta * gain * step
        variance = factor**2 * variance + beta * step
    return c0, c1, variance, math.sqrt(alpha_bar(grid[-1]))


def rank_law(draws, offset, variance):
    """P(rank = r) of a truth N(offset, variance) among draws N(0, 1): binomial given the truth."""
    u = np.linspace(-9, 9, 4001)
    weight = np.exp(-u * u / 2) / math.sqrt(2 * math.pi) * (u[1] - u[0])
    z = offset + math.sqrt(variance) * u
    below = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in z])
    above = np.array([0.5 * math.erfc(value / math.sqrt(2)) for value in z])
    return np.array([math.comb(draws, r) * np.sum(weight * below**r * above ** (draws - r)) for r in range(draws + 1)])


class DpsSigma(unittest.TestCase):
    REPLICATES = 2000

    def test_coverage_is_that_of_the_chains_law(self):
        spec = tomllib.loads((ROOT / "problems" / "gaussian-1d.toml").read_text())
        mu, v0 = spec["prior"]["mean"][0], spec["prior"]["cov"][0][0]
        slope, bias, sigma = spec["operator"]["matrix"][0][0], spec["operator"]["bias"][0], spec["noise"]["sigma"]
        c0, c1, variance, a = dps_sigma_chain(mu, v0, slope, bias, sigma, np.linspace(1.0, 0.01, 501))
        # The truth at the last time less the chain's mean, over x_0, the noise of y and that of the state.
        pull = a - c1 * slope
        offset = pull * mu - c0 - c1 * bias
        spread = pull**2 * v0 + 1.0 - a * a + (c1 * sigma) ** 2
        law = rank_law(99, offset / math.sqrt(variance), spread / variance)
        self.assertAlmostEqual(law.sum(), 1.0, places=9)
        self.assertAlmostEqual(law[5:95].sum(), 0.7596, places=4)  # of intervals that say 90 %

        with tempfile.TemporaryDirectory(prefix="fslens-published-") as folder:
            report, ranks = calibration(folder, "gaussian-1d", "--sampler", "dps-sigma", "--replicates", self.REPLICATES)
        for j in range(1, 50):
            predicted = law[j : 100 - j].sum()
            measured = ((ranks[1][0] >= j) & (ranks[1][0] <= 99 - j)).mean()
            self.assertLess(abs(measured - predicted), 4.9 * math.sqrt(predicted * (1 - predicted) / self.REPLICATES), f"level {1 - j / 50}")
        sampler = report["samplers"][1]
        self.assertEqual(sampler["verdict"], "fail")
        self.assertEqual(sampler["statistics"][0]["direction"], "over-confident")


if __name__ == "__main__":
    unittest.main()
