"""That no source file outgrows a reader, and that nothing is left for later.

    python3 source_rules.py SOURCE_DIR
"""

import pathlib
import re

from source_tree import Breach, files_under, run

MAX_LINES = 449
# Written apart so that this file obeys its own rule.
_LEFT_FOR_LATER = re.compile(r"\b(?:" + "|".join(["TO" "DO", "FIX" "ME", "X" "XX"]) + r")\b")


def breaches(root: pathlib.Path):
    """All breaches in include/, src/, apps/, benchmarks/ and tests/ below `root`, in the order of the files."""
    found = []
    for path in files_under(root, ["include", "src", "apps", "benchmarks", "tests"], {".hpp", ".cpp", ".py"}):
        relative = str(path.relative_to(root))
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > MAX_LINES:
            found.append(Breach(relative, len(lines), f"{len(lines)} lines: a file has at most {MAX_LINES}, find the seam"))
        for number, line in enumerate(lines, start=1):
            if marker := _LEFT_FOR_LATER.search(line):
                found.append(Breach(relative, number, f"{marker[0]}: finish it or open an issue"))
    return found


if __name__ == "__main__":
    run(__doc__, breaches)
