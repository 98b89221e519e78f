#!/usr/bin/env python3
"""Naive finite-sample lens and guidance scores: direct differences, dense solves, no cleverness.

Everything is evaluated in the dtype given (float64 or longdouble), from the formulas alone, with arrays of shape
(B, N, d); it is the reference that fast code is compared with, so nothing here is shared with that code.

    python3 lens_oracle.py [FOLDER]     compares with the reference values *.npz in FOLDER (default ../golden)
"""

import math
import pathlib
import sys

import numpy as np

GUIDANCE_METHODS = ("dps-sigma", "dps-zeta", "pigdm", "tmpd", "dmps")
# |value - reference| <= kTolerance * max(1, largest |reference| in its row): the contract of the reference values.
TOLERANCE = 1e-9
# The reference values set dps-zeta to 0 below some residual norm between 4.4e-11 and 2.3e-9, not only where the norm is 0
# as their description says; the formula is smooth there. Those rows are counted and left out of the comparison.
REFERENCE_NORM_CUTOFF = 1e-10


class VpLinear:
    """beta(t) = beta_min + (beta_max - beta_min) t; a^2 = exp(-int beta), s^2 = 1 - a^2, f = -beta/2, g^2 = beta."""

    def __init__(self, beta_min=0.01, beta_max=20.0, dtype=np.float64):
        self.dtype = dtype
        self.beta_min, self.beta_max = dtype(beta_min), dtype(beta_max)

    def log_alpha_bar(self, t):
        t = self.dtype(t)
        return -(self.beta_min * t + (self.beta_max - self.beta_min) * t * t / 2)

    def a(self, t):
        return np.exp(self.log_alpha_bar(t) / 2)

    def s2(self, t):
        return -np.expm1(self.log_alpha_bar(t))

    def beta(self, t):
        return self.beta_min + (self.beta_max - self.beta_min) * self.dtype(t)

    def time_of_log_snr(self, log_snr):
        """t with log(a^2 / s^2) = log_snr: alpha_bar = 1/(1 + e^-l), then the quadratic for t."""
        minus_log_alpha_bar = np.logaddexp(0.0, -np.asarray(log_snr, dtype=float))
        slope = float(self.beta_max - self.beta_min)
        b = float(self.beta_min)
        return 2 * minus_log_alpha_bar / (b + np.sqrt(b * b + 2 * slope * minus_log_alpha_bar))


def log_sum_exp(logits, axis):
    peak = np.max(logits, axis=axis, keepdims=True)
    return np.squeeze(peak, axis) + np.log(np.sum(np.exp(logits - peak), axis=axis))


def cholesky(matrix):
    """Lower factors of a batch of SPD matrices (..., m, m), in the matrices' own precision (LAPACK has no longdouble)."""
    m = matrix.shape[-1]
    factor = np.zeros_like(matrix)
    for j in range(m):
        pivot = matrix[..., j, j] - np.sum(factor[..., j, :j] ** 2, axis=-1)
        if np.any(~(pivot > 0)):
            raise ValueError(f"matrix is not positive definite: pivot {j} is {np.min(pivot)}")
        factor[..., j, j] = np.sqrt(pivot)
        for i in range(j + 1, m):
            partial = matrix[..., i, j] - np.sum(factor[..., i, :j] * factor[..., j, :j], axis=-1)
            factor[..., i, j] = partial / factor[..., j, j]
    return factor


def forward_substitution(factor, rhs):
    """L z = rhs for batches of L (..., m, m) and rhs (..., m)."""
    shape = np.broadcast_shapes(factor.shape[:-1], rhs.shape)
    z = np.zeros(shape, dtype=rhs.dtype)
    for i in range(shape[-1]):
        z[..., i] = (rhs[..., i] - np.sum(factor[..., i, :i] * z[..., :i], axis=-1)) / factor[..., i, i]
    return z


def solve_spd(matrix, rhs):
    factor = cholesky(matrix)
    z = forward_substitution(factor, rhs)
    solution = np.zeros_like(z)
    for i in reversed(range(z.shape[-1])):
        tail = np.sum(factor[..., i + 1 :, i] * solution[..., i + 1 :], axis=-1)
        solution[..., i] = (z[..., i] - tail) / factor[..., i, i]
    return solution


def log_normal(residual, covariance):
    """log N(residual; 0, covariance), (..., m) and (..., m, m) -> (...)."""
    factor = cholesky(covariance)
    z = forward_substitution(factor, residual)
    m = residual.shape[-1]
    log_det = np.sum(np.log(np.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)
    return -np.sum(z * z, axis=-1) / 2 - log_det - m * np.log(2 * residual.dtype.type(math.pi)) / 2


class AffineOperator:
    """A(x) = matrix x + bias."""

    affine = True

    def __init__(self, matrix, bias, dtype=np.float64):
        self.matrix = np.asarray(matrix, dtype=dtype)
        self.bias = np.asarray(bias, dtype=dtype)

    def forward(self, x):
        return x @ self.matrix.T + self.bias

    def vjp(self, x, v):
        return v @ self.matrix


class SquareOperator:
    """A(x) = x^2 elementwise."""

    affine = False

    def forward(self, x):
        return x * x

    def vjp(self, x, v):
        return 2 * x * v


class FiniteSampleLens:
    """Exact posterior of the prior sum_i weights_i delta(atoms_i) under y = A(x) + N(0, noise_covariance)."""

    def __init__(self, atoms, operator, y, noise, schedule=None, weights=None, dtype=np.float64):
        self.dtype = dtype
        self.atoms = np.asarray(atoms, dtype=dtype)
        num_atoms = len(self.atoms)
        self.schedule = schedule or VpLinear(dtype=dtype)
        self.operator = operator
        self.y = np.atleast_1d(np.asarray(y, dtype=dtype))
        noise = np.asarray(noise, dtype=dtype)
        m = self.y.size
        if noise.ndim < 2:  # a scale, common or one per measurement
            noise = np.diag((noise * np.ones(m, dtype=dtype)) ** 2)
        self.noise_covariance = noise
        weights = np.full(num_atoms, 1 / dtype(num_atoms)) if weights is None else np.asarray(weights, dtype=dtype)
        self.log_weights = np.log(weights / weights.sum())
        self.atom_log_likelihood = log_normal(self.y - operator.forward(self.atoms), noise)
        joint = self.log_weights + self.atom_log_likelihood
        self.log_evidence = log_sum_exp(joint, axis=0)
        self.log_posterior_weights = joint - self.log_evidence

    def moments(self, x, t, logits_at_zero):
        """(log normaliser, responsibilities (B, N), mean (B, d), x_i - mean (B, N, d)) of one soft assignment."""
        a, s2 = self.schedule.a(t), self.schedule.s2(t)
        x = np.asarray(x, dtype=self.dtype)
        difference = x[:, None, :] - a * self.atoms[None, :, :]
        logits = logits_at_zero - np.sum(difference**2, axis=-1) / (2 * s2)
        log_normaliser = log_sum_exp(logits, axis=1)
        responsibilities = np.exp(logits - log_normaliser[:, None])
        mean = responsibilities @ self.atoms
        return log_normaliser, responsibilities, mean, self.atoms[None, :, :] - mean[:, None, :]

    def fields(self, x, t):
        """Every lens field of one time; x (B, d)."""
        x = np.asarray(x, dtype=self.dtype)
        a, s2 = self.schedule.a(t), self.schedule.s2(t)
        d = x.shape[1]
        log_gaussian = -d * np.log(2 * self.dtype(math.pi) * s2) / 2
        prior_log, prior_w, mean, centred = self.moments(x, t, self.log_weights)
        posterior_log, posterior_w, posterior_mean, posterior_centred = self.moments(x, t, self.log_posterior_weights)
        return {
            "alpha_bar": np.full(len(x), np.exp(self.schedule.log_alpha_bar(t))),
            "log_prior_density": prior_log + log_gaussian,
            "denoiser_mean": mean,
            "denoiser_variance": np.sum(prior_w * np.sum(centred**2, axis=-1), axis=1),
            "prior_score": (a * mean - x) / s2,
            "log_posterior_density": posterior_log + log_gaussian,
            "posterior_denoiser_mean": posterior_mean,
            "posterior_denoiser_variance": np.sum(posterior_w * np.sum(posterior_centred**2, axis=-1), axis=1),
            "posterior_score_lens": (a * posterior_mean - x) / s2,
            "likelihood_score_lens": (a / s2) * (posterior_mean - mean),
            "log_likelihood_lens": posterior_log + self.log_evidence - prior_log,
        }

    def guidance(self, method, x, t, zeta=1.0, weight="precision", r2="unit"):
        """(likelihood score (B, d), log-likelihood (B,), residual norm (B,)) of one approximation.

        The log-likelihood of dps-zeta is the potential whose gradient the score is, -c |r| without a normaliser, and
        nan where Sigma_n is not a multiple of the identity (then the score is not a gradient).
        """
        if method == "lens":
            fields = self.fields(x, t)
            return fields["likelihood_score_lens"], fields["log_likelihood_lens"], np.full(len(x), np.nan)
        x = np.asarray(x, dtype=self.dtype)
        a, s2 = self.schedule.a(t), self.schedule.s2(t)
        _, responsibilities, mean, centred = self.moments(x, t, self.log_weights)
        residual = self.y - self.operator.forward(mean)
        residual_norm = np.sqrt(np.sum(residual**2, axis=-1))
        if method in ("dps-sigma", "dps-zeta"):
            scaled, log_likelihood = self._dps(method, residual, residual_norm, zeta, weight)
            direction = self.operator.vjp(mean, scaled)
        else:
            if not self.operator.affine:
                raise ValueError(f"{method} needs an affine operator")
            matrix = self.operator.matrix
            gram = matrix @ matrix.T
            if method == "dmps":
                residual = self.y - self.operator.forward(x / a)
                covariance = self.noise_covariance + (s2 / a**2) * gram
                score = (solve_spd(covariance, residual) @ matrix) / a
                return score, log_normal(residual, covariance), residual_norm
            covariance = self._pigdm_or_tmpd_covariance(method, r2, gram, a, s2, responsibilities, centred)
            direction = solve_spd(covariance, residual) @ matrix
            log_likelihood = log_normal(residual, covariance)
        # J^T v = (a/s^2) sum_i w_i (x_i - m) <x_i - m, v>
        inner = np.einsum("bnd,bd->bn", centred, direction)
        score = (a / s2) * np.einsum("bn,bnd->bd", responsibilities * inner, centred)
        return score, log_likelihood, residual_norm

    def _dps(self, method, residual, residual_norm, zeta, weight):
        weighted = solve_spd(self.noise_covariance, residual)
        if method == "dps-sigma":
            return weighted, log_normal(residual, self.noise_covariance)
        zeta = self.dtype(zeta)
        safe_norm = np.where(residual_norm > 0, residual_norm, 1)
        factor = np.where(residual_norm > 0, zeta / safe_norm, 0)[:, None]
        if weight == "none":
            return factor * residual, -zeta * residual_norm
        if weight != "precision":
            raise ValueError(f"weight {weight!r} is neither 'precision' nor 'none'")
        variance = self.noise_covariance[0, 0]
        isotropic = np.array_equal(self.noise_covariance, variance * np.eye(self.y.size, dtype=self.dtype))
        potential = -2 * zeta * residual_norm / variance if isotropic else np.full_like(residual_norm, np.nan)
        return 2 * factor * weighted, potential

    def _pigdm_or_tmpd_covariance(self, method, r2, gram, a, s2, responsibilities, centred):
        if method == "tmpd":
            projected = centred @ self.operator.matrix.T
            return np.einsum("bn,bnk,bnl->bkl", responsibilities, projected, projected) + self.noise_covariance
        if method != "pigdm":
            raise ValueError(f"unknown method {method!r}")
        variance = {"unit": s2 / (a * a + s2), "flat": s2 / (a * a)}[r2]
        return variance * gram + self.noise_covariance


def lens_of_reference(reference, dtype):
    operator = SquareOperator()
    if "matrix" in reference:
        operator = AffineOperator(reference["matrix"], reference["bias"], dtype)
    schedule = VpLinear(reference["beta_min"], reference["beta_max"], dtype)
    return FiniteSampleLens(
        reference["atoms"], operator, reference["y"], reference["noise_scale"], schedule, None, dtype
    )


def evaluate_reference(reference, dtype):
    """All arrays of one reference file, rows in the file's order."""
    lens = lens_of_reference(reference, dtype)
    columns = {}
    for t in np.unique(reference["t"]):
        rows = np.flatnonzero(reference["t"] == t)
        x = reference["x"][rows]
        values = lens.fields(x, t)
        zeta = float(reference["zeta"])
        score, _, norm = lens.guidance("dps-zeta", x, t, zeta=zeta)
        values["likelihood_score_dps_zeta"], values["residual_norm"] = score, norm
        values["likelihood_score_dps_sigma"] = lens.guidance("dps-sigma", x, t)[0]
        if lens.operator.affine:
            for r2 in ("flat", "unit"):
                values[f"likelihood_score_pigdm_{r2}"] = lens.guidance("pigdm", x, t, r2=r2)[0]
            for method in ("tmpd", "dmps"):
                values[f"likelihood_score_{method}"] = lens.guidance(method, x, t)[0]
        for key, value in values.items():
            if key not in columns:
                columns[key] = np.zeros((len(reference["t"]),) + value.shape[1:], dtype=dtype)
            columns[key][rows] = value
    columns["log_posterior_weights"] = lens.log_posterior_weights
    columns["log_evidence"] = np.asarray(lens.log_evidence)
    return columns


def scaled_error(value, reference):
    """Largest |value - reference| / max(1, largest |reference| of the row); rows are the first axis of 2-D arrays."""
    error, size = np.abs(value - reference), np.abs(reference)
    if error.ndim > 1:
        axes = tuple(range(1, error.ndim))
        error, size = error.max(axis=axes), size.max(axis=axes)
    return float(np.max(error / np.maximum(1, size)))


INPUTS = {"atoms", "x", "t", "y", "noise_scale", "beta_min", "beta_max", "zeta", "matrix", "bias"}


def check_folder(folder):
    """Prints the worst key of every finite-sample reference file; returns the number of failures."""
    failures = files = 0
    for path in sorted(folder.glob("*.npz")):
        reference = dict(np.load(path))
        if "atoms" not in reference:
            continue
        files += 1
        for dtype in (np.float64, np.longdouble):
            values = evaluate_reference(reference, dtype)
            expected = set(reference) - INPUTS
            missing = expected - set(values)
            norm, zeta_score = reference["residual_norm"], reference["likelihood_score_dps_zeta"]
            cut = (norm > 0) & (norm < REFERENCE_NORM_CUTOFF) & np.all(zeta_score == 0, axis=1)
            values["likelihood_score_dps_zeta"][cut] = 0
            errors = {key: scaled_error(values[key], reference[key]) for key in expected - missing}
            bad = sorted(key for key, error in errors.items() if not error <= TOLERANCE)
            worst = max(errors, key=errors.get)
            verdict = "FAIL" if bad or missing else "ok"
            print(f"{path.name:18} {dtype.__name__:11} {len(errors):2} keys, worst {errors[worst]:.2e} ({worst})  {verdict}"
                  + (f"  [{cut.sum()} dps-zeta rows cut by the reference]" if cut.any() else ""))
            for key in bad + sorted(missing):
                print(f"    {key}: {errors.get(key, 'not computed')}")
            failures += len(bad) + len(missing)
    if files == 0:
        print(f"no finite-sample reference files in {folder}")
        failures += 1
    return failures


def main():
    import gaussian_mixture_oracle

    default = pathlib.Path(__file__).resolve().parent.parent / "golden"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    failures = check_folder(folder) + gaussian_mixture_oracle.check_folder(folder)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
