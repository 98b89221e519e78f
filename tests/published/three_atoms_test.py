#!/usr/bin/env python3
"""Three atoms in one dimension: final mode weights and verdicts against the law of each chain, known by quadrature.

Seed 0, 20,000 particles. A weight must lie within 4 binomial standard errors of the chain's own law (6.3e-5 two-sided), a
weight that is 0 in four decimals must hold no more particles than the 1e-4 binomial quantile at probability 5e-5. About 40
such bounds are tested: with another seed a correct program would fail with a probability below 4e-3. Verdicts are far from
their margins unless the test says otherwise.
"""

import unittest

import numpy as np

from judging import JudgingTest, binomial_quantile, diagnosis, final_states, options

PARTICLES = 20000
STANDARD_ERRORS = 4.0
ROUNDING = 5e-5  # of figures with four decimals
SAMPLERS = ("lens-sde", "dps-sigma", "dps-zeta:zeta=0.3", "pigdm:r2=flat", "tmpd", "exact")
LOG_SNR = options(grid__spacing="log-snr", grid__integrator="exponential")


def judge(problem):
    """Six recorded times spread over the run and six more at its end: enough to see where an error is made."""
    arguments = [text for sampler in SAMPLERS for text in ("--sampler", sampler)]
    return diagnosis(problem, *arguments, *options(run__particles=PARTICLES, run__record=6), "--seed", "0")


def judge_log_snr(problem):
    return diagnosis(problem, "--sampler", "lens-sde", *LOG_SNR, *options(run__particles=PARTICLES, run__record=6), "--seed", "0")


class ThreeAtoms(JudgingTest):
    def assert_weights(self, weights, law, count, name):
        """Shares of `count` particles against a law given with four decimals."""
        for k, (weight, probability) in enumerate(zip(weights, law)):
            where = f"{name}: share of atom {k} is {weight}, by quadrature {probability}"
            few = binomial_quantile(count, ROUNDING, 1e-4)
            if probability < ROUNDING:
                self.assertLessEqual(round(weight * count), few, where)
            elif probability > 1 - ROUNDING:
                self.assertLessEqual(round((1 - weight) * count), 2 * few, where)
            else:
                error = np.sqrt(probability * (1 - probability) / count)
                self.assertLessEqual(abs(weight - probability), STANDARD_ERRORS * error + ROUNDING, where)

    def assert_final_weights(self, problem, laws):
        judged = judge(problem)
        for name, law in laws.items():
            with self.subTest(sampler=name):
                sampler = self.sampler(judged, name)
                self.assertEqual(sampler["status"], "ok")
                self.assert_weights(sampler["final"]["mode_weights"], law, PARTICLES, name)

    def assert_passes_everything(self, sampler):
        self.assertEqual(self.not_passed(sampler), {}, sampler["name"])
        self.assertEqual(sampler["verdict"], "pass")


class OnTheLeftmost(ThreeAtoms):
    """y = -1.8, sigma 0.3: the posterior is the leftmost atom."""

    def test_final_weights(self):
        self.assert_final_weights("three-atoms", {
            "lens-sde": (1, 0, 0), "dps-sigma": (1, 0, 0), "dps-zeta zeta=0.3": (1, 0, 0),
            "pigdm r2=flat": (0.9030, 0.0773, 0.0197), "tmpd": (0.9833, 0.0167, 0.0000), "exact": (1, 0, 0)})

    def test_samples_in_excluded_modes_are_hallucinations(self):
        for name in ("pigdm r2=flat", "tmpd"):
            sampler = self.sampler(judge("three-atoms"), name)
            self.assert_verdict(sampler, "fail", "prior-hallucination")
            outside = sum(sampler["final"]["mode_weights"][1:])
            self.assertAlmostEqual(sampler["final"]["prior_hallucination"], outside, places=12)

    def test_dps_sigma_is_too_narrow_on_the_way(self):
        sampler = self.sampler(judge("three-atoms"), "dps-sigma")
        self.assert_verdict(sampler, "fail", "spread")
        self.assert_verdict(sampler, "pass", "mode-weights", "prior-hallucination")
        spread = self.check_of(sampler, "spread")
        self.assertLess(0.05, spread["worst_t"])
        self.assertLess(spread["worst_t"], 0.95)
        curve = dict(zip(sampler["curves"]["t"], sampler["curves"]["spread_ratio"]))
        self.assertLess(curve[spread["worst_t"]], 1.0)

    def test_the_exact_score_fails_only_by_its_last_step(self):
        judged = judge("three-atoms")
        sampler = self.sampler(judged, "lens-sde")
        self.assertEqual(self.not_passed(sampler), {"spread": "fail"})
        spread = self.check_of(sampler, "spread")
        self.assertEqual(spread["worst_t"], sampler["curves"]["t"][-1])
        self.assertIn("grid.spacing=log-snr", spread["advice"])
        self.assertIn("grid.integrator=exponential", spread["advice"])

    def test_the_advice_repairs_it(self):
        self.assert_passes_everything(self.sampler(judge_log_snr("three-atoms"), "lens-sde"))

    def test_exact_draws_pass(self):
        self.assert_passes_everything(self.sampler(judge("three-atoms"), "exact"))


class Ambiguous(ThreeAtoms):
    """y = -0.8, sigma 0.6: two atoms share the posterior."""

    def test_final_weights(self):
        # dps-zeta: .5742/.4244 has been printed, from a grid that ignores the jump of the score at r = 0.
        self.assert_final_weights("three-atoms-ambiguous", {
            "lens-sde": (0.5, 0.5, 0), "dps-sigma": (0.5964, 0.4036, 0.0000), "dps-zeta zeta=0.3": (0.5738, 0.4248, 0.0014),
            "pigdm r2=flat": (0.4315, 0.5176, 0.0509), "tmpd": (0.4916, 0.5006, 0.0079), "exact": (0.5, 0.5, 0)})

    def test_wrong_weights_are_seen(self):
        """dps-sigma's law is .096 off in total variation and the margin .05; pigdm's .069 is too near it to be asked for."""
        judged = judge("three-atoms-ambiguous")
        self.assert_verdict(self.sampler(judged, "dps-sigma"), "fail", "spread", "mode-weights")
        self.assert_verdict(self.sampler(judged, "pigdm r2=flat"), "fail", "prior-hallucination")

    def test_the_exact_score_fails_nothing(self):
        """Nor does it pass everything: a chance deviation of 1.8 standard errors in the weights leaves `distance` undecided. The
        last step's excess does not show beside the spread between two atoms."""
        sampler = self.sampler(judge("three-atoms-ambiguous"), "lens-sde")
        self.assertNotIn("fail", self.not_passed(sampler).values())
        self.assert_verdict(sampler, "pass", "spread", "mode-weights", "prior-hallucination")

    def test_the_exact_score_on_a_log_snr_grid_passes(self):
        self.assert_passes_everything(self.sampler(judge_log_snr("three-atoms-ambiguous"), "lens-sde"))

    def test_exact_draws_pass(self):
        self.assert_passes_everything(self.sampler(judge("three-atoms-ambiguous"), "exact"))


class Between(ThreeAtoms):
    """y = 0.7, sigma 0.3: the published rough figures (.056/.800/.144 and so on) had 4,096 particles, and so do these."""

    def test_final_weights(self):
        atoms = np.array([-1.8, 0.2, 2.2])
        for name, law in {"pigdm:r2=flat": (0.0544, 0.7989, 0.1466), "tmpd": (0.0036, 0.8615, 0.1349),
                          "dps-zeta:weight=none,zeta=0.3": (0.1897, 0.4822, 0.3281)}.items():
            with self.subTest(sampler=name):
                x = final_states("three-atoms-between", name, *options(run__particles=4096), "--seed", "0")
                nearest = np.argmin(np.abs(x - atoms), axis=1)
                self.assert_weights(np.bincount(nearest, minlength=3) / len(x), law, len(x), name)


if __name__ == "__main__":
    unittest.main()
