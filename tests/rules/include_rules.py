"""Who may include whom, which third-party headers may appear where, and that the library neither prints nor exits.

    python3 include_rules.py SOURCE_DIR
"""

import pathlib
import re

from source_tree import Breach, files_under, run, without_comments, without_comments_and_literals

_COMMAND = "only apps/, python/ and benchmarks/ print, exit or read the environment"

# A room may include itself and the rooms named here, nothing else. The lists are complete: nothing is inherited.
# guidance and samplers never see lens, metrics, diagnosis or prior (the defendant never sees the judge), lens and metrics
# never see guidance or samplers, and report knows the results of a diagnosis but computes nothing.
MAY_INCLUDE = {
    "core": "",
    "rng": "core",
    "kernels": "core rng",
    "diffusion": "core rng",
    "prior": "core rng kernels diffusion",
    "operators": "core rng",
    "measurement": "core rng operators",
    "guidance": "core rng diffusion operators measurement",
    "samplers": "core rng diffusion operators measurement guidance",
    "lens": "core rng kernels diffusion prior operators measurement",
    "metrics": "core rng",
    "io": "core",
    "diagnosis": "core rng kernels diffusion prior operators measurement guidance samplers lens metrics io",
    "report": "core io diagnosis",
}
MAY_INCLUDE = {room: frozenset(rooms.split()) | {room} for room, rooms in MAY_INCLUDE.items()}
EVERY_ROOM = frozenset(MAY_INCLUDE)

# (third-party header, files that may include it, the rule in words)
THIRD_PARTY = [
    (re.compile(r"hwy/(?!contrib/sort/vqsort\.h)"), re.compile(r"src/kernels/[^/]+\.cpp|src/rng/box_muller\.cpp"),
     "only src/kernels/*.cpp and src/rng/box_muller.cpp include Highway"),
    (re.compile(r"hwy/contrib/sort/vqsort\.h"), re.compile(r"src/core/sort\.cpp"), "only src/core/sort.cpp calls Highway's sort"),
    (re.compile(r"toml\+\+/|toml\.hpp|nlohmann/|pugixml|pugiconfig"), re.compile(r"src/(io|report)/[^/]+\.cpp|benchmarks/.*"),
     "only src/io/*.cpp, src/report/*.cpp and benchmarks/ include TOML, JSON and XML libraries"),
    (re.compile(r"CLI/|CLI11"), re.compile(r"apps/.*"), "only apps/ parses options with CLI11"),
    (re.compile(r"(iostream|print|syncstream)$"), re.compile(r"(apps|python|benchmarks)/.*"), _COMMAND),
    (re.compile(r"cblas|f77blas|openblas|oneapi/|dnnl|omp\.h|benchmark/"), re.compile(r"benchmarks/.*"),
     "what fslens is measured against and with stays in benchmarks/"),
]
_STANDARD_HEADER = re.compile(r"[a-z0-9_]+$")

FORBIDDEN_CALLS = re.compile(
    r"(?<![\w.>:])(?:std::|::)?"
    r"(?:(?P<stream>(?:wcout|wcerr|wclog|cout|cerr|clog|stdout|stderr)\b)"
    r"|(?P<call>(?:printf|fprintf|vprintf|vfprintf|puts|fputs|putchar|perror|exit|_exit|_Exit|quick_exit|abort|at_quick_exit"
    r"|getenv|secure_getenv|setenv|putenv|system)\s*\()"
    r"|(?P<print>(?:fmt|std)::(?:v?print|println|v?print_unicode)\s*\())"
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*(?:include|import)[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', re.MULTILINE)


def _room_of(path: pathlib.PurePath):
    """The room a file of the tree lives in; `apps` for commands, bindings and benchmarks; None for include/fslens/*.hpp itself."""
    parts = path.parts
    if parts[0] in ("apps", "python", "benchmarks"):
        return "apps"
    inside = parts[2:] if parts[:2] == ("include", "fslens") else parts[1:]
    return inside[0] if len(inside) > 1 else None


def _included_room(root: pathlib.Path, path: pathlib.Path, name: str):
    """The room that `#include "name"` in `path` leads into, or None if it is no room's header."""
    if name.startswith("fslens/"):
        parts = name.split("/")
        return parts[1] if len(parts) > 2 else "fslens/*.hpp"
    for base in (path.parent, root / "src", root / "include" / "fslens", root):
        target = (base / name).resolve()
        if target.is_file() and target.is_relative_to(root):
            relative = target.relative_to(root)
            return _room_of(relative) if relative.parts[0] in ("src", "include") else None
    return None


def _edge_rule(room, included):
    """The rule that an include of a header of room `included` by `room` breaks, or None."""
    if included not in EVERY_ROOM and included != "fslens/*.hpp":
        return f'there is no room "{included}"'
    if room in ("apps", None):
        return None
    if room not in EVERY_ROOM:
        return f'there is no room "{room}": give it a line in MAY_INCLUDE'
    if included in MAY_INCLUDE[room]:
        return None
    return f"{room} must not include {included}: it may include {' '.join(sorted(MAY_INCLUDE[room] - {room})) or 'nothing'}"


def _include_breaches(root: pathlib.Path, path: pathlib.Path, text: str):
    relative = path.relative_to(root)
    for match in _INCLUDE.finditer(without_comments(text)):
        name = match[1] or match[2]
        line = text.count("\n", 0, match.start()) + 1
        included = _included_room(root, path, name)
        if included is not None:
            rule = _edge_rule(_room_of(relative), included)
            if rule:
                yield Breach(str(relative), line, rule)
            continue
        for header, where, rule in THIRD_PARTY:
            if header.match(name) and not where.fullmatch(relative.as_posix()):
                yield Breach(str(relative), line, rule)
        if relative.parts[0] == "include" and not _STANDARD_HEADER.match(name):
            yield Breach(str(relative), line, f"public headers include fslens and the standard library only, not <{name}>")


def _call_breaches(relative: pathlib.PurePath, text: str):
    if relative.parts[0] in ("apps", "python", "benchmarks"):
        return
    code = without_comments_and_literals(text)
    for match in FORBIDDEN_CALLS.finditer(code):
        yield Breach(str(relative), code.count("\n", 0, match.start()) + 1, f"{match[0].strip(' (')}: {_COMMAND}")


def breaches(root: pathlib.Path):
    """All breaches in include/, src/, apps/, python/ and benchmarks/ below `root`, in the order of the files."""
    found = []
    for path in files_under(root, ["include", "src", "apps", "python", "benchmarks"], {".hpp", ".cpp", ".h", ".inc"}):
        text = path.read_text(encoding="utf-8")
        found += _include_breaches(root, path, text)
        found += _call_breaches(path.relative_to(root), text)
    return found


if __name__ == "__main__":
    run(__doc__, breaches)
