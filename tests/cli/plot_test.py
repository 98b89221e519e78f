#!/usr/bin/env python3
"""examples/plot_run.py draws a run directory; skipped where matplotlib is not installed."""

import importlib.util
import subprocess
import sys
import unittest

from command import FAIL, INCONCLUSIVE, PASS, ROOT, CommandTest


@unittest.skipUnless(importlib.util.find_spec("matplotlib"), "needs matplotlib")
class PlotTest(CommandTest):
    def test_a_run_is_drawn(self):
        self.succeed("diagnose", "three-atoms", "--sampler", "exact", "--sampler", "pigdm", "--set", "run.particles=100",
                     "--set", "grid.steps=20", "--out", "run", codes=(PASS, FAIL, INCONCLUSIVE))
        subprocess.run([sys.executable, str(ROOT / "examples" / "plot_run.py"), "run", "run.png"], cwd=self.folder, check=True)
        self.assertEqual((self.folder / "run.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")


if __name__ == "__main__":
    unittest.main()
