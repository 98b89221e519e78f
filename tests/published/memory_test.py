#!/usr/bin/env python3
"""Peak memory of `fslens diagnose` on 60,000 images of 28x28 pixels: the images as they are stored and 300 MiB.

Nothing here is left to chance: seed 0, and the memory does not depend on what is drawn. The images are Fashion-MNIST where it
is installed (/usr/share/datasets/fashion-mnist), else random bytes. The reference makes about 30 passes of the particles over the
atoms, each 6 billion multiplications with 128 particles. FSLENS_MEMORY_PARTICLES=1024 asks the same of the full size: three
minutes of CPU, and a peak that is about 95 MiB higher.
"""

import os
import pathlib
import subprocess
import unittest

import numpy as np

from judging import COMMAND, FAIL, INCONCLUSIVE, PASS, JudgingTest

INSTALLED = pathlib.Path("/usr/share/datasets/fashion-mnist")
COUNT, SIDE = 60000, 28
MIB = 2**20
PARTICLES = int(os.environ.get("FSLENS_MEMORY_PARTICLES", "128"))
ALLOWED = COUNT * SIDE * SIDE + 300 * MIB  # bytes


class SixtyThousandImages(JudgingTest):
    def setUp(self):
        super().setUp()
        images, labels = INSTALLED / "train-images-idx3-ubyte.gz", INSTALLED / "train-labels-idx1-ubyte.gz"
        if not (images.is_file() and labels.is_file()):
            images, labels = self.random_images()
        self.problem = self.write_problem({
            "prior": {"kind": "atoms", "atoms": images, "labels": labels, "scale": [-1, 1]},
            "operator": {"kind": "downsample", "shape": [SIDE, SIDE], "factor": 7},
            "noise": {"sigma": 0.2},  # ESS 21 of Fashion-MNIST
            "measurement": {"from_atom": 17},
            "grid": {"steps": 1},
            "run": {"particles": PARTICLES, "precision": "f32", "record": 2},
            "sampler": [{"name": "pigdm"}],
        })

    def random_images(self):
        """Written in a child: a process starts with the peak of the one that it was forked from."""
        script = ("import numpy as np; r = np.random.default_rng(0);"
                  f"np.save('images.npy', r.integers(0, 256, ({COUNT}, {SIDE}, {SIDE}), dtype=np.uint8));"
                  f"np.save('labels.npy', r.integers(0, 10, {COUNT}, dtype=np.uint8))")
        subprocess.run(["/usr/bin/python3", "-c", script], cwd=self.folder, check=True, timeout=60)
        return self.folder / "images.npy", self.folder / "labels.npy"

    def test_peak_of_a_diagnosis(self):
        command = [str(COMMAND), "diagnose", str(self.problem), "--seed", "0", "--out", "run"]
        with open(self.folder / "output", "w", encoding="utf-8") as output:
            process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # it is gone: subprocess must not wait for it
        self.assertIn(process.returncode, (PASS, FAIL, INCONCLUSIVE), (self.folder / "output").read_text(encoding="utf-8"))
        peak = usage.ru_maxrss * 1024
        summary = (f"{PARTICLES} particles: peak {peak / MIB:.0f} MiB, allowed {ALLOWED / MIB:.0f} MiB; "
                   f"{usage.ru_utime + usage.ru_stime:.0f} s of CPU")
        print(summary)
        self.assertGreater(peak, COUNT * SIDE * SIDE, "no run can hold less than the images: " + summary)
        self.assertLess(peak, ALLOWED, summary)


if __name__ == "__main__":
    unittest.main()
