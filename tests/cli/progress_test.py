#!/usr/bin/env python3
"""The progress bar is for terminals: drawn on stderr there, gone at the end, and nothing of it where stderr is a file."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import unittest

from command import COMMAND, PASS, CommandTest

CLEAR = "\r\x1b[K"
WIDTH = 70


class Progress(CommandTest):
    # Seconds, in many steps.
    ARGUMENTS = ("sample", "digits-superres", "--sampler", "pigdm", "--set", "grid.steps=800", "--set", "run.particles=512",
                 "--threads", "1", "--out", "states.npz")

    def on_terminal(self, *arguments):
        """Exit code and what came on stderr, a terminal WIDTH columns wide."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
        process = subprocess.Popen([str(COMMAND), *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=slave)
        os.close(slave)
        said = b""
        while True:
            try:
                part = os.read(master, 4096)
            except OSError:  # the terminal's other end is closed
                break
            if not part:
                break
            said += part
        os.close(master)
        return process.wait(timeout=60), said.decode()

    def test_a_terminal_sees_a_bar_that_is_gone_at_the_end(self):
        code, said = self.on_terminal(*self.ARGUMENTS)
        self.assertEqual(code, PASS, said)
        lines = [line for line in re.split(r"\r|\x1b\[K", said) if line]
        self.assertGreater(len(lines), 1, repr(said))
        for line in lines:
            self.assertRegex(line, r"^sample pigdm \[#*\.*\] +\d+ %  \d+ s(, \d+ s left)?$")
            self.assertLess(len(line), WIDTH)
        self.assertIn("left", lines[-1])
        percents = [int(re.search(r"(\d+) %", line)[1]) for line in lines]
        self.assertEqual(percents, sorted(percents))
        self.assertTrue(said.endswith(CLEAR), repr(said))
        self.assertEqual(said.count(CLEAR), 1, "cleared once, at the end: a bar that is cleared in between flickers")
        self.assertNotIn("\n", said)

    def test_a_message_begins_on_a_clear_line(self):
        code, said = self.on_terminal("sample", "digits-superres", "--sampler", "dps-zeta:zeta=1e308", "--set", "grid.steps=800",
                                      "--set", "run.particles=96", "--threads", "1", "--out", "states.npz")
        self.assertEqual(code, PASS, said)
        self.assertRegex(said.split(CLEAR)[-1], r"^fslens: warning: \d+ of 96 final states are not finite .*\r\n$")

    def test_a_file_sees_nothing(self):
        result = subprocess.run([str(COMMAND), *self.ARGUMENTS], cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True,
                                timeout=60, check=True)
        self.assertEqual((result.stdout, result.stderr), (b"", b""))


if __name__ == "__main__":
    unittest.main()
