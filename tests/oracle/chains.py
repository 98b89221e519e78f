#!/usr/bin/env python3
"""Euler-Maruyama chains of score-guided posterior samplers on an empirical prior, vectorised with matrix products.

x <- x + (-f x + g^2 (prior score + likelihood score)) D + g sqrt(D) eps, uniform steps from t_max to t_min, noise on
every step, start N(0, s(t_max)^2 I). The affine operator is A(x) = operator_matrix x + bias, noise N(0, sigma^2 I).

    python3 chains.py             the scores against the naive lens; then three atoms: mode weights of every sampler
    python3 chains.py DIGITS.csv.gz [INDEX]   UCI digits, 2x2 block means, digit INDEX left out: class weights and timing
"""

import gzip
import sys
import time

import numpy as np

from lens_oracle import AffineOperator, FiniteSampleLens, VpLinear, scaled_error

SAMPLERS = (
    ("lens", {}),
    ("dps-sigma", {}),
    ("dps-zeta", {"zeta": 1.0, "weight": "precision"}),
    ("pigdm", {"r2": "unit"}),
    ("pigdm", {"r2": "flat"}),
    ("tmpd", {}),
)


class ChainProblem:
    """What every step needs and no step changes: centred atoms, their projections, and the likelihood of each."""

    def __init__(self, atoms, operator_matrix, bias, y, sigma):
        self.center = np.mean(atoms, axis=0)  # distances are differences of squares: keep the squares small
        self.atoms = np.asarray(atoms, dtype=float)
        self.centred = self.atoms - self.center
        self.centred_square = np.sum(self.centred**2, axis=1)
        self.matrix = np.asarray(operator_matrix, dtype=float)
        self.bias = np.asarray(bias, dtype=float)
        self.y = np.asarray(y, dtype=float)
        self.variance = float(sigma) ** 2
        self.projected = self.centred @ self.matrix.T
        m = self.y.size
        residual = self.y - self.atoms @ self.matrix.T - self.bias
        self.log_likelihood = -np.sum(residual**2, axis=1) / (2 * self.variance)
        self.log_likelihood -= m * np.log(2 * np.pi * self.variance) / 2
        self.products = (self.projected[:, :, None] * self.projected[:, None, :]).reshape(-1, m * m)
        self.gram_values, self.gram_vectors = np.linalg.eigh(self.matrix @ self.matrix.T)

    def posterior_weights(self):
        weights = np.exp(self.log_likelihood - self.log_likelihood.max())
        return weights / weights.sum()

    def logits(self, x, a, s2):
        """-|x - a x_i|^2 / 2 s2 up to a constant of the row: [B, N]."""
        shifted = x - a * self.center
        logits = shifted @ self.centred.T
        logits *= a / s2
        logits -= (a * a / (2 * s2)) * self.centred_square
        return logits


def normalise(logits):
    """softmax of the rows, in place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits


def guided_direction(problem, method, params, weights, a, s2):
    """u [B, m] with likelihood score = J^T A^T u, from the centred responsibilities."""
    mean = weights @ problem.projected  # A (m - center)
    residual = problem.y - problem.bias - problem.matrix @ problem.center - mean
    if method == "dps-sigma":
        return residual / problem.variance, mean
    if method == "dps-zeta":
        norm = np.sqrt(np.sum(residual**2, axis=1, keepdims=True))
        zeta = params.get("zeta", 1.0)
        weight = params.get("weight", "precision")
        factor = {"precision": 2 * zeta / problem.variance, "none": zeta}[weight]
        return np.divide(factor * residual, norm, out=np.zeros_like(residual), where=norm > 0), mean
    if method == "pigdm":
        prior_variance = {"unit": s2 / (a * a + s2), "flat": s2 / (a * a)}[params.get("r2", "unit")]
        spectral = residual @ problem.gram_vectors
        spectral /= prior_variance * problem.gram_values + problem.variance
        return spectral @ problem.gram_vectors.T, mean
    if method == "tmpd":
        m = problem.y.size
        covariance = (weights @ problem.products).reshape(-1, m, m) - mean[:, :, None] * mean[:, None, :]
        covariance += problem.variance * np.eye(m)
        return np.linalg.solve(covariance, residual[:, :, None])[:, :, 0], mean
    raise ValueError(f"unknown method {method!r}")


def posterior_score(problem, method, params, x, a, s2):
    """prior score + approximate likelihood score at one time, [B, d]."""
    logits = problem.logits(x, a, s2)
    if method == "lens":
        logits += problem.log_likelihood
        mean = normalise(logits) @ problem.centred + problem.center
        return (a * mean - x) / s2
    weights = normalise(logits)
    mean = weights @ problem.centred + problem.center
    direction, projected_mean = guided_direction(problem, method, params, weights, a, s2)
    # J^T A^T u = (a/s2) sum_i w_i <A(x_i - m), u> (x_i - center): the weighted inner products sum to zero.
    inner = direction @ problem.projected.T
    inner -= np.sum(direction * projected_mean, axis=1, keepdims=True)
    inner *= weights
    return (a * mean - x) / s2 + (a / s2) * (inner @ problem.centred)


def run_chain(atoms, operator_matrix, bias, y, sigma, method, params, num_particles, steps, t_max, t_min, seed,
              observe=None, schedule=None, block=500):
    """Final states x_{t_min} [num_particles, d]; observe(k, t, x) is called at every grid time with all particles.

    Particles advance in blocks that stay in cache; the draws do not depend on the block size.
    """
    problem = ChainProblem(atoms, operator_matrix, bias, y, sigma)
    schedule = schedule or VpLinear()
    rng = np.random.default_rng(seed)
    times = np.linspace(t_max, t_min, steps + 1)
    x = np.sqrt(schedule.s2(t_max)) * rng.standard_normal((num_particles, problem.atoms.shape[1]))
    if observe is not None:
        observe(0, times[0], x)
    for k, t in enumerate(times[:-1]):
        step = t - times[k + 1]
        a, s2, beta = schedule.a(t), schedule.s2(t), schedule.beta(t)
        noise = rng.standard_normal(x.shape)
        for start in range(0, num_particles, block):
            rows = slice(start, start + block)
            score = posterior_score(problem, method, params, x[rows], a, s2)
            x[rows] += (beta / 2 * x[rows] + beta * score) * step
        x += np.sqrt(beta * step) * noise
        if observe is not None:
            observe(k + 1, times[k + 1], x)
    return x


def nearest_atoms(atoms, x):
    """Index of the closest atom to each x (ties to the first), [B]."""
    center = atoms.mean(axis=0)
    centred = atoms - center
    return np.argmax((x - center) @ centred.T - np.sum(centred**2, axis=1) / 2, axis=1)


def outside_credible_set(weights, mass=0.999):
    """True for the atoms outside the smallest set that holds the given mass."""
    order = np.argsort(-weights, kind="stable")
    size = int(np.searchsorted(np.cumsum(weights[order]), mass)) + 1
    outside = np.ones(len(weights), dtype=bool)
    outside[order[:size]] = False
    return outside


def load_digits(path):
    """(images [1797, 64] in [-1, 1], labels [1797])."""
    with gzip.open(path, "rt") as lines:
        table = np.loadtxt(lines, delimiter=",", dtype=int)
    return table[:, :64] / 8.0 - 1.0, table[:, 64]


def block_means(side, blocks):
    """Mean over each of blocks x blocks square cells of a side x side image, row-major: [blocks^2, side^2]."""
    cell = side // blocks
    matrix = np.zeros((blocks * blocks, side * side))
    for row in range(side):
        for column in range(side):
            matrix[(row // cell) * blocks + column // cell, row * side + column] = 1.0 / cell**2
    return matrix


def worst_score_error(method, params):
    """Largest scaled difference of posterior_score() from the naive lens on random atoms, near and between them."""
    rng = np.random.default_rng(3)
    atoms, matrix, bias = rng.standard_normal((300, 16)), rng.standard_normal((4, 16)) / 4, rng.standard_normal(4)
    y = matrix @ atoms[0] + bias + 0.1 * rng.standard_normal(4)
    problem, schedule = ChainProblem(atoms, matrix, bias, y, 0.1), VpLinear()
    lens = FiniteSampleLens(atoms, AffineOperator(matrix, bias), y, 0.1)
    worst = 0.0
    for t in (1.0, 0.5, 0.3, 0.1, 0.05, 0.01):
        a, s2 = schedule.a(t), schedule.s2(t)
        x = a * atoms[:20] + np.sqrt(s2) * rng.standard_normal((20, 16))
        x[10:] = (x[:10] + x[10:]) / 2
        expected = lens.fields(x, t)["prior_score"] + lens.guidance(method, x, t, **params)[0]
        worst = max(worst, scaled_error(posterior_score(problem, method, params, x, a, s2), expected))
    return worst


def main():
    if len(sys.argv) < 2:
        for method, params in SAMPLERS + (("dps-zeta", {"zeta": 0.7, "weight": "none"}),):
            error = worst_score_error(method, params)
            print(f"score of {method:10} {str(params):40} {error:.1e}")
            if not error <= 1e-9:
                sys.exit(f"{method} disagrees with the naive lens")
        atoms, matrix, zero = np.array([[-1.8], [0.2], [2.2]]), np.eye(1), np.zeros(1)
        for y, sigma in ((-1.8, 0.3), (-0.8, 0.6)):
            print(f"three atoms, y = {y}, sigma = {sigma}, 20000 particles")
            for method, params in SAMPLERS:
                params = dict(params, zeta=0.3) if method == "dps-zeta" else params
                x = run_chain(atoms, matrix, zero, [y], sigma, method, params, 20000, 500, 1.0, 0.01, 1, block=20000)
                counts = np.bincount(nearest_atoms(atoms, x), minlength=3) / len(x)
                print(f"  {method:10} {str(params):40} {np.round(counts, 4)}")
        return
    images, labels = load_digits(sys.argv[1])
    index = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    matrix, sigma = block_means(8, 2), 0.1
    y = matrix @ images[index] + sigma * np.random.default_rng(0).standard_normal(4)
    keep = np.arange(len(images)) != index
    atoms, labels = images[keep], labels[keep]
    exact = ChainProblem(atoms, matrix, np.zeros(4), y, sigma).posterior_weights()
    print(f"exact      ESS {1 / np.sum(exact**2):.1f}", np.round(np.bincount(labels, exact, minlength=10), 3))
    for method, params in SAMPLERS:
        started = time.time()
        x = run_chain(atoms, matrix, np.zeros(4), y, sigma, method, params, 2000, 500, 1.0, 0.01, 1)
        counts = np.bincount(labels[nearest_atoms(atoms, x)], minlength=10) / len(x)
        print(f"{method:10} {str(params):36} {np.round(counts, 3)}  {time.time() - started:.1f} s")


if __name__ == "__main__":
    main()
