"""Runs the fslens command in a scratch directory and writes the problem files that its tests feed it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import numpy as np

COMMAND = pathlib.Path(os.environ.get("FSLENS", "fslens-is-not-set"))
ROOT = pathlib.Path(__file__).resolve().parents[2]
# A second line that a usage error may have.
USAGE_HINT = "Run 'fslens --help' or 'fslens COMMAND --help'."

PASS, FAIL, USAGE, INCONCLUSIVE, INVALID_INPUT, IO_ERROR, INTERRUPTED = 0, 1, 2, 3, 4, 5, 75


class Raw(str):
    """TOML text that is written as it is."""


def toml_value(value):
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, pathlib.Path)):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, np.ndarray):
        return toml_value(value.tolist())
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + "}"
    return repr(value)  # Python writes numbers, inf and nan as TOML does


def to_toml(tables):
    """{"title": …, "prior": {…}, "sampler": [{…}, …]} as TOML: texts first, then tables."""
    lines = [f"{key} = {toml_value(value)}" for key, value in tables.items() if not isinstance(value, (dict, list))]
    for name, table in tables.items():
        if not isinstance(table, (dict, list)):
            continue
        for entry in table if isinstance(table, list) else [table]:
            lines.append(f"[[{name}]]" if isinstance(table, list) else f"[{name}]")
            lines += [f"{key} = {toml_value(value)}" for key, value in entry.items()]
    return "\n".join(lines) + "\n"


def without_seconds(value):
    """A decoded JSON document without its wall-clock times, the only part of a diagnosis that may vary."""
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if key != "seconds"}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


class CommandTest(unittest.TestCase):
    """Every test has a scratch directory of its own, `folder`, which is the command's working directory."""

    @classmethod
    def setUpClass(cls):
        if not COMMAND.is_file():
            raise RuntimeError(f"FSLENS={COMMAND}: must name the fslens command to be tested")

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="fslens-cli-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def run_command(self, *arguments, timeout=120):
        """Result with returncode, stdout and stderr; a command that hangs fails its test."""
        return subprocess.run(
            [str(COMMAND), *map(str, arguments)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
        )

    def succeed(self, *arguments, codes=(PASS,)):
        result = self.run_command(*arguments)
        self.assertIn(result.returncode, codes, f"fslens {' '.join(map(str, arguments))}\n{result.stderr}")
        return result

    def interrupt(self, begun, *arguments):
        """SIGINT to a command as soon as a file `begun` is there: it must end at once, say so, and print nothing."""
        process = subprocess.Popen(
            [str(COMMAND), *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 60
        while not list(self.folder.glob(begun)):
            self.assertIsNone(process.poll(), "it ended before it could be interrupted")
            self.assertLess(time.monotonic(), deadline, f"{begun} never appeared")
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
        self.assertEqual((process.returncode, stdout), (INTERRUPTED, ""), stderr)
        self.assertEqual(stderr.splitlines(), ["fslens: interrupted; nothing was written"])

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def write_problem(self, tables, name="problem.toml"):
        return self.write(name, to_toml(tables))

    def save(self, name, array):
        np.save(self.folder / name, array)
        return name

    def diagnose(self, problem, *arguments, out="run"):
        """The diagnosis.json of a run, whatever its verdict."""
        self.succeed("diagnose", problem, *arguments, "--out", out, codes=(PASS, FAIL, INCONCLUSIVE))
        return json.loads((self.folder / out / "diagnosis.json").read_text(encoding="utf-8"))
