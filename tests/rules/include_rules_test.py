"""Self-test of the include rules: a planted breach of each rule is found where it stands, and innocent code is not."""

import pathlib
import tempfile
import unittest

import include_rules


class IncludeRules(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name).resolve()
        for room in include_rules.EVERY_ROOM:
            self.write(f"include/fslens/{room}/thing.hpp", "#pragma once\n#include <vector>\n")

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def found(self):
        return [str(breach) for breach in include_rules.breaches(self.root)]

    def assert_breach(self, path, text, line, words):
        """Planting `text` at `path` gives exactly one breach, there; without it there is none."""
        self.assertEqual(self.found(), [])
        self.write(path, text)
        found = self.found()
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{path}:{line}: "), found[0])
        self.assertIn(words, found[0])
        (self.root / path).unlink()

    def test_every_allowed_edge_passes_and_every_other_edge_is_found(self):
        others = sorted(include_rules.EVERY_ROOM)
        for room, allowed in include_rules.MAY_INCLUDE.items():
            path = f"src/{room}/planted.cpp"
            self.write(path, "".join(f'#include "fslens/{other}/thing.hpp"\n' for other in others))
            forbidden = [f"{path}:{line}: {room} must not include {other}"
                         for line, other in enumerate(others, start=1) if other not in allowed]
            self.assertEqual([breach.split(": it may")[0] for breach in self.found()], forbidden)
            (self.root / path).unlink()

    def test_the_defendant_never_sees_the_judge_nor_the_judge_the_defendant(self):
        for defendant in ("guidance", "samplers"):
            self.assertFalse(include_rules.MAY_INCLUDE[defendant] & {"lens", "metrics", "diagnosis", "prior", "report"})
        for judge in ("lens", "metrics"):
            self.assertFalse(include_rules.MAY_INCLUDE[judge] & {"guidance", "samplers"})

    def test_no_room_may_include_a_room_that_may_include_it(self):
        for room, allowed in include_rules.MAY_INCLUDE.items():
            for other in allowed - {room}:
                self.assertNotIn(room, include_rules.MAY_INCLUDE[other], f"{room} and {other}")

    def test_an_edge_is_found_in_public_headers_and_however_it_is_spelt(self):
        rule = "metrics must not include samplers"
        self.assert_breach("include/fslens/metrics/planted.hpp", '\n#include "fslens/samplers/thing.hpp"\n', 2, rule)
        self.assert_breach("src/metrics/planted.cpp", "#include <fslens/samplers/thing.hpp>\n", 1, rule)
        self.assert_breach("src/metrics/planted.hpp", '  #  include "fslens/samplers/thing.hpp"\n', 1, rule)
        self.write("src/samplers/private.hpp", "#pragma once\n")
        self.assert_breach("src/metrics/planted.cpp", '#include "../samplers/private.hpp"\n', 1, rule)
        self.assert_breach("src/metrics/planted.cpp", '#include "samplers/private.hpp"\n', 1, rule)

    def test_an_unknown_room_is_found(self):
        self.assert_breach("src/lens/planted.cpp", '#include "fslens/utilities/thing.hpp"\n', 1, 'no room "utilities"')
        self.assert_breach("src/extras/planted.cpp", '#include "fslens/core/thing.hpp"\n', 1, 'no room "extras"')

    def test_rooms_may_not_include_a_header_of_all_rooms_but_apps_may(self):
        self.write("include/fslens/fslens.hpp", '#include "fslens/lens/thing.hpp"\n')
        self.assert_breach("src/core/planted.cpp", '#include "fslens/fslens.hpp"\n', 1, "core must not")
        self.write("apps/fslens/main.cpp", '#include "fslens/fslens.hpp"\n#include "fslens/report/thing.hpp"\n')
        self.assertEqual(self.found(), [])

    def test_an_include_in_a_comment_is_no_include(self):
        text = '// #include "fslens/lens/thing.hpp"\n/*\n#include "fslens/lens/thing.hpp"\n*/\n'
        self.write("src/core/innocent.cpp", text)
        self.assertEqual(self.found(), [])

    def test_third_party_headers_stay_in_their_rooms(self):
        for path, header in [
            ("src/lens/planted.cpp", "hwy/highway.h"),
            ("src/kernels/planted.hpp", "hwy/highway.h"),
            ("src/diagnosis/planted.cpp", "nlohmann/json.hpp"),
            ("src/io/planted.hpp", "toml++/toml.h"),
            ("src/lens/planted.cpp", "pugixml.hpp"),
            ("src/io/planted.cpp", "CLI/CLI.hpp"),
            ("include/fslens/lens/planted.hpp", "Eigen/Dense"),
            ("src/core/planted.cpp", "iostream"),
            ("include/fslens/core/planted.hpp", "fmt/format.h"),
            ("include/fslens/core/planted.hpp", "unistd.h"),
        ]:
            with self.subTest(path=path, header=header):
                self.assert_breach(path, f"#pragma once\n#include <{header}>\n", 2, "")

    def test_third_party_headers_pass_where_they_belong(self):
        self.write("src/kernels/tile.cpp", "#include <hwy/highway.h>\n")
        self.write("src/io/file.cpp", "#include <toml++/toml.h>\n#include <nlohmann/json.hpp>\n#include <zip.h>\n")
        self.write("src/report/junit.cpp", "#include <pugixml.hpp>\n")
        self.write("src/prior/mixture.cpp", "#include <Eigen/Dense>\n#include <fmt/format.h>\n")
        self.write("apps/fslens/main.cpp", "#include <CLI/CLI.hpp>\n#include <iostream>\n")
        self.write("benchmarks/rival.cpp", "#include <cblas.h>\n#include <benchmark/benchmark.h>\n#include <nlohmann/json.hpp>\n")
        self.assertEqual(self.found(), [])

    def test_rivals_stay_out_of_the_library(self):
        for header in ["cblas.h", "oneapi/dnnl/dnnl.h", "omp.h", "benchmark/benchmark.h"]:
            with self.subTest(header=header):
                self.assert_breach("src/kernels/planted.cpp", f"\n#include <{header}>\n", 2, "measured against")

    def test_printing_exiting_and_the_environment_are_found(self):
        for code in [
            "std::cout << 1;", "std::cerr << 1;", "printf(\"x\");", "std::fprintf(stream, \"x\");",
            "std::exit(1);", "::exit (1);", "std::abort();", "auto v = std::getenv(\"HOME\");", "fmt::print(\"x\");",
            "flush(stdout);",
        ]:
            with self.subTest(code=code):
                self.assert_breach("src/core/planted.cpp", f"\nvoid f() {{ {code} }}\n", 2, "only apps/, python/ and benchmarks/ print")

    def test_words_that_only_look_like_them_pass(self):
        self.write("src/core/innocent.cpp",
                   "// exit(1) and std::cout\n"
                   'const char* text = "abort() // printf(";\n'
                   "const char* raw = R\"x(std::cerr \" exit())x\";\n"
                   "const long million = 1'000'000; const char quote = '\"';\n"
                   "void f() { observer.abort(); loop->exit(); Loop::exit(); std::snprintf(b, n, text); my_exit(); }\n")
        self.write("apps/fslens/main.cpp", "int main() { std::cout << std::getenv(name); std::exit(3); }\n")
        self.assertEqual(self.found(), [])


if __name__ == "__main__":
    unittest.main()
