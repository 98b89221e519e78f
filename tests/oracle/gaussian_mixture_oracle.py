#!/usr/bin/env python3
"""Analytic prior sum_k weights_k N(means_k, covs_k) under x_t = a x_0 + s eps and y = matrix x_0 + bias + N(0, noise).

One component is the Gaussian prior. Plain dense algebra, one point at a time through numpy.linalg.

    python3 gaussian_mixture_oracle.py [FOLDER]     compares with gaussian_*.npz and gmm_*.npz in FOLDER
"""

import math
import pathlib
import sys

import numpy as np

from lens_oracle import TOLERANCE, VpLinear, scaled_error


class GaussianMixture:
    def __init__(self, weights, means, covs):
        self.means = np.atleast_2d(np.asarray(means, dtype=float))
        self.covs = np.asarray(covs, dtype=float)
        self.log_weights = np.log(np.asarray(weights, dtype=float))

    def log_components(self, x, a, s2):
        """log weights_k N(x; a mean_k, a^2 cov_k + s2 I) and the whitened residuals G_k^-1 (x - a mean_k)."""
        d = x.size
        log_terms, whitened, kernels = [], [], []
        for log_weight, mean, cov in zip(self.log_weights, self.means, self.covs):
            kernel = a * a * cov + s2 * np.eye(d)
            residual = x - a * mean
            solved = np.linalg.solve(kernel, residual)
            log_det = np.linalg.slogdet(kernel)[1]
            log_terms.append(log_weight - (residual @ solved + log_det + d * math.log(2 * math.pi)) / 2)
            whitened.append(solved)
            kernels.append(kernel)
        return np.array(log_terms), np.array(whitened), kernels

    def log_density_and_score(self, x, a, s2):
        log_terms, whitened, _ = self.log_components(x, a, s2)
        peak = log_terms.max()
        log_density = peak + math.log(np.exp(log_terms - peak).sum())
        return log_density, -np.exp(log_terms - log_density) @ whitened

    def denoise(self, x, a, s2):
        """E[x_0 | x_t] and Cov[x_0 | x_t]."""
        log_terms, whitened, kernels = self.log_components(x, a, s2)
        responsibilities = np.exp(log_terms - log_terms.max())
        responsibilities /= responsibilities.sum()
        means = np.array([mean + a * cov @ v for mean, cov, v in zip(self.means, self.covs, whitened)])
        mean = responsibilities @ means
        cov = np.zeros((x.size, x.size))
        for weight, m, c, kernel in zip(responsibilities, means, self.covs, kernels):
            inner = c - a * a * c @ np.linalg.solve(kernel, c)
            cov += weight * (inner + np.outer(m - mean, m - mean))
        return mean, cov

    def posterior(self, matrix, bias, noise_covariance, y):
        """The mixture p(x_0 | y)."""
        log_weights, means, covs = [], [], []
        for log_weight, mean, cov in zip(self.log_weights, self.means, self.covs):
            residual = y - matrix @ mean - bias
            evidence_cov = matrix @ cov @ matrix.T + noise_covariance
            gain = np.linalg.solve(evidence_cov, matrix @ cov).T
            log_det = np.linalg.slogdet(evidence_cov)[1]
            quadratic = residual @ np.linalg.solve(evidence_cov, residual)
            log_weights.append(log_weight - (quadratic + log_det + y.size * math.log(2 * math.pi)) / 2)
            means.append(mean + gain @ residual)
            covs.append(cov - gain @ matrix @ cov)
        log_weights = np.array(log_weights)
        log_evidence = log_weights.max() + math.log(np.exp(log_weights - log_weights.max()).sum())
        posterior = GaussianMixture(np.exp(log_weights - log_evidence), means, covs)
        posterior.log_weights = log_weights - log_evidence  # exact even where exp underflows
        return posterior, log_evidence


def mixture_of_reference(reference):
    if "means" in reference:
        means = reference["means"]
        means = means[:, None] if means.ndim == 1 else means
        covs = reference["covs"]
        covs = covs[:, None, None] if covs.ndim == 1 else covs
        return GaussianMixture(reference["weights"], means, covs)
    mean = np.atleast_1d(reference["mean"])
    return GaussianMixture([1.0], mean[None], np.atleast_2d(reference["cov"])[None])


def evaluate_reference(reference):
    prior = mixture_of_reference(reference)
    schedule = VpLinear()
    y = np.atleast_1d(reference["y"])
    noise = float(reference["noise_scale"]) ** 2 * np.eye(y.size)
    posterior, log_evidence = prior.posterior(reference["matrix"], reference["bias"], noise, y)
    points = reference["x"].reshape(len(reference["x"]), -1)
    columns = {key: [] for key in ("marginal_density", "marginal_score", "denoiser_mean", "denoiser_cov",
                                   "likelihood_density", "likelihood_score", "posterior_density", "posterior_score")}
    for t in reference["t"]:
        a, s2 = float(schedule.a(t)), float(schedule.s2(t))
        for x in points:
            log_p, score = prior.log_density_and_score(x, a, s2)
            log_q, posterior_score = posterior.log_density_and_score(x, a, s2)
            mean, cov = prior.denoise(x, a, s2)
            row = (math.exp(log_p), score, mean, cov, math.exp(log_q + log_evidence - log_p), posterior_score - score,
                   math.exp(log_q), posterior_score)
            for key, value in zip(columns, row):
                columns[key].append(value)
    return {key: np.array(column).reshape(reference[key].shape) for key, column in columns.items()}


def check_folder(folder):
    failures = files = 0
    for path in sorted(folder.glob("*.npz")):
        reference = dict(np.load(path))
        if "marginal_density" not in reference:
            continue
        files += 1
        values = evaluate_reference(reference)
        errors = {}
        for key, value in values.items():
            # Rows are single (t, x) pairs; densities are compared one by one.
            rows = value.shape[0] * value.shape[1]
            errors[key] = scaled_error(value.reshape(rows, -1), reference[key].reshape(rows, -1))
        bad = sorted(key for key, error in errors.items() if not error <= TOLERANCE)
        worst = max(errors, key=errors.get)
        print(f"{path.name:18} float64     {len(errors):2} keys, worst {errors[worst]:.2e} ({worst})  {'FAIL' if bad else 'ok'}")
        for key in bad:
            print(f"    {key}: {errors[key]}")
        failures += len(bad)
    if files == 0:
        print(f"no analytic reference files in {folder}")
        failures += 1
    return failures


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "golden"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    return 1 if check_folder(folder) else 0


if __name__ == "__main__":
    sys.exit(main())
