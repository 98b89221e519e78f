"""What the slow tests of the command share: one diagnosis with its verdicts, and binomial bounds."""

import functools
import json
import math
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "cli"))
from command import COMMAND, FAIL, INCONCLUSIVE, PASS, ROOT, CommandTest  # noqa: E402,F401

RUN_TIMEOUT = 600  # seconds for one command; ctest's own limit comes first


def options(**settings):
    """--set arguments: options(run__particles=100) is --set run.particles=100."""
    arguments = []
    for key, value in settings.items():
        arguments += ["--set", f"{key.replace('__', '.')}={value}"]
    return arguments


def run(*arguments, folder, codes=(PASS, FAIL, INCONCLUSIVE)):
    """Runs fslens in `folder`; any exit code but `codes` is an error that shows what was said."""
    command = [str(COMMAND), *map(str, arguments)]
    result = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=RUN_TIMEOUT)
    if result.returncode not in codes:
        raise RuntimeError(f"exit {result.returncode} from {' '.join(command)}\n{result.stderr}")
    return result


@functools.lru_cache(maxsize=None)
def diagnosis(problem, *arguments):
    """diagnosis.json of a run, computed once a process: several tests look at the same one."""
    with tempfile.TemporaryDirectory(prefix="fslens-published-") as folder:
        run("diagnose", problem, *arguments, "--out", "run", folder=folder)
        return json.loads((pathlib.Path(folder) / "run" / "diagnosis.json").read_text(encoding="utf-8"))


def final_states(problem, sampler, *arguments):
    """The last states of `fslens sample`, [B, d]."""
    with tempfile.TemporaryDirectory(prefix="fslens-published-") as folder:
        run("sample", problem, "--sampler", sampler, "--record", 1, *arguments, "--out", "states.npz", folder=folder, codes=(PASS,))
        with np.load(pathlib.Path(folder) / "states.npz") as states:
            return states["x"][np.argmin(states["t"])]


def binomial_quantile(count, probability, tail):
    """Smallest k with P(Binomial(count, probability) > k) <= tail."""
    k, below = 0, 0.0
    while True:
        log_pmf = (math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) + k * math.log(probability)
                   + (count - k) * math.log1p(-probability))
        below += math.exp(log_pmf)
        if 1.0 - below <= tail:
            return k
        k += 1


class JudgingTest(CommandTest):
    """Assertions on one sampler of a diagnosis."""

    def sampler(self, judged, name):
        found = [sampler for sampler in judged["samplers"] if sampler["name"] == name]
        self.assertEqual(len(found), 1, f"{name} among {[sampler['name'] for sampler in judged['samplers']]}")
        return found[0]

    def check_of(self, sampler, check):
        found = [entry for entry in sampler["checks"] if entry["id"] == check]
        self.assertEqual(len(found), 1, check)
        return found[0]

    def assert_verdict(self, sampler, verdict, *checks):
        for name in checks:
            check = self.check_of(sampler, name)
            self.assertEqual(check["verdict"], verdict,
                             f"{sampler['name']} {name}: {check['finding']}; effect {check['effect']} {check['interval']}")

    def not_passed(self, sampler):
        """{check id: verdict} of what is not a pass."""
        return {check["id"]: check["verdict"] for check in sampler["checks"] if check["verdict"] != "pass"}
