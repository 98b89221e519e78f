"""What the rule checks share: the project's files, C++ with its comments or literals blanked, and how a breach is told."""

import argparse
import pathlib
import re
import sys
from dataclasses import dataclass

_COMMENT_OR_LITERAL = re.compile(
    r'(?P<raw>R"(?P<delimiter>[^()\s\\]{0,16})\(.*?\)(?P=delimiter)")'
    r"|(?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)"
    r'|(?P<string>"(?:\\.|[^"\\\n])*")'
    r"|(?P<character>(?<![0-9a-zA-Z])'(?:\\.|[^'\\\n])+')",  # not the ' of 1'000
    re.DOTALL,
)


@dataclass(frozen=True)
class Breach:
    """One place that breaks a rule; prints as `file:line: rule`."""

    path: str
    line: int
    rule: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.rule}"


def files_under(root: pathlib.Path, folders, suffixes):
    """Every file below `folders` with one of `suffixes`, in a fixed order. A folder need not exist."""
    for folder in folders:
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in suffixes:
                yield path


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def without_comments(text: str) -> str:
    """C++ with comments blanked; literals and line numbers stay."""
    return _COMMENT_OR_LITERAL.sub(lambda m: _blank(m[0]) if m["comment"] else m[0], text)


def without_comments_and_literals(text: str) -> str:
    """C++ with comments, strings and characters blanked; line numbers stay."""
    return _COMMENT_OR_LITERAL.sub(lambda m: _blank(m[0]), text)


def run(description: str, check) -> None:
    """Command line of a check: `check(root)` → breaches, told one a line; exit code 1 if there are any.

    A tree without any C++ file is a wrong path, not a clean tree: exit code 2.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("root", type=pathlib.Path, help="the source tree")
    root = parser.parse_args().root.resolve()
    if not any(files_under(root, ["include", "src"], {".hpp", ".cpp"})):
        parser.error(f"{root}: no C++ file below include/ or src/")
    breaches = check(root)
    for breach in breaches:
        print(breach)
    print(f"{len(breaches)} breaches")
    sys.exit(1 if breaches else 0)
