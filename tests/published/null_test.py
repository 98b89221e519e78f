#!/usr/bin/env python3
"""The judge's own calibration: 200 diagnoses of exact draws, on every built-in problem, with a seed for each.

Seeds 1000, 1001, …; 300 particles. Two counts. Verdicts `fail`: at most 1 % of all check verdicts. Alarms, a much sharper
question: runs in which the lower end of any interval exceeds a hundredth of the check's margin; nearly what the verdicts
would be without margins. A run's lower ends are promised to hold together with 99 %, so the number of alarms is at most
Binomial(200, 0.01) and exceeds its 1e-4 quantile with at most that probability. No run is repeated.
"""

import collections
import concurrent.futures
import json
import math
import os
import pathlib
import unittest

from judging import JudgingTest, binomial_quantile, options, run

RUNS = 200
# Problems in many dimensions cost ten times the others and get fewer runs.
DIGITS_SHARE = 0.1
MARGIN_FRACTION = 0.01
SETTINGS = options(run__particles=300, run__record=6, grid__steps=20)


class ExactDraws(JudgingTest):
    maxDiff = 4000

    def problems(self):
        """Every built-in problem, as often as it is run."""
        listing = run("list", "problems", folder=self.folder, codes=(0,)).stdout
        names = [line.split()[0] for line in listing.splitlines() if line.strip()]
        self.assertGreaterEqual(len(names), 8, listing)
        large = [name for name in names if name.startswith("digits")]
        small = [name for name in names if name not in large]
        each = math.ceil(DIGITS_SHARE * RUNS / len(large)) if large else 0
        runs = [name for name in large for _ in range(each)]
        return runs + [small[i % len(small)] for i in range(RUNS - len(runs))]

    def judge(self, number, problem):
        out = f"run-{number}"
        run("diagnose", problem, "--sampler", "exact", *SETTINGS, "--seed", 1000 + number, "--threads", 1, "--out", out,
            folder=self.folder)
        return json.loads((pathlib.Path(self.folder) / out / "diagnosis.json").read_text(encoding="utf-8"))["samplers"][0]["checks"]

    def test_exact_draws_are_not_accused(self):
        problems = self.problems()
        self.assertEqual(len(problems), RUNS)
        with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            results = list(pool.map(self.judge, range(RUNS), problems))
        verdicts = collections.Counter(check["verdict"] for checks in results for check in checks)
        failed, alarmed, told = 0, 0, []
        for number, (problem, checks) in enumerate(zip(problems, results)):
            judged = [check for check in checks if check["interval"] is not None]
            self.assertGreaterEqual(len(judged), 5, problem)
            fails = [check for check in checks if check["verdict"] == "fail"]
            alarms = [check for check in judged if check["interval"][0] > MARGIN_FRACTION * check["margin"]]
            failed += bool(fails)
            alarmed += bool(alarms)
            told += [f"{problem}, seed {1000 + number}: {check['id']} effect {check['effect']:.3g} {check['interval']}, {check['finding']}"
                     for check in fails + [check for check in alarms if check not in fails]]
        total = sum(verdicts.values())
        summary = (f"{RUNS} runs, {total} verdicts: {dict(verdicts)}; {failed} runs with a failed check, "
                   f"{alarmed} runs with a lower end beyond a hundredth of its margin")
        print("\n".join([summary, *told]))
        self.assertLessEqual(verdicts["fail"], 0.01 * total, summary)
        quantile = binomial_quantile(RUNS, 0.01, 1e-4)
        self.assertLessEqual(failed, quantile, summary)
        self.assertLessEqual(alarmed, quantile, summary)


if __name__ == "__main__":
    unittest.main()
