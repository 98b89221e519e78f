#!/usr/bin/env python3
"""A million images of 16x16 pixels as bytes: they stay in their file, and nothing else grows with them but 8-byte numbers an atom.

The peak of a sampling run is the file (its mapped pages count) and 300 MiB; and the same run succeeds in an address space that
could not hold the images as float32. The images are made, not found: a few smooth patterns in random amounts, and noise, so that
the posterior is neither all of them nor one. Nothing is left to chance: seed 0, and memory does not depend on what is drawn.
256 particles and one step of pigdm are a few sweeps, each 66 billion multiplications where every atom is looked at.
"""

import os
import resource
import subprocess
import sys
import time
import unittest

import numpy as np

from judging import COMMAND, PASS, JudgingTest

COUNT, SIDE = 1_000_000, 16
DIM = SIDE * SIDE
MIB = 2**20
STORED = COUNT * DIM  # bytes
AS_FLOAT32 = 4 * STORED
ALLOWED = STORED + 300 * MIB
PARTICLES = 256
STEPS = 1

WRITE_IMAGES = f"""
import numpy as np
random = np.random.default_rng(0)
rank, block = 24, 20000
grid = np.arange({SIDE}) + 0.5
waves = np.stack([np.cos(np.pi * k * grid / {SIDE}) for k in range(6)])
order = sorted(((j, k) for j in range(6) for k in range(6)), key=lambda jk: (jk[0] ** 2 + jk[1] ** 2, jk))[1:rank + 1]
patterns = np.stack([np.outer(waves[j], waves[k]).ravel() / (1 + j + k) for j, k in order]).astype(np.float32)
images = np.lib.format.open_memmap("images.npy", "w+", np.uint8, ({COUNT}, {SIDE}, {SIDE}))
labels = np.empty({COUNT}, np.uint8)
for first in range(0, {COUNT}, block):
    amounts = random.standard_normal((block, rank), dtype=np.float32)
    noise = random.standard_normal((block, {DIM}), dtype=np.float32)
    values = 127.5 + 60 * (amounts @ patterns) + 6 * noise
    images[first:first + block] = np.clip(np.rint(values), 0, 255).astype(np.uint8).reshape(block, {SIDE}, {SIDE})
    labels[first:first + block] = 2 * (amounts[:, 0] > 0) + (amounts[:, 1] > 0)
np.save("labels.npy", labels)
"""


class AMillionImages(JudgingTest):
    def setUp(self):
        super().setUp()
        # In a child: a process starts with the peak of the one that it was forked from.
        subprocess.run([sys.executable, "-c", WRITE_IMAGES], cwd=self.folder, check=True, timeout=120)
        self.problem = self.write_problem({
            "prior": {"kind": "atoms", "atoms": "images.npy", "labels": "labels.npy", "scale": [-1, 1]},
            "operator": {"kind": "downsample", "shape": [SIDE, SIDE], "factor": 4},
            "noise": {"sigma": 0.1},
            "measurement": {"from_atom": 17},
            "grid": {"steps": STEPS},
            "run": {"particles": PARTICLES, "precision": "f32"},
        })

    def sample(self, out, address_space=resource.RLIM_INFINITY):
        """Peak resident bytes of a run that wrote `out`."""
        command = [str(COMMAND), "sample", str(self.problem), "--sampler", "pigdm", "--record", "1", "--threads", "2", "--out", out]
        started = time.monotonic()
        with open(self.folder / "output", "w", encoding="utf-8") as output:
            process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space)))
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # it is gone: subprocess must not wait for it
        self.assertEqual(process.returncode, PASS, (self.folder / "output").read_text(encoding="utf-8"))
        peak = usage.ru_maxrss * 1024
        print(f"{COUNT} images, {PARTICLES} particles: peak {peak / MIB:.0f} MiB, allowed {ALLOWED / MIB:.0f} MiB; "
              f"{time.monotonic() - started:.0f} s, {usage.ru_utime + usage.ru_stime:.0f} s of CPU")
        return peak

    def test_they_stay_bytes_in_their_file(self):
        peak = self.sample("free.npz")
        self.assertLess(peak, ALLOWED)
        self.assertGreater(peak, STORED, "every image was looked at")
        # Less address space than the images take as float32, beside the program and its threads' stacks and arenas.
        self.sample("limited.npz", AS_FLOAT32 - 24 * MIB)
        with np.load(self.folder / "free.npz") as free, np.load(self.folder / "limited.npz") as limited:
            self.assertTrue(np.isfinite(free["x"]).all())
            np.testing.assert_array_equal(free["x"], limited["x"])


if __name__ == "__main__":
    unittest.main()
