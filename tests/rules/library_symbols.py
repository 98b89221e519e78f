"""That no object of the library prints, exits or reads the environment, read from its symbol table.

    python3 library_symbols.py LIBRARY [--nm NM]

Macros and inline functions of third-party headers can bring in such a call where the sources show none.
"""

import argparse
import re
import subprocess
import sys

FORBIDDEN = frozenset(
    "abort exit _exit _Exit quick_exit getenv secure_getenv setenv putenv system "
    "stdout stderr printf fprintf vprintf vfprintf __printf_chk __fprintf_chk __vprintf_chk __vfprintf_chk "
    "puts putchar fputs perror "
    "std::cout std::cerr std::clog std::wcout std::wcerr std::wclog std::ios_base::Init::Init()".split()
)
_FORBIDDEN_CALL = re.compile(r"fmt::v\d+::(v?print|println)\b")

# (object, symbol) pairs that an inline function of a third-party header forces on us, each with its reason.
ALLOWED = {
    ("stream.cpp.o", "std::ios_base::Init::Init()"): "Random123/array.h includes <iostream> for its operator<<",
}

# nm -A -C: "libfslens.a:error.cpp.o:                 U std::cout", "…:0000000000000000 T fslens::f(int)"
_LINE = re.compile(r"^(?P<archive>.*?):(?P<object>[^:]+):\s*[0-9a-fA-F]*\s+(?P<kind>[A-Za-z?])\s(?P<symbol>.*)$")


def breaches(library: str, nm: str = "nm"):
    """`object: symbol` for every forbidden symbol that an object of `library` refers to or defines."""
    listing = subprocess.run([nm, "-A", "-C", library], check=True, capture_output=True, text=True).stdout
    found, num_symbols = [], 0
    for line in listing.splitlines():
        match = _LINE.match(line)
        if not match:
            continue
        num_symbols += 1
        symbol = re.sub(r"@.*", "", match["symbol"])
        forbidden = symbol in FORBIDDEN or _FORBIDDEN_CALL.match(symbol)
        if forbidden and (match["object"], symbol) not in ALLOWED:
            found.append(f"{match['object']}: {symbol}")
    if num_symbols == 0:
        raise ValueError(f"{library}: nm lists no symbol")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library")
    parser.add_argument("--nm", default="nm")
    arguments = parser.parse_args()
    found = breaches(arguments.library, arguments.nm)
    for breach in found:
        print(f"{breach}: only apps/ and python/ print, exit or read the environment")
    print(f"{len(found)} breaches")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
