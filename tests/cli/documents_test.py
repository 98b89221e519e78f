#!/usr/bin/env python3
"""What the documents say can be run, runs; what they name, exists.

A ```console block holds commands after "$ " and, below each, output that is illustrative and not compared. Commands
run in the order of the documents in one scratch directory, so that a later one may use what an earlier one wrote. A
block below the comment <!-- slow --> is not run; its options are looked up in the command's help.
"""

import os
import re
import shlex
import subprocess
import unittest
from urllib.parse import unquote

from command import COMMAND, FAIL, INCONCLUSIVE, PASS, ROOT, CommandTest

FENCE = re.compile(r"^(`{3,}|~{3,})\s*(\S*)")
SLOW = "<!-- slow -->"
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
PROBLEM_FILE = re.compile(r"(?<![\w/.-])problems/([\w-]+)\.toml")
TAKES_PROBLEM = ("diagnose", "calibrate", "converge", "eval", "sample", "inspect", "tune")


def documents():
    """Everything a reader is offered: the pages at the top of the tree and in docs/, data/."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("data/**/*.md")]
    return sorted(path for path in found if path.is_file())


def fenced_blocks(text):
    """(language, lines, below a slow marker) of every fenced block."""
    blocks, fence, lines, last_text = [], None, [], ""
    for line in text.splitlines():
        match = FENCE.match(line.strip())
        if fence is None and match:
            fence, language, slow, lines = match.group(1), match.group(2), last_text == SLOW, []
        elif fence is not None and line.strip() == fence:
            blocks.append((language, lines, slow))
            fence = None
        elif fence is not None:
            lines.append(line)
        if fence is None and line.strip():
            last_text = line.strip()
    return blocks


def commands_of(lines):
    """The commands of a console block: after "$ ", continued while a line ends in a backslash."""
    commands, open_command = [], False
    for line in lines:
        if open_command:
            commands[-1] += " " + line.strip()
        elif line.startswith("$ "):
            commands.append(line[2:].strip())
        else:
            continue
        open_command = commands[-1].endswith("\\")
        commands[-1] = commands[-1].removesuffix("\\").strip()
    return commands


def console_commands(text):
    """(command, slow) of every fslens command in the console blocks of a document."""
    return [
        (command, slow)
        for language, lines, slow in fenced_blocks(text)
        if language == "console"
        for command in commands_of(lines)
        if command.split(" ")[0] == "fslens"
    ]


def words_of(command):
    """Words up to the first pipe, redirection or other end of a command."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if set(word) <= set("|&;<>()"):
            break
        words.append(word)
    return words


def mentioned_commands(text):
    """Every fslens command of any fenced block or code span, run or not."""
    prose = []
    for language, lines, _ in fenced_blocks(text):
        if language in ("console", "sh", "bash", "shell", ""):
            prose += commands_of(lines) + [line.strip() for line in lines if line.strip().startswith("fslens ")]
    prose += re.findall(r"`(fslens [^`\n]+)`", text)
    return [command for command in prose if command.startswith("fslens ")]


def problem_name(words):
    """The built-in problem that a command names, if it names one."""
    if len(words) < 3 or words[1] not in TAKES_PROBLEM or words[2].startswith("-"):
        return None
    return words[2] if re.fullmatch(r"[a-z][a-z0-9-]*", words[2]) else None


def anchors_of(text):
    """The anchors that a heading gets on the web."""
    without_blocks = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    anchors = set()
    for heading in re.findall(r"^#{1,6}\s+(.+?)\s*#*$", without_blocks, re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        base = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = sum(
            anchor == base or re.fullmatch(re.escape(base) + r"-\d+", anchor) is not None for anchor in anchors
        )
        anchors.add(base if number == 0 else f"{base}-{number}")
    return anchors


class DocumentTest(CommandTest):
    """The command is `fslens` in a shell, in a folder that has the repository's problems and data."""

    def setUp(self):
        super().setUp()
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "fslens").symlink_to(COMMAND.resolve())
        self.work = self.folder / "work"
        self.work.mkdir()
        for name in ("problems", "data", "examples"):
            if (ROOT / name).is_dir():
                (self.work / name).symlink_to(ROOT / name)

    def subcommands(self):
        listed = self.succeed("--help").stdout.partition("Subcommands:")[2]
        return set(re.findall(r"^  ([a-z]+) ", listed, re.MULTILINE))

    def problems_of(self, words):
        """What is wrong with a command that is not run, as far as its help tells."""
        if len(words) < 2 or words[1].startswith("-"):
            return []
        if words[1] not in self.subcommands():
            return [f"no subcommand '{words[1]}'"]
        known = set(re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", self.succeed(words[1], "--help").stdout))
        options = {word.split("=")[0] for word in words[2:] if re.match(r"--?[A-Za-z]", word)}
        return [f"no option {option} of {words[1]}" for option in sorted(options - known)]

    def run_in_shell(self, command):
        environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.work,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=240,
        )


class Documents(DocumentTest):
    def test_there_is_something_to_read(self):
        self.assertIn(ROOT / "README.md", documents())

    def test_console_blocks_run(self):
        for path in documents():
            for command, slow in console_commands(path.read_text(encoding="utf-8")):
                with self.subTest(document=str(path.relative_to(ROOT)), command=command):
                    self.assertEqual(self.problems_of(words_of(command)), [])
                    if not slow:
                        result = self.run_in_shell(command)
                        self.assertIn(result.returncode, (PASS, FAIL, INCONCLUSIVE), result.stderr)

    def test_mentioned_commands_exist(self):
        known = self.subcommands()
        self.assertIn("diagnose", known)
        for path in documents():
            for command in mentioned_commands(path.read_text(encoding="utf-8")):
                with self.subTest(document=str(path.relative_to(ROOT)), command=command):
                    word = command.split()[1]
                    self.assertTrue(word in known or not re.fullmatch(r"[a-z]+", word), f"no subcommand '{word}'")

    def test_problems_exist(self):
        listed = {line.split()[0] for line in self.succeed("list", "problems").stdout.splitlines()}
        self.assertEqual(listed, {path.stem for path in (ROOT / "problems").glob("*.toml")})
        for path in documents():
            text = path.read_text(encoding="utf-8")
            named = {problem_name(command.split()) for command in mentioned_commands(text)} | set(
                PROBLEM_FILE.findall(text)
            )
            with self.subTest(document=str(path.relative_to(ROOT))):
                self.assertEqual(named - {None} - listed, set())

    def test_relative_links_resolve(self):
        for path in documents():
            text = path.read_text(encoding="utf-8")
            prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
            for match in LINK.finditer(prose):
                link = match.group(1) or match.group(2)
                if re.match(r"[a-z][a-z0-9+.-]*:", link):
                    continue
                with self.subTest(document=str(path.relative_to(ROOT)), link=link):
                    file, _, anchor = link.partition("#")
                    target = (path.parent / unquote(file)).resolve() if file else path
                    self.assertTrue(target.exists(), f"{link} leads nowhere")
                    if anchor and target.suffix == ".md":
                        self.assertIn(anchor, anchors_of(target.read_text(encoding="utf-8")))


class ReadingOfDocuments(DocumentTest):
    """The reading itself, on a page with one of everything."""

    PAGE = "\n".join(
        [
            "# The page",
            "",
            "```console",
            "$ fslens list problems",
            "three-atoms   …",
            "$ ls",
            "$ fslens diagnose three-atoms \\",
            "    --out run",
            "```",
            "",
            SLOW,
            "",
            "```console",
            "$ fslens diagnose digits-superres | tail -1",
            "```",
            "",
            "```sh",
            "fslens inspect no-such-problem",
            "```",
            "see `fslens sample gmm-1d --sampler exact` and problems/two-atoms.toml",
            "",
            "## What `it` is, and why?",
            "## Twice",
            "## Twice",
        ]
    )

    def test_commands(self):
        self.assertEqual(
            console_commands(self.PAGE),
            [
                ("fslens list problems", False),
                ("fslens diagnose three-atoms --out run", False),
                ("fslens diagnose digits-superres | tail -1", True),
            ],
        )

    def test_problems(self):
        named = {problem_name(command.split()) for command in mentioned_commands(self.PAGE)} - {None}
        self.assertEqual(named, {"three-atoms", "digits-superres", "no-such-problem", "gmm-1d"})
        self.assertEqual(PROBLEM_FILE.findall(self.PAGE), ["two-atoms"])

    def test_anchors(self):
        self.assertEqual(anchors_of(self.PAGE), {"the-page", "what-it-is-and-why", "twice", "twice-1"})

    def test_help_knows_the_options(self):
        self.assertEqual(self.problems_of(words_of("fslens diagnose x --out run --set a=b | tail -1 --frob")), [])
        self.assertEqual(self.problems_of(words_of("fslens diagnose x --frob=1")), ["no option --frob of diagnose"])
        self.assertEqual(self.problems_of(words_of("fslens frobnicate x")), ["no subcommand 'frobnicate'"])

    def test_commands_run_in_a_shell_with_the_problems_at_hand(self):
        self.assertEqual(self.run_in_shell("fslens inspect problems/three-atoms.toml | head -100").returncode, PASS)
        self.assertEqual(self.run_in_shell("fslens inspect problems/no-such-problem.toml | cat").returncode, 4)


if __name__ == "__main__":
    unittest.main()
