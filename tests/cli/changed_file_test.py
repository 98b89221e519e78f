#!/usr/bin/env python3
"""Large atoms stay in their file while they are used: what becomes of a run whose file is cut, overwritten, replaced or removed."""

import json
import os
import pathlib
import subprocess
import time
import unittest

import numpy as np

from command import COMMAND, INVALID_INPUT, IO_ERROR, CommandTest

ROWS, COLUMNS = 4096, 64


class ChangedFile(CommandTest):
    def setUp(self):
        super().setUp()
        self.atoms = self.folder / "atoms.npy"
        self.write_atoms(self.atoms, 0)
        self.problem = self.write_problem({
            "prior": {"kind": "atoms", "atoms": "atoms.npy", "bandwidth": 0},
            "operator": {"kind": "identity"},
            "noise": {"sigma": 0.5},
            "measurement": {"from_atom": 17},
            "grid": {"steps": 400},
            "run": {"particles": 64, "record": 2},
            "modes": {"labels": np.arange(ROWS) % 2},
            "sampler": [{"name": "pigdm"}],
        })

    def write_atoms(self, path, seed):
        np.save(path, np.random.default_rng(seed).standard_normal((ROWS, COLUMNS)))

    def change_while_mapped(self, change):
        """Exit code, stderr and whether there is a run directory after `change()` was called as soon as the atoms were mapped."""
        process = subprocess.Popen([str(COMMAND), "diagnose", str(self.problem), "--out", "run", "--threads", "1"], cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        deadline = time.monotonic() + 60
        maps = pathlib.Path(f"/proc/{process.pid}/maps")
        while "atoms.npy" not in maps.read_text(encoding="utf-8"):
            self.assertLess(time.monotonic(), deadline, "the atoms were never mapped")
            self.assertIsNone(process.poll(), "ended before the atoms were mapped")
            time.sleep(0.001)
        change()
        output, errors = process.communicate(timeout=100)
        return process.returncode, errors, (self.folder / "run").exists()

    def test_a_file_that_is_cut_ends_the_run_with_a_message(self):
        code, errors, written = self.change_while_mapped(lambda: os.truncate(self.atoms, 4096))
        self.assertEqual(code, IO_ERROR, errors)
        self.assertIn("a file was cut short", errors)
        self.assertFalse(written)

    def test_a_file_that_is_overwritten_makes_no_run(self):
        def overwrite():
            with open(self.atoms, "r+b") as file:
                file.seek(-8, os.SEEK_END)
                file.write(np.float64(0.25).tobytes())
        code, errors, written = self.change_while_mapped(overwrite)
        self.assertEqual(code, INVALID_INPUT, errors)
        self.assertIn("atoms.npy: was overwritten during the run", errors)
        self.assertFalse(written)

    def test_a_file_that_is_replaced_or_removed_does_no_harm(self):
        before = self.diagnose(self.problem, out="before")
        manifest = json.loads((self.folder / "before" / "manifest.json").read_text(encoding="utf-8"))

        def replace():
            self.write_atoms(self.folder / "new.npy", 1)
            os.replace(self.folder / "new.npy", self.atoms)
            os.remove(self.atoms)
        code, errors, written = self.change_while_mapped(replace)
        self.assertTrue(written, errors)
        after = json.loads((self.folder / "run" / "diagnosis.json").read_text(encoding="utf-8"))
        self.assertEqual(before["samplers"][0]["final"], after["samplers"][0]["final"])
        self.assertEqual(manifest["inputs"], json.loads((self.folder / "run" / "manifest.json").read_text(encoding="utf-8"))["inputs"])


if __name__ == "__main__":
    unittest.main()
