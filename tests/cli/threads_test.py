#!/usr/bin/env python3
"""The same seed gives the same bytes, whatever the number of threads.

No randomness: nothing here can fail by chance.
"""

import json
import unittest

from command import FAIL, INCONCLUSIVE, PASS, CommandTest, without_seconds

PROBLEMS = {
    "three-atoms": ("--set", "run.particles=300", "--set", "grid.steps=12"),
    # Enough particles for several tiles, so that there is something to combine in order.
    "digits-superres": ("--set", "run.particles=150", "--set", "grid.steps=6"),
}
SAMPLERS = ("exact", "dps-sigma", "dps-zeta", "pigdm", "tmpd", "dmps", "dps", "lens-sde")
THREADS = (1, 2, 4)


class ThreadsTest(CommandTest):
    def options(self, problem, precision):
        return (problem, *PROBLEMS[problem], "--set", f"run.precision={precision}", "--seed", "5")

    def check_sample(self, problem, precision):
        for sampler in SAMPLERS:
            with self.subTest(sampler=sampler):
                contents = []
                for threads in THREADS:
                    self.succeed(
                        "sample",
                        *self.options(problem, precision),
                        "--sampler",
                        sampler,
                        "--threads",
                        threads,
                        "--out",
                        "t.npz",
                    )
                    contents.append((self.folder / "t.npz").read_bytes())
                self.assertEqual([content == contents[0] for content in contents], [True] * len(THREADS))

    def check_diagnosis(self, problem, precision):
        diagnoses = []
        for threads in THREADS:
            result = self.succeed(
                "diagnose",
                *self.options(problem, precision),
                "--sampler",
                "pigdm",
                "--sampler",
                "tmpd",
                "--threads",
                threads,
                "--json",
                "--out",
                "run",
                codes=(PASS, FAIL, INCONCLUSIVE),
            )
            diagnoses.append(json.dumps(without_seconds(json.loads(result.stdout)), indent=1))
        for threads, diagnosis in zip(THREADS[1:], diagnoses[1:]):
            self.assertEqual(diagnosis, diagnoses[0], f"{threads} threads and 1 disagree")

    def test_sample_of_three_atoms_in_double_precision(self):
        self.check_sample("three-atoms", "f64")

    def test_sample_of_three_atoms_in_single_precision(self):
        self.check_sample("three-atoms", "f32")

    def test_sample_of_digits_in_double_precision(self):
        self.check_sample("digits-superres", "f64")

    def test_sample_of_digits_in_single_precision(self):
        self.check_sample("digits-superres", "f32")

    def test_diagnosis_of_three_atoms(self):
        for precision in ("f64", "f32"):
            self.check_diagnosis("three-atoms", precision)

    def test_diagnosis_of_digits(self):
        for precision in ("f64", "f32"):
            self.check_diagnosis("digits-superres", precision)

    def test_seed_and_precision_matter(self):
        contents = set()
        for seed, precision in ((5, "f64"), (6, "f64"), (5, "f32")):
            self.succeed(
                "sample",
                "digits-superres",
                *PROBLEMS["digits-superres"],
                "--set",
                f"run.precision={precision}",
                "--seed",
                seed,
                "--sampler",
                "pigdm",
                "--out",
                "t.npz",
            )
            contents.add((self.folder / "t.npz").read_bytes())
        self.assertEqual(len(contents), 3)


if __name__ == "__main__":
    unittest.main()
