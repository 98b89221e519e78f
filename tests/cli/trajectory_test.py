#!/usr/bin/env python3
"""A recorded trajectory is judged as the sampler that made it, in whatever form it was stored.

Samplers and references draw from streams of the seed, so that equal times and particles mean equal numbers: nothing
here can fail by chance.
"""

import unittest

import numpy as np

from command import CommandTest

QUICK = ("--set", "run.particles=200", "--set", "grid.steps=40")
MAX_TIMES = 32  # of a recording; more are thinned


# What takes the sampler's own score, which a recording does not have.
SCORE_CURVES = ("score_error", "path_kl")
# What takes its own steps.
STEP_CURVES = ("path_kl_standard_error", "path_kl_rate", "path_kl_likelihood", "path_kl_discretisation", "kl", "law_total_variation")


def judged(sampler):
    """What is measured and concluded from the states; advice is left out, since nobody knows a recording's method."""
    checks = [{key: value for key, value in check.items() if key != "advice"} for check in sampler["checks"]]
    kept = {key: sampler[key] for key in ("status", "message", "particles", "verdict", "final", "final_intervals")}
    curves = {key: curve for key, curve in sampler["curves"].items() if key not in SCORE_CURVES + STEP_CURVES}
    return {**kept, "curves": curves, "checks": checks}


class TrajectoryTest(CommandTest):
    maxDiff = 2000

    def record(self, problem, sampler, *options, out="states.npz"):
        self.succeed("sample", problem, *QUICK, *options, "--sampler", sampler, "--out", out)
        with np.load(self.folder / out) as states:
            return {key: states[key] for key in states.files}

    def judge(self, problem, *options):
        samplers = self.diagnose(problem, *QUICK, *options)["samplers"]
        self.assertEqual(len(samplers), 1)
        return samplers[0]

    def judge_states(self, problem, *options, **arrays):
        np.savez(self.folder / "given.npz", **arrays)
        return judged(self.judge(problem, "--trajectory", "given.npz", *options))

    def assert_near(self, value, wanted, tolerance, where=""):
        """Equal but for rounding in numbers."""
        if isinstance(wanted, float) and isinstance(value, (int, float)):
            self.assertLessEqual(abs(value - wanted), tolerance * max(1, abs(wanted)), where)
        elif isinstance(wanted, dict):
            self.assertEqual(set(value), set(wanted), where)
            for key, item in wanted.items():
                if key not in ("finding", "message"):  # texts hold rounded numbers
                    self.assert_near(value[key], item, tolerance, f"{where}.{key}")
        elif isinstance(wanted, list):
            self.assertEqual(len(value), len(wanted), where)
            for i, item in enumerate(wanted):
                self.assert_near(value[i], item, tolerance, f"{where}[{i}]")
        else:
            self.assertEqual(value, wanted, where)


class EqualsTheSampler(TrajectoryTest):
    def check(self, problem, *options, samplers):
        for sampler in samplers:
            with self.subTest(problem=problem, sampler=sampler):
                self.record(problem, sampler, *options)
                recorded = self.judge(problem, *options, "--trajectory", "states.npz")
                self.assertEqual(recorded["name"], "states")
                for curve in SCORE_CURVES:
                    self.assertEqual(recorded["curves"].get(curve, []), [], curve)
                self.assertEqual(judged(recorded), judged(self.judge(problem, *options, "--sampler", sampler)))

    def test_three_atoms(self):
        self.check("three-atoms", samplers=("pigdm:r2=flat", "dps", "exact"))

    def test_three_atoms_in_single_precision(self):
        self.check("three-atoms", "--set", "run.precision=f32", samplers=("tmpd",))

    def test_two_dimensions(self):
        self.check("gmm-2d", "--seed", "9", samplers=("tmpd",))

    def test_digits(self):
        self.check("digits-superres", "--set", "grid.steps=8", "--set", "run.particles=60", samplers=("pigdm",))


class Forms(TrajectoryTest):
    def test_directory_of_npy(self):
        states = self.record("three-atoms", "pigdm")
        (self.folder / "given").mkdir()
        for key, array in states.items():
            np.save(self.folder / "given" / f"{key}.npy", array)
        self.assertEqual(
            judged(self.judge("three-atoms", "--trajectory", "given")), self.judge_states("three-atoms", **states)
        )

    def test_order_of_times_does_not_matter(self):
        states = self.record("three-atoms", "pigdm")
        order = np.random.default_rng(0).permutation(len(states["t"]))
        self.assertFalse(np.array_equal(order, np.arange(len(order))))
        self.assertEqual(
            self.judge_states("three-atoms", x=states["x"][order], t=states["t"][order]),
            self.judge_states("three-atoms", **states),
        )

    def test_single_precision_and_fortran_order(self):
        states = self.record("three-atoms", "pigdm")
        rounded = states["x"].astype(np.float32)
        self.assertEqual(
            self.judge_states("three-atoms", x=np.asfortranarray(rounded), t=states["t"]),
            self.judge_states("three-atoms", x=rounded.astype(float), t=states["t"]),
        )

    def test_thinning_keeps_the_ends_and_spreads_the_rest(self):
        states = self.record("three-atoms", "pigdm", "--set", "grid.steps=80", "--record", "81")
        num_times = len(states["t"])
        self.assertEqual(num_times, 81)
        thinned = self.judge_states("three-atoms", **states)
        times = thinned["curves"]["t"]
        self.assertEqual(len(times), MAX_TIMES)
        self.assertEqual((times[0], times[-1]), (states["t"][0], states["t"][-1]))
        kept = [j * (num_times - 1) // (MAX_TIMES - 1) for j in range(MAX_TIMES)]
        self.assertEqual(thinned, self.judge_states("three-atoms", x=states["x"][kept], t=states["t"][kept]))

    def test_final_samples_alone(self):
        states = self.record("three-atoms", "exact")
        sampler = self.judge_states("three-atoms", x0=states["x"][-1])
        verdicts = {check["id"]: check["verdict"] for check in sampler["checks"]}
        self.assertEqual(verdicts["early-stopping"], "not-run")
        self.assertEqual(sampler["curves"]["t"], [0.0])
        self.assertNotIn("not-run", (verdicts["mode-weights"], verdicts["distance"]))

    def test_non_finite_states_are_counted(self):
        states = self.record("three-atoms", "exact")
        states["x"][-1, :20] = np.nan
        states["x"][-1, 20:30] = np.inf
        sampler = self.judge_states("three-atoms", **states)
        self.assertEqual(sampler["status"], "diverged")
        self.assertIn("30 of 200", sampler["message"])
        self.assertGreaterEqual(sampler["final"]["diverged"], 30 / 200)

    def test_two_recordings_are_judged_apart(self):
        for sampler in ("exact", "pigdm"):
            self.record("three-atoms", sampler, out=f"{sampler}.npz")
        both = self.diagnose("three-atoms", *QUICK, "--trajectory", "exact.npz", "--trajectory", "pigdm.npz")[
            "samplers"
        ]
        self.assertEqual([sampler["name"] for sampler in both], ["exact", "pigdm"])
        for sampler in both:
            alone = self.judge("three-atoms", "--trajectory", f"{sampler['name']}.npz")
            for judged in (sampler, alone):
                del judged["curves"]["null"]["mode_weights"]  # these bands hold over all that is judged
            self.assertEqual((sampler["final"], sampler["curves"]), (alone["final"], alone["curves"]))


class Sigma(TrajectoryTest):
    """Under a variance-exploding schedule the noise level may stand for the time."""

    def test_sigma_gives_the_times(self):
        low, high = 0.02, 20.0
        for rho in (0.0, 7.0):
            options = [
                "--set",
                "schedule.kind=ve",
                "--set",
                f"schedule.sigma_min={low}",
                "--set",
                f"schedule.sigma_max={high}",
                "--set",
                f"schedule.rho={rho}",
            ]
            with self.subTest(rho=rho):
                states = self.record("three-atoms", "pigdm", *options)
                t = states["t"]
                if rho == 0.0:
                    sigma = low * (high / low) ** t
                else:
                    sigma = (low ** (1 / rho) + t * (high ** (1 / rho) - low ** (1 / rho))) ** rho
                by_time = self.judge_states("three-atoms", *options, **states)
                by_sigma = self.judge_states("three-atoms", *options, x=states["x"], sigma=sigma)
                np.testing.assert_allclose(by_sigma["curves"]["t"], t, rtol=0, atol=1e-9)
                self.assert_near(by_sigma, by_time, 1e-4)

    def test_a_sigma_outside_the_schedule_is_refused(self):
        options = ["--set", "schedule.kind=ve", "--set", "schedule.sigma_min=0.02", "--set", "schedule.sigma_max=20"]
        np.savez(self.folder / "given.npz", x=np.zeros((1, 50, 1)), sigma=np.array([25.0]))
        result = self.run_command(
            "diagnose", "three-atoms", *QUICK, *options, "--trajectory", "given.npz", "--out", "run"
        )
        self.assertEqual(result.returncode, 4, result.stderr)
        for text in ("given.npz", "sigma[0]", "25", "20"):
            self.assertIn(text, result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
