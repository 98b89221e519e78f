"""What every test of bad input does: run, and look at exit code, message and what is left on the disk."""

import numpy as np

from command import INVALID_INPUT, USAGE, USAGE_HINT, CommandTest

ATOMS = np.array([[0.0, 0.0], [1.0, 0.5], [-1.0, 2.0], [0.5, -1.0]])


def problem(**changes):
    """Four atoms in the plane seen along one line. A change replaces keys of its table; None takes a key away."""
    tables = {
        "prior": {"kind": "atoms", "atoms": ATOMS.tolist(), "complete": True},
        "operator": {"kind": "matrix", "matrix": [[1.0, -1.0]]},
        "noise": {"sigma": 0.5},
        "measurement": {"y": [0.2]},
        "grid": {"steps": 4},
        "run": {"particles": 20},
        "sampler": [{"name": "dps-sigma"}],
    }
    for name, change in changes.items():
        if isinstance(change, dict):
            table = {**tables.get(name, {}), **change}
            tables[name] = {key: value for key, value in table.items() if value is not None}
        else:
            tables[name] = change
    return tables


class RefusalTest(CommandTest):
    """Output goes below out/, which must stay empty."""

    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"
        self.out.mkdir()

    def refuse(self, code, wanted, *arguments):
        """The command fails with `code` and one message that holds every text of `wanted`."""
        before = sorted(self.folder.rglob("*"))
        result = self.run_command(*arguments, timeout=20)
        shown = f"fslens {' '.join(map(str, arguments))}\n{result.stdout}{result.stderr}"
        self.assertEqual(result.returncode, code, shown)
        lines = result.stderr.splitlines()
        if code == USAGE and lines[-1:] == [USAGE_HINT]:
            lines.pop()
        self.assertEqual(len(lines), 1, shown)
        self.assertTrue(lines[0].startswith("fslens: "), shown)
        for text in wanted:
            self.assertIn(text, lines[0])
        self.assertEqual(result.stdout, "")
        self.assertEqual(sorted(self.folder.rglob("*")), before, "files were left behind: " + shown)

    def refuse_problem(self, tables, *wanted, code=INVALID_INPUT, options=()):
        path = self.write("problem.toml", tables) if isinstance(tables, str) else self.write_problem(tables)
        self.refuse(code, wanted, "diagnose", path, *options, "--out", self.out / "run")

    def refuse_cases(self, cases, **settings):
        for tables, *wanted in cases:
            with self.subTest(wanted=wanted):
                self.refuse_problem(tables, *wanted, **settings)

    def refuse_options(self, cases, code=USAGE, command=("diagnose", "three-atoms"), out="run"):
        """Cases are (options, text that the message holds…)."""
        for options, *wanted in cases:
            with self.subTest(options=options):
                self.refuse(code, wanted, *command, *options.split(" "), "--out", self.out / out)
