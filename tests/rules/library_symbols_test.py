"""Self-test of the symbol check: a compiled object that prints, exits or reads the environment is found.

    CXX=compiler NM=nm AR=ar python3 library_symbols_test.py
"""

import os
import pathlib
import subprocess
import tempfile
import unittest

import library_symbols


class LibrarySymbols(unittest.TestCase):
    def found(self, source):
        with tempfile.TemporaryDirectory() as directory:
            folder = pathlib.Path(directory)
            (folder / "planted.cpp").write_text(source, encoding="utf-8")
            compiler, archiver = os.environ.get("CXX", "c++"), os.environ.get("AR", "ar")
            subprocess.run([compiler, "-std=c++20", "-O1", "-c", "planted.cpp"], cwd=folder, check=True)
            subprocess.run([archiver, "rcs", "planted.a", "planted.o"], cwd=folder, check=True)
            return library_symbols.breaches(str(folder / "planted.a"), os.environ.get("NM", "nm"))

    def test_an_innocent_object_passes(self):
        source = "#include <string>\nnamespace f { bool exit(std::string s) { return !s.empty(); } }\n"
        self.assertEqual(self.found(source), [])

    def test_exit_abort_getenv_and_the_streams_are_found(self):
        found = self.found("#include <cstdio>\n#include <cstdlib>\n"
                           "void f(int x) { if (x == 1) std::exit(x); if (x == 2) std::abort();\n"
                           "  if (std::getenv(\"X\") == nullptr) std::fputc(x, x == 3 ? stdout : stderr); }\n")
        symbols = ["abort", "exit", "getenv", "stderr", "stdout"]
        self.assertEqual(sorted(found), [f"planted.o: {symbol}" for symbol in symbols])

    def test_iostream_is_found(self):
        self.assertIn("planted.o: std::cout", self.found("#include <iostream>\nvoid f() { std::cout << 1; }\n"))

    def test_an_object_without_symbols_is_an_error_not_a_pass(self):
        with self.assertRaises(ValueError):
            self.found("")


if __name__ == "__main__":
    unittest.main()
