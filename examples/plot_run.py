#!/usr/bin/env python3
"""Plots a run directory: spread, mode-weight error and sliced W2 against diffusion time, and final mode weights.

    python3 examples/plot_run.py RUN OUT.svg        (needs matplotlib)

Grey bands are what exact draws of the same number of particles give (95 %).
"""
import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

COLOURS = ["#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#56B4E9", "#000000"]  # Okabe & Ito


def floats(values):
    return [float("nan") if value is None else value for value in values]


def plot_curve(axis, run, name, title, log=False):
    for sampler, colour in zip(run["samplers"], COLOURS):
        axis.plot(sampler["curves"]["t"], floats(sampler["curves"][name]), color=colour, lw=1.6, label=sampler["name"])
    band = run["samplers"][0]["curves"]["null"].get(name)
    if band:
        axis.fill_between(run["samplers"][0]["curves"]["t"], floats(band["low"]), floats(band["high"]), color="0.8", lw=0)
    if log:
        axis.set_yscale("log")
    axis.set_xlim(1.02 * max(run["samplers"][0]["curves"]["t"]), 0.0)
    axis.set_xlabel("diffusion time t")
    axis.set_title(title, fontsize=10)


def plot_modes(axis, run):
    modes = run["lens"]["modes"]
    rows = [("exact", [mode["posterior_weight"] for mode in modes], "0.6")]
    rows += [(s["name"], s["final"]["mode_weights"], c) for s, c in zip(run["samplers"], COLOURS)]
    width = 0.8 / len(rows)
    for i, (_, weights, colour) in enumerate(rows):
        axis.bar([k + (i - len(rows) / 2 + 0.5) * width for k in range(len(modes))], weights, width, color=colour)
    axis.set_xticks(range(len(modes)), [mode["label"] for mode in modes])
    axis.set_xlabel("mode (grey: exact)")
    axis.set_title("final mode weights", fontsize=10)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(f"{sys.argv[1]}/diagnosis.json", encoding="utf-8") as file:
        run = json.load(file)
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained")
    plot_curve(axes[0, 0], run, "spread_ratio", "variance / exact variance", log=True)
    axes[0, 0].axhline(1.0, color="0.4", lw=0.8)
    plot_curve(axes[0, 1], run, "sliced_w2", "sliced 2-Wasserstein distance to exact draws", log=True)
    plot_curve(axes[1, 0], run, "mode_weights_tv", "total variation of the mode weights")
    plot_modes(axes[1, 1], run)
    figure.suptitle(run["title"] or run["problem"], fontsize=11)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(run["samplers"]), frameon=False)
    figure.savefig(sys.argv[2], bbox_inches="tight", dpi=130)


if __name__ == "__main__":
    main()
