"""Self-test of the source rules: a planted breach is found where it stands."""

import pathlib
import tempfile
import unittest

import source_rules


class SourceRules(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name).resolve()
        (self.root / "tests").mkdir()

    def found(self, name, text):
        path = self.root / "tests" / name
        path.write_text(text, encoding="utf-8")
        found = [str(breach) for breach in source_rules.breaches(self.root)]
        path.unlink()
        return found

    def test_a_file_is_too_long_from_450_lines_on(self):
        self.assertEqual(self.found("fits.cpp", "int x;\n" * 449), [])
        self.assertEqual(len(self.found("long.cpp", "int x;\n" * 450)), 1)
        self.assertEqual(len(self.found("long.py", "x = 1\n" * 450)), 1)
        self.assertEqual(self.found("long.csv", "1\n" * 450), [])

    def test_what_is_left_for_later_is_found(self):
        for marker in ("TO" "DO", "FIX" "ME", "X" "XX"):
            found = self.found("late.hpp", f"int x;\n// {marker}: y\n")
            self.assertEqual(len(found), 1)
            self.assertTrue(found[0].startswith("tests/late.hpp:2: "), found[0])
        self.assertEqual(self.found("template.cpp", 'auto name = "file-XXXX' 'XX";\n'), [])


if __name__ == "__main__":
    unittest.main()
