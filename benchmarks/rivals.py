#!/usr/bin/env python3
"""Times the same computation as a user of numpy, PyTorch or JAX would write it, and a chain of the digits in numpy.

    rivals.py passes STATES [--out FILE] [--libraries numpy-float32 …] [--every K]
        A full pass (logits once, prior and posterior mean) at the states that `benchmark-trajectories --save=STATES` wrote.
        Libraries that cannot be imported are left out, and named.
    rivals.py digits FSLENS [--out FILE] [--particles 2000] [--steps 500] [--repeat 3]
        digits-superres with dps-sigma, the whole chain: tests/oracle/chains.py in float64 numpy, and `fslens sample`.

Results are JSON: to FILE, or to stdout. Which BLAS kernel runs is part of them.
"""

import argparse
import ctypes
import importlib.util
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import types

try:
    import numpy as np
except ImportError:
    sys.exit(f"{sys.executable} has no numpy: use another python, or install it (Debian: python3-numpy)")

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Both chains sample the same law; the class shares of 2,000 particles differ by 0.04 in total variation on average.
LARGEST_SHARE_DIFFERENCE = 0.1


def openblas_kernels():
    """{library: kernel} of the OpenBLAS libraries in this process, asked directly: for where threadpoolctl is missing."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        paths = {line.split()[-1] for line in maps if re.search(r"blas[^/]*\.so", line)}
    kernels = {}
    for path in sorted(paths):
        library = ctypes.CDLL(path)
        for name in ("openblas_get_corename", "openblas_get_corename64_", "scipy_openblas_get_corename", "scipy_openblas_get_corename64_"):
            if hasattr(library, name):
                function = getattr(library, name)
                function.restype = ctypes.c_char_p
                kernels[pathlib.Path(path).name] = function().decode()
                break
    return kernels


def blas_description():
    if importlib.util.find_spec("threadpoolctl"):
        import threadpoolctl
        return [{key: info.get(key) for key in ("internal_api", "version", "architecture", "num_threads", "filepath")}
                for info in threadpoolctl.threadpool_info()]
    return openblas_kernels()


def description():
    return {"python": sys.version.split()[0], "numpy": np.__version__, "blas": blas_description(),
            "environment": {name: os.environ[name] for name in
                            ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY") if name in os.environ}}


class NumpyPass:
    def __init__(self, dtype, atoms, log_weights):
        self.atoms = atoms.astype(dtype)
        self.squares = np.sum(self.atoms**2, axis=1)
        self.log_weights = log_weights.astype(dtype)
        self.dtype = dtype

    def prepare(self, x):
        return x.astype(self.dtype)

    def __call__(self, x, a, s2):
        logits = x @ self.atoms.T
        logits *= a / s2
        logits -= a * a / (2 * s2) * self.squares
        means = []
        for log_weights in self.log_weights:
            weights = logits + log_weights
            weights -= weights.max(axis=1, keepdims=True)
            np.exp(weights, out=weights)
            weights /= weights.sum(axis=1, keepdims=True)
            means.append(weights @ self.atoms)
        return means


class TorchPass:
    def __init__(self, atoms, log_weights):
        import torch
        self.torch = torch
        self.atoms = torch.from_numpy(atoms.astype(np.float32))
        self.squares = (self.atoms**2).sum(dim=1)
        self.log_weights = torch.from_numpy(log_weights.astype(np.float32))

    def prepare(self, x):
        return self.torch.from_numpy(x.astype(np.float32))

    def __call__(self, x, a, s2):
        with self.torch.inference_mode():
            logits = (a / s2) * (x @ self.atoms.T) - (a * a / (2 * s2)) * self.squares
            return [(self.torch.softmax(logits + w, dim=1) @ self.atoms).numpy() for w in self.log_weights]


class JaxPass:
    def __init__(self, atoms, log_weights):
        import jax
        import jax.numpy as jnp
        self.atoms, self.log_weights = jnp.asarray(atoms, jnp.float32), jnp.asarray(log_weights, jnp.float32)
        self.squares = jnp.sum(self.atoms**2, axis=1)

        @jax.jit
        def means(x, atoms, squares, log_weights, a, s2):
            logits = (a / s2) * (x @ atoms.T) - (a * a / (2 * s2)) * squares
            return [jax.nn.softmax(logits + w, axis=1) @ atoms for w in log_weights]

        self.means, self.prepare = means, lambda x: jnp.asarray(x, jnp.float32)

    def __call__(self, x, a, s2):
        means = self.means(x, self.atoms, self.squares, self.log_weights, a, s2)
        return [np.asarray(mean) for mean in means]  # waits for the result


LIBRARIES = {
    "numpy-float32": ("numpy", lambda *data: NumpyPass(np.float32, *data)),
    "numpy-float64": ("numpy", lambda *data: NumpyPass(np.float64, *data)),
    "torch-float32": ("torch", TorchPass),
    "jax-float32": ("jax", JaxPass),
}


def load(folder, name):
    path = folder / name
    if not path.exists():
        sys.exit(f"{path} is missing: write it with benchmark-trajectories --save={folder}")
    return np.load(path)


def largest_error(means, expected, a, s2):
    """max over particles and measures of a |m - m_exact| / (s sqrt(d)), as fslens counts its tolerance."""
    unit = a / np.sqrt(s2 * means[0].shape[1])
    return max(float(np.max(unit * np.linalg.norm(np.asarray(m, dtype=float) - e, axis=1))) for m, e in zip(means, expected))


def time_states(full_pass, folder, spacing, every):
    states, times = load(folder, f"{spacing}-states.npy"), load(folder, f"{spacing}-times.npy")
    exact = [load(folder, f"{spacing}-{measure}-means.npy") for measure in ("prior", "posterior")]
    seconds, errors = [], []
    full_pass(full_pass.prepare(states[0]), times[0, 1], times[0, 2])  # compiles, wakes threads, touches memory
    for k in range(0, len(states), every):
        _, a, s2 = (float(value) for value in times[k])
        x = full_pass.prepare(states[k])
        started = time.perf_counter()
        means = full_pass(x, a, s2)
        seconds.append(time.perf_counter() - started)
        errors.append(largest_error(means, [mean[k] for mean in exact], a, s2))
        if not errors[-1] <= 0.5:  # a rival in float32 is off, but not about another computation
            sys.exit(f"{type(full_pass).__name__}: error {errors[-1]:.3g} at t = {times[k, 0]:.4g} on the {spacing} grid")
    return {"step_seconds": statistics.fmean(seconds), "seconds": seconds, "t": times[::every, 0].tolist(), "errors": errors,
            "largest_error": max(errors)}


def time_passes(arguments):
    folder = arguments.states
    low, step = load(folder, "scale.npy")
    data = low + step * load(folder, "pixels.npy").astype(float), load(folder, "log-weights.npy")
    spacings = sorted(path.name.removesuffix("-states.npy") for path in folder.glob("*-states.npy"))
    results = {"libraries": {}, "not_there": [], "machine": description()}
    for name in arguments.libraries:
        module, make = LIBRARIES[name]
        if not importlib.util.find_spec(module):
            results["not_there"].append(name)
            continue
        full_pass = make(*data)
        version = getattr(sys.modules[module], "__version__", "")
        results["libraries"][name] = {"version": version,
                                      "runs": {s: time_states(full_pass, folder, s, arguments.every) for s in spacings}}
        for spacing, run in results["libraries"][name]["runs"].items():
            print(f"{spacing:8} {name:14} {1e3 * run['step_seconds']:9.1f} ms a full pass, error {run['largest_error']:.1e}", file=sys.stderr)
        del full_pass
    results["machine"]["blas"] = blas_description()  # again: libraries bring their own
    return results


def class_shares(labels, nearest, size):
    return np.bincount(labels[nearest], minlength=size) / len(nearest)


def fslens_digits(arguments, folder):
    """(final states, seconds of each run) of the command."""
    out, seconds = folder / "digits.npz", []
    command = [str(arguments.fslens), "sample", "digits-superres", "--sampler", "dps-sigma", "--out", str(out), "--seed", "1", "--set",
               f"run.particles={arguments.particles}", "--set", f"grid.steps={arguments.steps}"]
    for _ in range(arguments.repeat):
        out.unlink(missing_ok=True)
        started = time.perf_counter()
        result = subprocess.run(command, capture_output=True, text=True)
        seconds.append(time.perf_counter() - started)
        if result.returncode != 0:
            sys.exit(f"exit {result.returncode} from {' '.join(command)}\n{result.stderr}")
    with np.load(out) as run:
        return np.asarray(run["x"][np.argmin(run["t"])], dtype=float), seconds


def time_digits(arguments):
    sys.path.insert(0, str(ROOT / "tests" / "oracle"))
    import chains
    import check_digits_chains as check
    images, digits = chains.load_digits(check.DIGITS)
    atoms, labels = np.delete(images, check.MEASURED_DIGIT, axis=0), np.delete(digits, check.MEASURED_DIGIT)
    matrix = chains.block_means(8, 2)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        y, _ = check.measured(types.SimpleNamespace(fslens=arguments.fslens, workdir=folder, fslens_option=[]))
        theirs, fslens_seconds = fslens_digits(arguments, folder)
    started = time.perf_counter()
    ours = chains.run_chain(atoms, matrix, np.zeros(y.size), y, check.SIGMA, "dps-sigma", {}, arguments.particles, arguments.steps, 1.0, 0.01, 1)
    numpy_seconds = time.perf_counter() - started
    shares = [class_shares(labels, chains.nearest_atoms(atoms, x), 10) for x in (theirs, ours)]
    difference = float(np.sum(np.abs(shares[0] - shares[1])) / 2)
    bound = LARGEST_SHARE_DIFFERENCE * max(1.0, (2000 / arguments.particles) ** 0.5)
    if not difference <= bound:
        sys.exit(f"digits: class shares of the two chains differ by {difference:.3f}, at most {bound:.3f} is chance")
    fslens_median = statistics.median(fslens_seconds)
    print(f"digits   fslens {fslens_median:.2f} s, numpy {numpy_seconds:.2f} s, class shares {difference:.3f} apart", file=sys.stderr)
    return {"particles": arguments.particles, "steps": arguments.steps, "fslens_seconds": fslens_median, "fslens_runs": fslens_seconds,
            "numpy_seconds": numpy_seconds, "class_share_difference": difference, "machine": description()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="passes|digits")
    passes = commands.add_parser("passes", help="full passes at saved states")
    passes.add_argument("states", type=pathlib.Path)
    passes.add_argument("--libraries", nargs="+", choices=LIBRARIES, default=list(LIBRARIES))
    passes.add_argument("--every", type=int, default=1, help="only every K-th saved state")
    passes.set_defaults(run=time_passes)
    digits = commands.add_parser("digits", help="a whole chain of digits-superres")
    digits.add_argument("fslens", type=pathlib.Path)
    digits.add_argument("--particles", type=int, default=2000)
    digits.add_argument("--steps", type=int, default=500)
    digits.add_argument("--repeat", type=int, default=3, help="runs of fslens, of which the median counts")
    digits.set_defaults(run=time_digits)
    for command in (passes, digits):
        command.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    results = json.dumps(arguments.run(arguments), indent=1)
    if arguments.out:
        arguments.out.write_text(results + "\n", encoding="utf-8")
    else:
        print(results)


if __name__ == "__main__":
    main()
