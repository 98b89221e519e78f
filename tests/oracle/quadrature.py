#!/usr/bin/env python3
"""Exact laws in one dimension, without sampling: three atoms, A = 1, Gaussian noise, schedule vp-linear.

The law of a chain x' = mean(x) + sqrt(v) eps is pushed from grid to grid, p'(x') = int p(x) N(x'; mean(x), v) dx. After one
step the density is smooth on the scale sqrt(v), so the trapezoid rule converges faster than any power of the spacing;
the spacing is a fixed fraction of the smaller neighbouring sqrt(v) and the last line of the table reports halving it.
dps-zeta jumps where the residual changes sign: the grid is shifted so that the jump falls midway between two points.

    python3 quadrature.py            every table
"""

import math
import sys

import numpy as np

from lens_oracle import AffineOperator, FiniteSampleLens, VpLinear

ATOMS = np.array([[-1.8], [0.2], [2.2]])
T_MAX, T_MIN, STEPS = 1.0, 0.01, 500
HALF_WIDTH = 9.0      # densities are pushed on [-9, 9]; the mass that leaves is reported
KERNEL_REACH = 9.0    # Gaussian kernels are cut at 9 standard deviations: 1e-18 of their mass


def three_atom_lens(y, sigma):
    return FiniteSampleLens(ATOMS, AffineOperator(np.eye(1), np.zeros(1)), np.array([y]), sigma)


def posterior_score(lens, method, params, x, t):
    fields = lens.fields(x[:, None], t)
    if method == "lens":
        return fields["posterior_score_lens"][:, 0]
    return (fields["prior_score"] + lens.guidance(method, x[:, None], t, **params)[0])[:, 0]


def uniform_grid(steps=STEPS):
    return np.linspace(T_MAX, T_MIN, steps + 1)


def log_snr_grid(steps=STEPS):
    schedule = VpLinear()
    ends = [float(schedule.log_alpha_bar(t) - np.log(schedule.s2(t))) for t in (T_MAX, T_MIN)]
    times = schedule.time_of_log_snr(np.linspace(ends[0], ends[1], steps + 1))
    times[0], times[-1] = T_MAX, T_MIN
    return times


def euler_maruyama(lens, method, params, x, t, u):
    """Mean and variance of one step."""
    beta, step = float(lens.schedule.beta(t)), t - u
    return x + (beta / 2 * x + beta * posterior_score(lens, method, params, x, t)) * step, beta * step


def ancestral(lens, method, params, x, t, u):
    """The bridge x_u | x_t, x_0 = m with m = (x + s^2 score)/a: DDIM with eta = 1."""
    schedule = lens.schedule
    a, s2, a_u, s2_u = (float(f(w)) for w in (t, u) for f in (schedule.a, schedule.s2))
    mean = (x + s2 * posterior_score(lens, method, params, x, t)) / a
    # Var[x_u | x_t, x_0] = s_u^2 (1 - (a s_u / a_u s)^2) for any (a, s); for VP it is (s_u^2/s^2)(1 - a^2/a_u^2).
    explained = (a * a * s2_u) / (a_u * a_u * s2)
    return a_u * mean + math.sqrt(s2_u * explained) * (x - a * mean) / math.sqrt(s2), s2_u * (1 - explained)


def push(x, weights, mean, variance, target):
    """Density at the equispaced target points of sum_j weights_j N(.; mean_j, variance)."""
    spacing = target[1] - target[0]
    sd = math.sqrt(variance)
    keep = weights > 1e-25
    mean, weights = mean[keep], weights[keep]
    offsets = np.arange(-int(KERNEL_REACH * sd / spacing) - 1, int(KERNEL_REACH * sd / spacing) + 2)
    closest = np.rint((np.clip(mean, -1e6, 1e6) - target[0]) / spacing).astype(np.int64)
    index = closest[:, None] + offsets[None, :]
    inside = (index >= 0) & (index < target.size)
    z = (target[0] + spacing * index - mean[:, None]) / sd
    values = np.exp(-z * z / 2) * (weights / (sd * math.sqrt(2 * math.pi)))[:, None]
    return np.bincount(index[inside], values[inside], minlength=target.size)


def residual_root(lens, t):
    """x with m(x, t) = y by bisection (m increases with x), or None where it is not on the grid."""
    low, high = -HALF_WIDTH + 0.5, HALF_WIDTH - 0.5
    y = float(lens.y[0])

    def residual(x):
        return float(lens.fields(np.array([[x]]), t)["denoiser_mean"][0, 0]) - y

    if residual(low) >= 0 or residual(high) <= 0:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if residual(middle) < 0 else (low, middle)
    return (low + high) / 2


def chain_law(lens, method, params, times, step=euler_maruyama, points_per_sd=16, observe=None):
    """Final grid and density of the chain started at N(0, s(t_max)^2)."""
    schedule = lens.schedule
    variances = [step(lens, "lens", {}, np.zeros(1), t, u)[1] for t, u in zip(times[:-1], times[1:])]
    start = float(schedule.s2(times[0]))
    incoming = [start] + variances
    x = density = None
    for k, t in enumerate(times):
        scale = math.sqrt(min(incoming[k], variances[k] if k < len(variances) else incoming[k]))
        count = int(2 * HALF_WIDTH / (scale / points_per_sd)) + 1
        grid = np.linspace(-HALF_WIDTH, HALF_WIDTH, count)
        jump = residual_root(lens, t) if method == "dps-zeta" else None
        if jump is not None:
            spacing = grid[1] - grid[0]
            grid = grid + (((jump - grid[0]) / spacing - 0.5) % 1.0) * spacing
        if k == 0:
            density = np.exp(-(grid**2) / (2 * start)) / math.sqrt(2 * math.pi * start)
        else:
            mean, variance = step(lens, method, params, x, times[k - 1], t)
            density = push(x, density * (x[1] - x[0]), mean, variance, grid)
        x = grid
        if observe is not None:
            observe(k, t, x, density)
    return x, density


def mode_weights(x, density, a):
    """Mass of the cells of the scaled atoms, and the mass on the grid; the cell borders carry no mass worth splitting."""
    borders = a * (ATOMS[1:, 0] + ATOMS[:-1, 0]) / 2
    mass = np.bincount(np.searchsorted(borders, x), density, minlength=3) * (x[1] - x[0])
    return mass, mass.sum()


def moments(x, density):
    weights = density / density.sum()
    mean = weights @ x
    return mean, weights @ (x - mean) ** 2


def exact_moments(lens, t):
    weights = np.exp(lens.log_posterior_weights)
    mean = weights @ ATOMS[:, 0]
    a, s2 = float(lens.schedule.a(t)), float(lens.schedule.s2(t))
    return a * mean, a * a * (weights @ (ATOMS[:, 0] - mean) ** 2) + s2


def implied_posterior(lens, method, params, t, x):
    """Density on the grid proportional to p_t(x) exp(log p~(y | x)); tmpd by integrating its score."""
    fields = lens.fields(x[:, None], t)
    if method == "tmpd":
        score = (fields["prior_score"] + lens.guidance(method, x[:, None], t)[0])[:, 0]
        spacing = x[1] - x[0]
        # Simpson over each cell with the midpoint score: the integrand is analytic, its poles far from the axis.
        middle = x[:-1] + spacing / 2
        middle_score = posterior_score(lens, method, params, middle, t)
        steps = (score[:-1] + 4 * middle_score + score[1:]) * spacing / 6
        log_density = np.concatenate([[0.0], np.cumsum(steps)])
    else:
        log_density = fields["log_prior_density"] + lens.guidance(method, x[:, None], t, **params)[1]
    density = np.exp(log_density - log_density.max())
    return density / (density.sum() * (x[1] - x[0]))


# dps-zeta at y = -0.8 was published as (.5742, .4244, .0014). Its score jumps at r = 0, and a grid that ignores the jump
# gives anything in .571-.577 for the first weight, even at 4 to 64 points per kernel sd; with the jump midway between
# points the weights converge like the square of the spacing to (.573779, .424793, .001428), which is what is expected here.
# Every other row holds the published digits; None is a row without any.
EXPECTED_CHAINS = (
    (-1.8, 0.3, "lens", {}, (1, 0, 0)),
    (-1.8, 0.3, "dps-sigma", {}, (1, 0, 0)),
    (-1.8, 0.3, "dps-zeta", {"zeta": 0.3}, (1, 0, 0)),
    (-1.8, 0.3, "dps-zeta", {"zeta": 0.3, "weight": "none"}, None),
    (-1.8, 0.3, "pigdm", {"r2": "flat"}, (0.9030, 0.0773, 0.0197)),
    (-1.8, 0.3, "pigdm", {"r2": "unit"}, None),
    (-1.8, 0.3, "tmpd", {}, (0.9833, 0.0167, 0.0000)),
    (-0.8, 0.6, "lens", {}, (0.5, 0.5, 0)),
    (-0.8, 0.6, "dps-sigma", {}, (0.5964, 0.4036, 0.0000)),
    (-0.8, 0.6, "dps-zeta", {"zeta": 0.3}, (0.5738, 0.4248, 0.0014)),
    (-0.8, 0.6, "dps-zeta", {"zeta": 0.3, "weight": "none"}, None),
    (-0.8, 0.6, "pigdm", {"r2": "flat"}, (0.4315, 0.5176, 0.0509)),
    (-0.8, 0.6, "pigdm", {"r2": "unit"}, None),
    (-0.8, 0.6, "tmpd", {}, (0.4916, 0.5006, 0.0079)),
    (0.7, 0.3, "pigdm", {"r2": "flat"}, None),
    (0.7, 0.3, "tmpd", {}, None),
    (0.7, 0.3, "dps-zeta", {"zeta": 0.3, "weight": "none"}, None),
)


def print_chain_laws(points_per_sd=16):
    print("law of the Euler-Maruyama chain, 500 uniform steps, t 1 -> 0.01: mode weights | lost mass | sd (exact sd)")
    deviations = 0
    for y, sigma, method, params, expected in EXPECTED_CHAINS:
        lens = three_atom_lens(y, sigma)
        x, density = chain_law(lens, method, params, uniform_grid(), points_per_sd=points_per_sd)
        mass, total = mode_weights(x, density, float(lens.schedule.a(T_MIN)))
        sd, exact = math.sqrt(moments(x, density)[1]), math.sqrt(exact_moments(lens, T_MIN)[1])
        verdict = ""
        if expected is not None:
            off = max(abs(m - p) for m, p in zip(mass, expected))
            verdict = "as expected" if off <= 0.5001e-4 else f"EXPECTED {expected}"
            deviations += off > 0.5001e-4
        options = ",".join(f"{k}={v}" for k, v in params.items())
        print(f"  y {y:4} sigma {sigma}  {method:9} {options:22} {mass[0]:.6f} {mass[1]:.6f} {mass[2]:.6f} | {1 - total:9.1e} | "
              f"{sd:.4f} ({exact:.4f})  {verdict}", flush=True)
    return deviations


def print_implied_posteriors(t=0.3):
    print(f"implied posteriors at t = {t}, y = -1.8, sigma = 0.3: sd, total variation to the exact")
    lens = three_atom_lens(-1.8, 0.3)
    x = np.linspace(-12, 12, 24001)
    exact = np.exp(lens.fields(x[:, None], t)["log_posterior_density"])
    rows = [("exact", None, {}, (0.771, 0.0)), ("dps-sigma", "dps-sigma", {}, (0.504, 0.403)),
            ("pigdm flat", "pigdm", {"r2": "flat"}, (0.814, 0.070)), ("pigdm unit", "pigdm", {"r2": "unit"}, None),
            ("tmpd", "tmpd", {}, (0.782, 0.019)), ("dmps", "dmps", {}, None)]
    for zeta in (0.3, 0.5, 1.0):
        published = (0.510, 0.520)
        rows += [(f"dps-zeta precision {zeta}", "dps-zeta", {"zeta": zeta}, published),
                 (f"dps-zeta none {zeta}", "dps-zeta", {"zeta": zeta, "weight": "none"}, published)]
    for name, method, params, published in rows:
        density = exact if method is None else implied_posterior(lens, method, params, t, x)
        sd = math.sqrt(moments(x, density)[1])
        tv = np.sum(np.abs(density - exact)) * (x[1] - x[0]) / 2
        verdict = "-"
        if published is not None:
            hit = abs(sd - published[0]) <= 0.51e-3 and abs(tv - published[1]) <= 0.51e-3
            verdict = "as published" if hit else f"published {published}"
        print(f"  {name:22} sd {sd:.4f}  TV {tv:.4f}  {verdict}")


def spread_curve(lens, times, step, points_per_sd=16):
    """Var(chain)/Var(exact) of the lens chain at every grid time."""
    ratios = []

    def observe(k, t, x, density):
        ratios.append(moments(x, density)[1] / exact_moments(lens, t)[1])

    chain_law(lens, "lens", {}, times, step, points_per_sd, observe)
    return np.array(ratios)


def print_spread_curves():
    print("Var(chain)/Var(exact) of the lens chain, y = -1.8, sigma = 0.3, 500 steps")
    lens = three_atom_lens(-1.8, 0.3)
    marks = (0.9, 0.5, 0.3, 0.1, 0.05, 0.03, 0.02, 0.015, 0.0125, 0.01)
    for name, times, step in (("uniform, euler-maruyama", uniform_grid(), euler_maruyama),
                              ("log-SNR, euler-maruyama", log_snr_grid(), euler_maruyama),
                              ("uniform, ancestral", uniform_grid(), ancestral),
                              ("log-SNR, ancestral", log_snr_grid(), ancestral)):
        ratios = spread_curve(lens, times, step)
        sd = math.sqrt(ratios[-1] * exact_moments(lens, T_MIN)[1])
        print(f"  {name}: final sd {sd:.5f} (exact {math.sqrt(exact_moments(lens, T_MIN)[1]):.5f}), ratio {ratios[-1]:.4f}; "
              f"range {ratios.min():.5f}..{ratios.max():.5f}")
        values = [f"{m}:{ratios[np.argmin(np.abs(times - m))]:.4f}" for m in marks]
        print("    ratio at t  " + "  ".join(values))
        for bound in (1.1, 1.15):
            outside = np.flatnonzero((ratios > bound) | (ratios < 1 / bound))
            text = "never" if not outside.size else (
                f"{outside.size} grid times, t from {times[outside[0]]:.5f} down to {times[outside[-1]]:.5f}"
                + ("" if np.all(np.diff(outside) == 1) else " (with gaps)"))
            print(f"    outside [1/{bound}, {bound}]: {text}")


def main():
    deviations = print_chain_laws()
    print_implied_posteriors()
    print_spread_curves()
    print("largest change of a mode weight at y = -0.8 when the spacing is halved")
    lens = three_atom_lens(-0.8, 0.6)
    for method, params in (("tmpd", {}), ("dps-zeta", {"zeta": 0.3})):
        laws = []
        for points in (16, 32):
            x, density = chain_law(lens, method, params, uniform_grid(), points_per_sd=points)
            laws.append(mode_weights(x, density, float(lens.schedule.a(T_MIN)))[0])
        print(f"  {method:9} {np.max(np.abs(laws[0] - laws[1])):.1e}")
    return 1 if deviations else 0


if __name__ == "__main__":
    sys.exit(main())
