#!/usr/bin/env python3
"""What `fslens calibrate` writes, prints and refuses, and how it exits. Verdicts that are asserted hold with a false-alarm rate below 1e-4."""

import hashlib
import json
import unittest

import numpy as np

from command import FAIL, INCONCLUSIVE, INVALID_INPUT, PASS, USAGE, without_seconds
from refusal import RefusalTest

QUICK = ("--replicates", "200", "--draws", "19", "--set", "grid.steps=30", "--seed", "3")
NARROW = ("gaussian-1d", "--sampler", "dps-sigma", "--replicates", "2000", "--draws", "19", "--set", "grid.steps=60", "--seed", "3")
STATISTICS = ["x_1", "log_likelihood", "hpd", "tarp", "c2st"]


class CalibrateTest(RefusalTest):
    def calibrate(self, *arguments, codes=(PASS, FAIL, INCONCLUSIVE), out="run"):
        result = self.succeed("calibrate", *arguments, "--out", out, codes=codes)
        return result, json.loads((self.folder / out / "calibration.json").read_text(encoding="utf-8"))


class Contents(CalibrateTest):
    def test_files_and_manifest(self):
        self.calibrate("gaussian-1d", "--sampler", "pigdm", *QUICK)
        run = self.folder / "run"
        outputs = json.loads((run / "manifest.json").read_text())["outputs"]
        written = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()} - {"manifest.json"}
        self.assertEqual(set(outputs), written)
        self.assertLessEqual({"calibration.json", "problem.resolved.toml", "log.jsonl", "arrays/ranks_1.npy"}, written)
        for name, digest in outputs.items():
            self.assertEqual(hashlib.sha256((run / name).read_bytes()).hexdigest(), digest, name)
        events = [json.loads(line)["event"] for line in (run / "log.jsonl").read_text().splitlines()]
        self.assertEqual(events, ["start", "sampler", "sampler", "end"])

    def test_curves_are_those_of_the_ranks(self):
        """ECDFs, deviations and coverage of calibration.json, from the ranks on the disk by numpy."""
        _, report = self.calibrate("gaussian-1d", "--sampler", "dps-sigma", *QUICK)
        self.assertEqual((report["schema"], report["replicates"], report["draws"]), (1, 200, 19))
        self.assertEqual([statistic["id"] for statistic in report["statistics"]], STATISTICS)
        self.assertEqual([sampler["name"] for sampler in report["samplers"]], ["exact", "dps-sigma"])
        nominal = np.arange(1, 20) / 20
        np.testing.assert_allclose(report["levels"]["ranks"]["nominal"], nominal, atol=1e-15)
        np.testing.assert_allclose(report["levels"]["central"]["nominal"], np.arange(2, 20, 2) / 20, atol=1e-15)
        for i, sampler in enumerate(report["samplers"]):
            ranks = np.load(self.folder / "run" / "arrays" / f"ranks_{i}.npy")
            self.assertEqual(ranks.shape, (4, 200))
            for row, statistic in zip(ranks, sampler["statistics"]):
                self.assertEqual(statistic["ranked"], 200)
                ecdf = (row[:, None] < np.arange(1, 20)).mean(axis=0)
                np.testing.assert_allclose(statistic["ecdf"], ecdf, atol=1e-12)
                self.assertAlmostEqual(statistic["max_deviation"], np.abs(ecdf - nominal).max(), places=12)
                if statistic["id"] in ("hpd", "tarp"):
                    coverage = ecdf
                else:
                    coverage = [((row >= j) & (row <= 19 - j)).mean() for j in range(9, 0, -1)]
                np.testing.assert_allclose(statistic["coverage"], coverage, atol=1e-12)
                low, high = statistic["deviation"]["interval"]
                self.assertLessEqual(low, statistic["deviation"]["effect"])
                self.assertGreaterEqual(high, statistic["max_deviation"])

    def test_json_is_the_file_and_threads_do_not_matter(self):
        documents = []
        for threads in (1, 2, 3):
            result, report = self.calibrate("three-atoms", "--sampler", "tmpd", *QUICK, "--json", "--threads", threads)
            self.assertEqual(json.loads(result.stdout), report)
            ranks = (self.folder / "run" / "arrays" / "ranks_1.npy").read_bytes()
            documents.append((json.dumps(without_seconds(report)), ranks))
        self.assertEqual(documents[1:], documents[:1] * 2)

    def test_the_problems_own_samplers_run_where_none_is_named(self):
        _, report = self.calibrate("two-atoms", *QUICK)
        listed = (self.folder / "run" / "problem.resolved.toml").read_text().count("[[sampler]]")
        self.assertEqual(len(report["samplers"]), listed + 1)

    def test_text_says_what_was_found(self):
        result, _ = self.calibrate(*NARROW, codes=(FAIL,))
        for text in ("exact", "dps-sigma", "narrow", "x_1 is over-confident", "log_likelihood is biased-high", "log_likelihood", "verdict: fail", "run directory: "):
            self.assertIn(text, result.stdout)
        self.assertEqual(result.stderr, "")


class ExitCodes(CalibrateTest):
    def test_by_verdict(self):
        self.calibrate(*NARROW, "--fail-on", "never", codes=(PASS,))
        self.calibrate(*NARROW, "--set", "margins.calibration=0.9", codes=(PASS,))
        few = ("gaussian-1d", "--sampler", "exact", "--replicates", "60", "--draws", "9")
        self.calibrate(*few, codes=(INCONCLUSIVE,))
        self.calibrate(*few, "--fail-on", "fail", codes=(PASS,))

    def test_atoms_of_a_population_convict_nobody(self):
        """The truth is one of the atoms and left out of them, and the measurement is sharp."""
        atoms = np.arange(24.0).reshape(12, 2) ** 1.5 % 7
        tables = {
            "prior": {"kind": "atoms", "atoms": atoms.tolist(), "bandwidth": 0},
            "operator": {"kind": "matrix", "matrix": [[1.0, -1.0]]},
            "noise": {"sigma": 0.01},
            "measurement": {"y": [0.2]},
            "grid": {"steps": 20},
            "sampler": [{"name": "dps-zeta"}],
        }
        _, report = self.calibrate(self.write_problem(tables), "--replicates", "300", "--draws", "19", codes=(INCONCLUSIVE,))
        self.assertTrue(report["prior"]["left_out"])
        hpd = next(statistic for statistic in report["statistics"] if statistic["id"] == "hpd")
        self.assertEqual(hpd["validity"], "marked")
        self.assertEqual({sampler["verdict"] for sampler in report["samplers"]}, {"inconclusive"})

    def test_refusals(self):
        command = ("calibrate", "three-atoms")
        self.refuse_options([("--replicates 49", "replicates = 49", "50"), ("--draws 8", "draws = 8", "9")], code=INVALID_INPUT, command=command)
        self.refuse_options(
            [
                ("--sampler pigmd", "'pigmd'", "did you mean 'pigdm'"),
                ("--sampler pigdm --sampler pigdm", "'pigdm' is named twice"),
                ("--replicates many", "--replicates", "many"),
                ("--draws -1", "--draws", "-1"),
                ("--fail-on nonsense", "--fail-on"),
            ],
            code=USAGE,
            command=command,
        )
        self.refuse(USAGE, ["problem"], "calibrate")

    def test_interruption_leaves_nothing(self):
        self.interrupt("long.partial-*", "calibrate", "gaussian-1d", "--replicates", "1000000", "--out", "long")
        self.assertEqual(list(self.folder.glob("long*")), [])


if __name__ == "__main__":
    unittest.main()
