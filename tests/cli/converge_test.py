#!/usr/bin/env python3
"""fslens converge: what it writes, that its numbers agree with each other, and what it refuses."""

import csv
import hashlib
import json
import unittest

import numpy as np

from command import INVALID_INPUT, USAGE, CommandTest, without_seconds
from refusal import RefusalTest, problem

SMALL = ("--atoms", "50,100,200", "--repeats", "4", "--times", "0.3,0.1")
STATISTICS = ("total-variation", "score", "sliced-w2", "mean", "covariance", "log-evidence", "mode-weights")


class Converge(CommandTest):
    def converge(self, problem, *arguments, out="run"):
        self.succeed("converge", problem, *SMALL, *arguments, "--out", out)
        return json.loads((self.folder / out / "convergence.json").read_text(encoding="utf-8"))

    def errors(self, run):
        with open(self.folder / run / "errors.csv", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def test_document_and_plot_data_agree(self):
        document = self.converge("gmm-1d")
        self.assertEqual((document["schema"], document["problem"], document["dim"]), (1, "gmm-1d", 1))
        self.assertEqual((document["atoms"], document["repetitions"]), ([50, 100, 200], [4, 4, 4]))
        self.assertEqual([lens["name"] for lens in document["lenses"]], ["raw", "smoothed", "modewise"])
        self.assertEqual({curve["statistic"] for curve in document["curves"]}, set(STATISTICS))
        rows = self.errors("run")
        self.assertEqual(len(rows), 3 * 9 * 3 * 4)
        for curve in document["curves"]:
            t = "" if curve["t"] is None else repr(curve["t"])
            of_curve = [
                row for row in rows if (row["lens"], row["statistic"], row["t"]) == (curve["lens"], curve["statistic"], t)
            ]
            table = np.array([float(row["error"]) for row in of_curve]).reshape(3, 4)
            np.testing.assert_array_equal(table, curve["errors"])
            np.testing.assert_allclose(table.mean(axis=1), curve["mean"], rtol=1e-12)
            if curve["fit"] and curve["fit"]["from_atoms"] == 50 and curve["fit"]["to_atoms"] == 200:
                slope, _ = np.polyfit(np.log(document["atoms"]), np.log(table).mean(axis=1), 1)
                self.assertAlmostEqual(curve["fit"]["rate"]["value"], -slope, places=10)
        for comparison in document["comparisons"]:
            raw, other = (
                next(
                    np.array(curve["errors"])
                    for curve in document["curves"]
                    if (curve["lens"], curve["statistic"], curve["t"]) == (lens, comparison["statistic"], comparison["t"])
                )
                for lens in ("raw", comparison["lens"])
            )
            log_factors = np.log(raw / other).mean(axis=1)
            np.testing.assert_allclose([ratio["factor"] for ratio in comparison["ratios"]], np.exp(log_factors), rtol=1e-10)
            self.assertAlmostEqual(comparison["overall"]["factor"], np.exp(log_factors.mean()), places=10)
            gain, _ = np.polyfit(np.log(document["atoms"]), log_factors, 1)
            self.assertAlmostEqual(comparison["rate_gain"]["value"], gain, places=10)

    def test_run_directory_is_complete(self):
        self.converge("gaussian-1d")
        run = self.folder / "run"
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        self.assertEqual(
            {path.name for path in run.iterdir()}, {"manifest.json", "convergence.json", "errors.csv", "problem.resolved.toml"}
        )
        self.assertEqual(set(manifest["outputs"]), {path.name for path in run.iterdir()} - {"manifest.json"})
        for path, digest in manifest["outputs"].items():
            self.assertEqual(hashlib.sha256((run / path).read_bytes()).hexdigest(), digest)

    def test_result_does_not_depend_on_threads_but_on_the_seed(self):
        one = self.converge("gmm-1d", "--threads", "1", out="one")
        two = self.converge("gmm-1d", "--threads", "2", out="two")
        other = self.converge("gmm-1d", "--seed", "9", out="other")
        self.assertEqual(without_seconds(one), without_seconds(two))
        self.assertNotEqual(one["curves"][0]["errors"], other["curves"][0]["errors"])

    def test_nonlinear_operators_by_quadrature(self):
        document = self.converge("gaussian-1d", "--set", "operator.kind=abs")
        self.assertEqual((document["operator"], document["exact"]["method"]), ("abs", "quadrature"))
        self.assertEqual([lens["name"] for lens in document["lenses"]], ["raw", "smoothed", "modewise"])
        gain = next(c for c in document["comparisons"] if c["lens"] == "modewise" and c["statistic"] == "total-variation" and c["t"] == 0.1)
        self.assertGreater(gain["overall"]["factor"], 1.0)
        self.assertLess(document["curves"][0]["mean"][-1], document["curves"][0]["mean"][0])

    def test_higher_dimensions_have_no_total_variation(self):
        tables = problem(
            prior={"kind": "gaussian", "mean": [0.0] * 3, "cov": np.eye(3), "atoms": None, "complete": None},
            operator={"kind": "identity", "matrix": None},
            measurement={"y": [0.1, 0.2, 0.3]},
        )
        document = self.converge(self.write_problem(tables))
        self.assertNotIn("total-variation", {curve["statistic"] for curve in document["curves"]})
        self.assertEqual([absent["statistic"] for absent in document["absent"]], ["total-variation", "mode-weights"])

    def test_terminal(self):
        text = self.succeed("converge", "gmm-1d", *SMALL, "--out", "run").stdout
        for wanted in ("raw lens", "smoothed lens", "modewise lens", "all N: ", "total-variation, t = 0.1", "rate", "run directory: "):
            self.assertIn(wanted, text)
        document = json.loads(self.succeed("converge", "gmm-1d", *SMALL, "--json", "--out", "run").stdout)
        self.assertEqual(document["schema"], 1)


class Refusals(RefusalTest):
    def test_options(self):
        command = ("converge", "gaussian-1d")
        self.refuse_options(
            [
                ("--atoms 100", "atoms", "2 sizes"),
                ("--atoms 200,100", "atoms 100", "larger than the one before it, 200"),
                ("--atoms 1,100", "atoms 1", "at least 2"),
                ("--atoms 100,few", "--atoms", "few"),
                ("--atoms 100,200 --repeats 1", "repeats 1", "at least 2"),
                ("--repeats 0", "--repeats", "0"),
                ("--times 0", "times 0", "(0, 1]"),
                ("--times 0.1,2", "times 2", "(0, 1]"),
                ("--sampler pigdm", "--sampler"),
            ],
            command=command,
        )
        self.refuse(USAGE, ["problem"], "converge")
        self.refuse_options([("--times 1e-9", "times", "too small")], code=INVALID_INPUT, command=("converge", "gmm-2d"))

    def test_problems_without_an_analytic_posterior(self):
        wanted = ["prior.kind", "atoms", "gaussian or gmm"]
        self.refuse(INVALID_INPUT, wanted, "converge", "three-atoms", "--out", self.out / "run")
        unresolved = ["square", "not resolved"]
        options = ["--set", "operator.kind=square", "--set", "noise.sigma=1e-9"]
        self.refuse(INVALID_INPUT, unresolved, "converge", "gaussian-1d", *options, "--out", self.out / "run")


if __name__ == "__main__":
    unittest.main()
