#!/usr/bin/env python3
"""The scripts of benchmarks/: the rivals compute what they are timed for, and the table divides the right figures."""

import json
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

BENCHMARKS = pathlib.Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import rivals  # noqa: E402
import table  # noqa: E402


def naive_means(x, atoms, log_weights, a, s2):
    logits = -np.sum((x[:, None, :] - a * atoms) ** 2, axis=2) / (2 * s2)
    means = []
    for log_weight in log_weights:
        weights = np.exp(logits + log_weight - np.max(logits + log_weight, axis=1, keepdims=True))
        means.append(weights @ atoms / weights.sum(axis=1, keepdims=True))
    return means


def run(*arguments):
    return subprocess.run([sys.executable, "-B", *map(str, arguments)], capture_output=True, text=True)


class Scratch(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.folder = pathlib.Path(directory.name)

    def write(self, name, value):
        (self.folder / name).write_text(json.dumps(value), encoding="utf-8")


class Rivals(Scratch):
    def save_states(self):
        """What benchmark-trajectories saves, for 50 images of 6 pixels."""
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, (50, 6))
        atoms, a, s2 = -1 + 2 / 255 * pixels, 0.8, 0.36
        log_weights = np.log(rng.dirichlet(np.ones(50), 2))
        states = a * atoms[:8].reshape(2, 4, 6) + np.sqrt(s2) * rng.standard_normal((2, 4, 6))
        means = np.array([naive_means(x, atoms, log_weights, a, s2) for x in states])
        saved = {"pixels": pixels.astype(np.float32), "scale": [-1.0, 2 / 255], "log-weights": log_weights, "uniform-states": states,
                 "uniform-times": [[0.5, a, s2], [0.4, a, s2]], "uniform-prior-means": means[:, 0], "uniform-posterior-means": means[:, 1]}
        for name, values in saved.items():
            np.save(self.folder / f"{name}.npy", values)

    def test_every_library_that_is_here_gives_the_means_of_the_definition(self):
        self.save_states()
        result = run(BENCHMARKS / "rivals.py", "passes", self.folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(sorted([*report["libraries"], *report["not_there"]]), sorted(rivals.LIBRARIES))
        for name, library in report["libraries"].items():
            timed = library["runs"]["uniform"]
            self.assertEqual(len(timed["seconds"]), 2)
            self.assertLess(timed["largest_error"], 1e-12 if name.endswith("64") else 1e-4, name)

    def test_another_computation_is_refused(self):
        self.save_states()
        np.save(self.folder / "uniform-prior-means.npy", np.ones((2, 4, 6)))
        result = run(BENCHMARKS / "rivals.py", "passes", self.folder, "--libraries", "numpy-float64")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("error", result.stderr)

    def test_missing_states_are_named_with_what_writes_them(self):
        result = run(BENCHMARKS / "rivals.py", "passes", self.folder)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("benchmark-trajectories --save", result.stderr)


class Table(Scratch):
    def entry(self, name, milliseconds, **more):
        return {"name": f"{name}/real_time", "run_type": "iteration", "real_time": milliseconds, "time_unit": "ms", **more}

    def report(self):
        at = "/d:784/n:1000"
        return {"context": {"particles": "256", "tolerance": "1e-6"}, "benchmarks": [
            self.entry(f"sgemm_scores/openblas{at}", 4.0), self.entry(f"sgemm_scores/onednn{at}", 3.0),
            self.entry(f"sgemm_sums/openblas{at}", 2.0), self.entry(f"sgemm_sums/onednn{at}", 5.0),
            self.entry(f"sgemm_sums_of_two/openblas{at}", 3.5), self.entry(f"sgemm_sums_of_two/onednn{at}", 9.0),
            self.entry(f"full_pass/textbook{at}", 13.0),
            self.entry(f"vjp/textbook{at}", 0.0, error_occurred=True, error_message="skipped: needs 12.3 GB"),
            self.entry(f"full_pass/fslens{at}/t:0.05", 1.3), self.entry(f"vjp/fslens{at}/t:0.05", 16.0)]}

    def test_the_floor_takes_the_faster_library_for_every_product(self):
        row = table.pass_times(self.report())[784, 1000]
        self.assertAlmostEqual(table.floor_of(row, "full_pass"), 6.5e-3)
        self.assertAlmostEqual(table.floor_of(row, "denoiser"), 5e-3)
        self.assertAlmostEqual(table.floor_of(row, "vjp"), 8e-3)
        self.assertAlmostEqual(table.floor_of(row, "tmpd"), 9.5e-3)

    def test_medians_of_repetitions_count(self):
        report = {"benchmarks": [self.entry("full_pass/fslens/d:1/n:10/t:0.2", 9.0), self.entry("full_pass/fslens/d:1/n:10/t:0.2", 1.0)]}
        for statistic, value in (("mean", 5.0), ("median", 4.0), ("stddev", 3.0)):
            report["benchmarks"].append({"name": f"full_pass/fslens/d:1/n:10/t:0.2/real_time_{statistic}", "run_type": "aggregate",
                                         "aggregate_name": statistic, "real_time": value, "time_unit": "us"})
        self.assertEqual(table.pass_times(report)[1, 10], {("full_pass", "fslens", 0.2): 4e-6})

    def test_ratios_and_what_was_skipped_are_printed(self):
        self.write("passes.json", self.report())
        result = run(BENCHMARKS / "table.py", self.folder, "--json", self.folder / "results.json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stdout, r"784 +1000 +6\.5 +13 +2 +0\.05 +1\.3 +0\.2 +0\.1\n")
        self.assertRegex(result.stdout, r"784 +1000 +8 +- +- +0\.05 +16 +2 +-\n")
        self.assertIn("skipped: needs 12.3 GB", result.stdout)
        self.assertEqual(json.loads((self.folder / "results.json").read_text())["passes"], self.report())

    def test_the_exponent_is_the_slope(self):
        self.assertAlmostEqual(table.exponent([(10**k, 3e-6 * 10 ** (0.5 * k)) for k in range(3, 7)]), 0.5)
        self.assertTrue(math.isnan(table.exponent([(1000, 1.0)])))

    def test_an_empty_folder_says_what_to_run(self):
        result = run(BENCHMARKS / "table.py", self.folder)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("benchmarks/run", result.stderr)


class Run(unittest.TestCase):
    def call(self, *arguments):
        return subprocess.run(["bash", str(BENCHMARKS / "run"), *arguments], capture_output=True, text=True)

    def test_help_and_wrong_options(self):
        self.assertIn("--quick", self.call("--help").stdout)
        for wrong in (["--fast"], ["--only", "everything"], ["--jobs", "0"], ["--out"]):
            with self.subTest(wrong=wrong):
                result = self.call(*wrong)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertTrue(result.stderr.startswith("benchmarks/run: "), result.stderr)


if __name__ == "__main__":
    unittest.main()
