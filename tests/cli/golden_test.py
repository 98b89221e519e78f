#!/usr/bin/env python3
"""`fslens eval` gives the reference values of tests/golden, and the log-likelihoods of the plain oracle.

No randomness: nothing here can fail by chance.
"""

import importlib.util
import math
import sys
import unittest

import numpy as np

from command import ROOT, CommandTest

GOLDEN = ROOT / "tests" / "golden"
TOLERANCE = {"f64": 1e-9, "f32": 1e-4}  # of max(1, largest |reference| of the row): golden/README.md
ORACLE_TOLERANCE = 1e-8

# What FIELDS.npz always holds.
LENS_KEYS = (
    "alpha_bar",
    "denoiser_mean",
    "denoiser_variance",
    "prior_score",
    "log_prior_density",
    "posterior_denoiser_mean",
    "posterior_denoiser_variance",
    "posterior_score_lens",
    "likelihood_score_lens",
    "log_likelihood_lens",
    "log_posterior_density",
    "log_posterior_weights",
    "log_evidence",
)
# Those with a proven bound beside them, where the prior is atoms.
BOUNDED_KEYS = LENS_KEYS[1:11]
DIFFERENTIABLE = ("dps_sigma", "dps_zeta")
AFFINE = ("pigdm_flat", "pigdm_unit", "tmpd", "dmps")
# What a reference file gives to the command, or keeps for the reader: all else is a field.
NOT_FIELDS = {"atoms", "x", "t", "y", "noise_scale", "beta_min", "beta_max", "zeta", "matrix", "bias", "residual_norm"}


def load_oracle():
    path = ROOT / "tests" / "oracle" / "lens_oracle.py"
    spec = importlib.util.spec_from_file_location("lens_oracle", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["lens_oracle"] = module
    spec.loader.exec_module(module)
    return module


def scaled_errors(value, reference):
    """|value − reference| / max(1, largest |reference| of its row), one number a row; a number is its own row."""
    error, size = np.abs(value - reference), np.abs(reference)
    if error.ndim > 1:
        error, size = error.max(axis=1), size.max(axis=1)
    return error / np.maximum(1, size)


def log_normaliser_of_norm(c, m):
    """log of the constant that makes exp(−c |r|) integrate to 1 over r in m dimensions: the oracle leaves it out."""
    log_sphere = math.log(2) + m / 2 * math.log(math.pi) - math.lgamma(m / 2)
    log_radial = math.lgamma(m) - m * math.log(c)  # of the integral of r^(m-1) exp(-c r)
    return -(log_sphere + log_radial)


class GoldenTest(CommandTest):
    maxDiff = None

    def assert_close(self, name, value, reference, tolerance):
        self.assertEqual(value.dtype, np.float64, name)
        self.assertEqual(value.shape, reference.shape, name)
        errors = np.atleast_1d(scaled_errors(value, reference))
        worst = int(np.argmax(errors)) if not np.any(np.isnan(errors)) else int(np.argmax(np.isnan(errors)))
        # not (<=): a NaN is a failure
        self.assertTrue(
            errors[worst] <= tolerance,
            f"{name}, row {worst}: error {errors[worst]:.3g}, tolerance {tolerance}\n"
            f"value     {np.atleast_1d(value)[worst]}\nreference {np.atleast_1d(reference)[worst]}",
        )

    def evaluate(self, tables, x, t, methods, precision):
        problem = self.write_problem(tables)
        np.savez(self.folder / "at.npz", x=x, t=t)
        options = [item for method in methods for item in ("--method", method)]
        self.succeed("eval", problem, "--at", "at.npz", *options, "--precision", precision, "--out", "fields.npz")
        with np.load(self.folder / "fields.npz") as fields:
            return {key: fields[key] for key in fields.files}

    def operator(self, reference):
        if "matrix" not in reference:
            return {"kind": "square"}
        return {
            "kind": "matrix",
            "matrix": self.save("matrix.npy", reference["matrix"]),
            "bias": self.save("bias.npy", reference["bias"]),
        }

    def evaluate_atoms(self, reference, precision):
        tables = {
            "prior": {"kind": "atoms", "atoms": self.save("atoms.npy", reference["atoms"]), "complete": True},
            "schedule": {
                "kind": "vp-linear",
                "beta_min": float(reference["beta_min"]),
                "beta_max": float(reference["beta_max"]),
            },
            "operator": self.operator(reference),
            "noise": {"sigma": float(reference["noise_scale"])},
            "measurement": {"y": self.save("y.npy", reference["y"])},
            "modes": {"kind": "atoms"},
        }
        methods = ["dps-sigma", f"dps-zeta:zeta={float(reference['zeta'])!r}"]
        if "matrix" in reference:
            methods += ["pigdm:r2=flat", "pigdm:r2=unit", "tmpd", "dmps"]
        return self.evaluate(tables, reference["x"], reference["t"], methods, precision)

    def assert_bounded(self, reference, fields, later):
        """Within the bound, one rounding of the reference, and a few units of the clock: the reference's a(t), s(t)² are not rounded
        to float64 as those are that the bounds take for exact. `later` are precise fields now and at 1 + 1e-7 times t."""

        def size(values):
            return np.linalg.norm(values, axis=1) if values.ndim > 1 else np.abs(values)

        for key in BOUNDED_KEYS:
            with self.subTest(bounded=key):
                bound, wanted = fields[f"{key}_error"], reference[key]
                self.assertEqual((bound.dtype, bound.shape), (np.float64, (len(wanted),)))
                allowed = bound + 2.0**-53 * size(wanted) + 2.0**-50 * size(later[1][key] - later[0][key]) / 1e-7
                self.assertTrue(np.all(size(fields[key] - wanted) <= allowed), f"{key}: {size(fields[key] - wanted) / allowed}")

    def check_atoms(self, name):
        with np.load(GOLDEN / f"{name}.npz") as file:
            reference = {key: file[key] for key in file.files}
        methods = DIFFERENTIABLE + (AFFINE if "matrix" in reference else ())
        promised = set(LENS_KEYS) | {f"likelihood_score_{method}" for method in methods}
        self.assertEqual(
            set(reference) - NOT_FIELDS, promised, "the reference does not cover what the interface promises"
        )
        bounds = {f"{key}_error" for key in BOUNDED_KEYS}
        later = [self.evaluate_atoms({**reference, "t": reference["t"] * factor}, "f64") for factor in (1, 1 + 1e-7)]
        for precision in TOLERANCE:
            fields = self.evaluate_atoms(reference, precision)
            self.assertEqual(set(fields), promised | bounds | {f"log_likelihood_{method}" for method in methods})
            self.assert_bounded(reference, fields, later)
            for key in sorted(promised):
                with self.subTest(precision=precision, key=key):
                    self.assert_close(key, fields[key], reference[key], TOLERANCE[precision])
            if precision == "f64":
                self.check_oracle(reference, fields, methods)

    def check_oracle(self, reference, fields, methods):
        oracle = load_oracle()
        lens = oracle.lens_of_reference(reference, np.longdouble)
        specs = {
            "dps_sigma": {"method": "dps-sigma"},
            "dps_zeta": {"method": "dps-zeta", "zeta": float(reference["zeta"])},
            "pigdm_flat": {"method": "pigdm", "r2": "flat"},
            "pigdm_unit": {"method": "pigdm", "r2": "unit"},
            "tmpd": {"method": "tmpd"},
            "dmps": {"method": "dmps"},
        }
        for method in methods:
            wanted = np.zeros(len(reference["t"]), dtype=np.longdouble)
            for t in np.unique(reference["t"]):
                rows = np.flatnonzero(reference["t"] == t)
                wanted[rows] = lens.guidance(x=reference["x"][rows], t=t, **specs[method])[1]
            if method == "dps_zeta":
                wanted += log_normaliser_of_norm(
                    2 * float(reference["zeta"]) / float(reference["noise_scale"]) ** 2, len(lens.y)
                )
            with self.subTest(oracle=method):
                self.assert_close(method, fields[f"log_likelihood_{method}"], wanted, ORACLE_TOLERANCE)

    def test_tolerance_and_precision(self):
        """Flag over --set over file; a tolerance over a precision; f32 is 1e-6 and f64 1e-12, the default."""
        with np.load(GOLDEN / "clusters_8d.npz") as file:
            np.savez(self.folder / "at.npz", x=file["x"], t=file["t"])
            tables = {
                "prior": {"atoms": self.save("atoms.npy", file["atoms"]), "complete": True},
                "operator": {"kind": "identity"},
                "noise": {"sigma": 0.5},
                "measurement": {"y": self.save("y.npy", file["atoms"][0])},
                "modes": {"kind": "atoms"},
            }

        def fields(*options, **run):
            problem = self.write_problem({**tables, "run": run} if run else tables)
            self.succeed("eval", problem, "--at", "at.npz", *options, "--out", "fields.npz")
            return (self.folder / "fields.npz").read_bytes()

        double, single, coarse = fields(), fields("--tolerance", "1e-6"), fields("--tolerance", "0.1")
        self.assertEqual(len({double, single, coarse}), 3)
        for wanted, got in (
            (double, fields("--precision", "f64")),
            (double, fields("--precision", "f64", precision="f32")),
            (double, fields("--set", "run.precision=f64", tolerance=0.1)),
            (double, fields("--precision", "f64", "--set", "run.tolerance=0.1")),
            (single, fields("--precision", "f32")),
            (single, fields(precision="f32")),
            (single, fields("--precision", "f64", "--tolerance", "1e-6", tolerance=0.1)),
            (coarse, fields(tolerance=0.1)),
            (coarse, fields(tolerance=0.1, precision="f32")),
            (coarse, fields("--set", "run.tolerance=0.1", precision="f32")),
        ):
            self.assertEqual(got, wanted)

    def test_exact_scan(self):
        """Without skipping the fields are the same within both bounds."""
        np.savez(self.folder / "at.npz", x=np.linspace(-2, 2, 9)[:, None], t=np.full(9, 0.2))
        results = []
        for options in ([], ["--exact-scan"], ["--set", "run.exact_scan=true"]):
            self.succeed("eval", "three-atoms", "--at", "at.npz", *options, "--out", "fields.npz")
            with np.load(self.folder / "fields.npz") as fields:
                results.append({key: fields[key] for key in fields.files})
        for key in BOUNDED_KEYS:
            allowed = results[0][f"{key}_error"] + results[1][f"{key}_error"]
            difference = np.abs(results[1][key] - results[0][key]).reshape(9)
            self.assertTrue(np.all(difference <= allowed), key)
            np.testing.assert_array_equal(results[1][key], results[2][key])

    def test_tri_atoms_1d(self):
        self.check_atoms("tri_atoms_1d")

    def test_clusters_2d(self):
        self.check_atoms("clusters_2d")

    def test_clusters_8d(self):
        self.check_atoms("clusters_8d")

    def test_clusters_64d(self):
        self.check_atoms("clusters_64d")

    def test_square_4d(self):
        self.check_atoms("square_4d")

    def analytic_prior(self, reference):
        if "means" not in reference:
            cov = np.atleast_2d(reference["cov"])
            return {
                "kind": "gaussian",
                "mean": self.save("mean.npy", np.atleast_1d(reference["mean"])),
                "cov": self.save("cov.npy", cov),
            }
        means = reference["means"]
        means = means[:, None] if means.ndim == 1 else means
        return {
            "kind": "gmm",
            "means": self.save("means.npy", means),
            "covs": self.save("covs.npy", reference["covs"]),
            "weights": self.save("weights.npy", reference["weights"]),
        }

    def check_analytic(self, name):
        with np.load(GOLDEN / f"{name}.npz") as file:
            reference = {key: file[key] for key in file.files}
        x = reference["x"].reshape(len(reference["x"]), -1)
        num_times, num_points, d = len(reference["t"]), *x.shape
        tables = {
            "prior": self.analytic_prior(reference),
            "schedule": {"kind": "vp-linear"},
            "operator": self.operator(reference),
            "noise": {"sigma": float(reference["noise_scale"])},
            "measurement": {"y": self.save("y.npy", reference["y"])},
        }
        rows = num_times * num_points
        vector, number = (rows, d), (rows,)
        covariance = reference["denoiser_cov"].reshape(rows, d, d)
        wanted = {
            "log_prior_density": (np.exp, reference["marginal_density"].reshape(number)),
            "prior_score": (None, reference["marginal_score"].reshape(vector)),
            "denoiser_mean": (None, reference["denoiser_mean"].reshape(vector)),
            "denoiser_variance": (None, np.trace(covariance, axis1=1, axis2=2)),
            "log_likelihood_lens": (np.exp, reference["likelihood_density"].reshape(number)),
            "likelihood_score_lens": (None, reference["likelihood_score"].reshape(vector)),
            "log_posterior_density": (np.exp, reference["posterior_density"].reshape(number)),
            "posterior_score_lens": (None, reference["posterior_score"].reshape(vector)),
        }
        for precision in TOLERANCE:
            fields = self.evaluate(
                tables, np.tile(x, (num_times, 1)), np.repeat(reference["t"], num_points), [], precision
            )
            self.assertEqual(set(fields), set(LENS_KEYS))
            for key, (transform, value) in wanted.items():
                with self.subTest(precision=precision, key=key):
                    self.assert_close(
                        key, transform(fields[key]) if transform else fields[key], value, TOLERANCE[precision]
                    )

    def test_gaussian_1d(self):
        self.check_analytic("gaussian_1d")

    def test_gaussian_3d(self):
        self.check_analytic("gaussian_3d")

    def test_gmm_1d(self):
        self.check_analytic("gmm_1d")

    def test_gmm_3d(self):
        self.check_analytic("gmm_3d")

    def test_no_reference_file_is_left_out(self):
        tested = {name.removeprefix("test_") for name in dir(self) if name.startswith("test_")}
        self.assertLessEqual({path.stem for path in GOLDEN.glob("*.npz")}, tested)


if __name__ == "__main__":
    unittest.main()
