#!/usr/bin/env python3
"""What `fslens diagnose` leaves on the disk and prints, how it exits, and that an interruption leaves nothing."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

import numpy as np

from command import COMMAND, FAIL, INCONCLUSIVE, PASS, ROOT, USAGE, CommandTest, without_seconds

QUICK = ("--set", "run.particles=500", "--set", "grid.steps=40")
FILES = {"manifest.json", "problem.resolved.toml", "diagnosis.json", "junit.xml", "log.jsonl"}
VERDICT_CODES = {"pass": PASS, "fail": FAIL, "inconclusive": INCONCLUSIVE}
VERDICTS = {"pass", "fail", "inconclusive", "not-run"}
CHECKS = {
    "spread",
    "mode-weights",
    "prior-hallucination",
    "likelihood-hallucination",
    "early-stopping",
    "distance",
    "calibration",
    "measurement-fit",
    "lens-resolution",
    "divergence",
    "duplicates",
}
# A string that would be markup, an entity and the end of a CDATA section if any writer passed it through.
HOSTILE = "<script>alert(\"1\")</script> & 'x' ]]> \\ µ"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class RunDirectoryTest(CommandTest):
    def run_quickly(self, *arguments, problem="three-atoms", out="run"):
        return self.succeed("diagnose", problem, *QUICK, *arguments, "--out", out, codes=(PASS, FAIL, INCONCLUSIVE))

    def read(self, name, out="run"):
        return json.loads((self.folder / out / name).read_text(encoding="utf-8"))


class Contents(RunDirectoryTest):
    """Looks at one run of the built-in problem with all its samplers, and never writes into it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.shared = pathlib.Path(tempfile.mkdtemp(prefix="fslens-cli-"))
        cls.addClassCleanup(shutil.rmtree, cls.shared, ignore_errors=True)
        command = [str(COMMAND), "diagnose", "three-atoms", *QUICK, "--out", "run"]
        subprocess.run(command, cwd=cls.shared, capture_output=True, check=False, timeout=120)

    def shared_diagnosis(self):
        return json.loads((self.shared / "run" / "diagnosis.json").read_text(encoding="utf-8"))

    def test_files(self):
        run = self.shared / "run"
        files = {path.name for path in run.iterdir()}
        self.assertLessEqual(FILES, files)
        self.assertTrue(list((run / "arrays").glob("*.npy")))
        for array in (run / "arrays").glob("*.npy"):
            np.load(array)
        self.assertEqual([path for path in self.shared.iterdir() if path != run], [])
        events = [json.loads(line)["event"] for line in (run / "log.jsonl").read_text().splitlines()]
        self.assertEqual((events[0], events[-1]), ("start", "end"))


    def test_diagnosis_keys(self):
        diagnosis = self.shared_diagnosis()
        self.assertEqual(diagnosis["schema"], 1)
        self.assertIn(diagnosis["verdict"], VERDICTS)
        lens = diagnosis["lens"]
        self.assertEqual((lens["num_atoms"], lens["dim"], len(lens["modes"])), (3, 1, 3))
        self.assertAlmostEqual(lens["ess"], 1.0, places=6)
        # log N(-1.8; -1.8, 0.3²) + log 1/3: the other two atoms add less than 1e-9.
        self.assertAlmostEqual(lens["log_evidence"], -0.5 * np.log(2 * np.pi * 0.09) - np.log(3), places=8)
        for k, mode in enumerate(lens["modes"]):
            self.assertLessEqual({"id", "label", "prior_weight", "posterior_weight"}, set(mode))
            self.assertEqual(mode["id"], k)
            self.assertAlmostEqual(mode["prior_weight"], 1 / 3, places=12)
        names = [sampler["name"].split(" ")[0] for sampler in diagnosis["samplers"]]
        self.assertEqual(names, ["dps-sigma", "dps-zeta", "pigdm", "tmpd", "lens-sde"])
        for sampler in diagnosis["samplers"]:
            self.check_sampler(sampler)

    def check_sampler(self, sampler):
        self.assertLessEqual(
            {"name", "options", "status", "seconds", "verdict", "final", "curves", "checks"}, set(sampler)
        )
        self.assertIn(sampler["status"], ("ok", "diverged"))
        self.assertIn(sampler["verdict"], VERDICTS)
        final = sampler["final"]
        self.assertLessEqual(
            {
                "mode_weights",
                "mode_weights_tv",
                "prior_hallucination",
                "likelihood_hallucination",
                "diverged",
                "spread_ratio",
                "sliced_w2",
                "energy",
                "mmd",
                "ksd",
            },
            set(final),
        )
        self.assertAlmostEqual(sum(final["mode_weights"]), 1.0, places=9)
        times = sampler["curves"]["t"]
        self.assertEqual((times[0], times[-1]), (1.0, 0.01))
        self.assertEqual(times, sorted(times, reverse=True))
        for name in ("spread_ratio", "mode_weights", "sliced_w2"):
            self.assertEqual(len(sampler["curves"][name]), len(times), name)
        ids = [check["id"] for check in sampler["checks"]]
        self.assertEqual(len(set(ids)), len(ids))
        self.assertLessEqual(set(ids), CHECKS)
        for check in sampler["checks"]:
            self.assertLessEqual(
                {"id", "verdict", "effect", "interval", "margin", "null", "worst_t", "advice"}, set(check)
            )
            self.assertIn(check["verdict"], VERDICTS)
            self.assertGreaterEqual(check["margin"], 0)
            self.assertEqual(check["advice"] == "", check["verdict"] == "pass", check)
            if check["interval"] is not None:
                low, high = check["interval"]
                self.assertLessEqual(low, high)

    def test_diagnosis_keys_of_the_error_budget(self):
        diagnosis = self.shared_diagnosis()
        with self.subTest("curves"):
            self.assertLessEqual({"score_error", "path_kl"}, set(diagnosis["samplers"][0]["curves"]))
        with self.subTest("error_budget"):
            self.assertIn("error_budget", diagnosis)
            self.assertEqual(
                [entry["sampler"] for entry in diagnosis["error_budget"]],
                [sampler["name"] for sampler in diagnosis["samplers"]],
            )
            self.assertLessEqual(
                {"monte_carlo", "finite_n", "discretisation", "initialisation", "likelihood", "dynamics", "prior", "measurement"},
                set(diagnosis["error_budget"][0]),
            )

    def test_worst_verdict_wins(self):
        diagnosis = self.shared_diagnosis()
        order = ["pass", "not-run", "inconclusive", "fail"]
        worst = max((sampler["verdict"] for sampler in diagnosis["samplers"]), key=order.index)
        self.assertEqual(diagnosis["verdict"], worst)

    def test_junit(self):
        diagnosis = self.shared_diagnosis()
        suites = ElementTree.parse(self.shared / "run" / "junit.xml").getroot().findall("testsuite")
        self.assertEqual(len(suites), len(diagnosis["samplers"]))
        for suite, sampler in zip(suites, diagnosis["samplers"]):
            verdicts = [check["verdict"] for check in sampler["checks"]]
            self.assertEqual(int(suite.get("tests")), len(verdicts))
            self.assertEqual(int(suite.get("failures")), verdicts.count("fail"))
            self.assertEqual(int(suite.get("skipped")), verdicts.count("inconclusive") + verdicts.count("not-run"))
            self.assertEqual(int(suite.get("errors")), 0)
            for case, check in zip(suite.findall("testcase"), sampler["checks"], strict=True):
                self.assertEqual((case.get("classname"), case.get("name")), (sampler["name"], check["id"]))
                self.assertEqual(case.find("failure") is not None, check["verdict"] == "fail")
                self.assertEqual(case.find("skipped") is not None, check["verdict"] in ("inconclusive", "not-run"))

    def test_manifest(self):
        (self.folder / "sub").mkdir()
        np.save(self.folder / "sub" / "atoms.npy", np.array([[-1.8], [0.2], [2.2]]))
        self.write_problem(
            {
                "prior": {"kind": "atoms", "atoms": "atoms.npy", "complete": True},
                "operator": {"kind": "identity"},
                "noise": {"sigma": 0.3},
                "measurement": {"y": [-1.8]},
            },
            "sub/problem.toml",
        )
        states = np.random.default_rng(0).normal(-1.8, 0.1, size=(1, 100, 1))
        np.savez(self.folder / "states.npz", x=states, t=np.array([0.01]))
        (self.folder / "states").mkdir()
        for key, array in (("x", states), ("t", np.array([0.01]))):
            np.save(self.folder / "states" / f"{key}.npy", array)
        self.run_quickly(
            "--seed", "7", "--trajectory", "states.npz", "--trajectory", "states", problem="sub/problem.toml"
        )
        manifest = self.read("manifest.json")
        self.assertEqual((manifest["schema"], manifest["seed"]), (1, 7))
        self.assertTrue(manifest["version"] and manifest["cpu_target"])
        inputs = {(self.folder / path).resolve(): digest for path, digest in manifest["inputs"].items()}
        for path, digest in inputs.items():
            self.assertEqual(digest, sha256(path), path)
        run = self.folder / "run"
        outputs = {run / path: digest for path, digest in manifest["outputs"].items()}
        for path, digest in outputs.items():
            self.assertEqual(digest, sha256(path), path)
        self.assertEqual(set(outputs), {path for path in run.rglob("*") if path.is_file()} - {run / "manifest.json"})
        wanted = {
            self.folder / path
            for path in ("sub/problem.toml", "sub/atoms.npy", "states.npz", "states/x.npy", "states/t.npy")
        }
        self.assertEqual(set(inputs), {path.resolve() for path in wanted})

    def test_user_strings_survive_as_text(self):
        problem = '<b>&"three".toml'
        text = (ROOT / "problems" / "three-atoms.toml").read_text(encoding="utf-8")
        first, rest = text.split("\n", 1)
        self.assertTrue(first.startswith("title = "))
        self.write(problem, f"title = {json.dumps(HOSTILE, ensure_ascii=False)}\n{rest}")
        name = "<i>& 'states'"
        np.savez(self.folder / f"{name}.npz", x0=np.random.default_rng(0).normal(-1.8, 0.1, size=(100, 1)))
        result = self.run_quickly("--trajectory", f"{name}.npz", problem=f"./{problem}")
        diagnosis = self.read("diagnosis.json")
        self.assertEqual(diagnosis["title"], HOSTILE)
        self.assertEqual(diagnosis["samplers"][0]["name"], name)
        self.assertIn(HOSTILE, result.stdout)
        run = self.folder / "run"
        suites = ElementTree.parse(run / "junit.xml").getroot()
        self.assertEqual(suites.get("name"), problem.removesuffix(".toml"))
        self.assertEqual(suites.find("testsuite").find("testcase").get("classname"), name)
        for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
            json.loads(line)
        for page in run.glob("*.html"):
            self.assertNotIn("<script>alert", page.read_text(encoding="utf-8"))


class Repetition(RunDirectoryTest):
    def comparable(self, out):
        return {
            key: value for key, value in without_seconds(self.read("diagnosis.json", out)).items() if key != "problem"
        }

    def test_the_resolved_problem_holds_tolerance_and_exact_scan(self):
        def resolved(*arguments):
            self.run_quickly("--sampler", "lens-sde", *arguments)
            return (self.folder / "run/problem.resolved.toml").read_text(encoding="utf-8").splitlines()

        default = resolved()
        self.assertLess({'precision = "f64"', "tolerance = 1e-12", "exact_scan = false"}, set(default))
        given = resolved("--exact-scan", "--set", "run.tolerance=1e-5")
        self.assertLess({"tolerance = 1e-05", "exact_scan = true"}, set(given))
        quick = (*QUICK, "--sampler", "pigdm", "--out", "t.npz")
        self.succeed("sample", "three-atoms", "--exact-scan", *quick)

    def test_the_resolved_problem_gives_the_same_diagnosis(self):
        self.run_quickly("--seed", "3", out="first")
        self.succeed("diagnose", "first/problem.resolved.toml", "--out", "second", codes=(PASS, FAIL, INCONCLUSIVE))
        self.assertEqual(self.comparable("second"), self.comparable("first"))
        self.assertEqual(
            (self.folder / "second/problem.resolved.toml").read_text(),
            (self.folder / "first/problem.resolved.toml").read_text(),
        )

    def test_also_for_samplers_of_the_command_line(self):
        self.run_quickly("--sampler", "exact", "--sampler", "dps-zeta:zeta=0.5,weight=none", out="first")
        self.succeed("diagnose", "first/problem.resolved.toml", "--out", "second", codes=(PASS, FAIL, INCONCLUSIVE))
        self.assertEqual(self.comparable("second"), self.comparable("first"))

    def test_another_seed_gives_another_diagnosis(self):
        self.run_quickly("--seed", "3", "--sampler", "exact", out="first")
        self.run_quickly("--seed", "4", "--sampler", "exact", out="second")
        self.assertNotEqual(self.comparable("second"), self.comparable("first"))


class Printing(RunDirectoryTest):
    def test_report_prints_the_table_again(self):
        for options in ((), ("--verbose",)):
            printed = self.run_quickly("--sampler", "dps-sigma", *options).stdout
            table, last = printed.rsplit("run directory: ", 1)
            self.assertEqual(last.strip(), str(self.folder.resolve() / "run"))
            self.assertIn("dps-sigma", table)
            self.assertEqual(self.succeed("report", "run", *options).stdout, table)

    def test_json_prints_the_diagnosis_and_nothing_else(self):
        result = self.run_quickly("--sampler", "dps-sigma", "--json")
        self.assertEqual(result.stdout, (self.folder / "run" / "diagnosis.json").read_text(encoding="utf-8"))
        self.assertEqual(result.stderr, "")

    def test_no_escape_codes_off_the_terminal(self):
        result = self.run_quickly("--sampler", "dps-sigma", "--verbose")
        self.assertNotIn("\x1b", result.stdout + result.stderr)


class ExitCodes(RunDirectoryTest):
    def test_by_verdict(self):
        # Margins beyond any effect leave nothing to fail or to doubt.
        margins = (
            "spread",
            "mode-weights",
            "prior-hallucination",
            "likelihood-hallucination",
            "divergence",
            "duplicates",
            "early-stopping",
            "distance",
        )
        wide = [item for check in margins for item in ("--set", f"margins.{check}=1000")]
        cases = {
            "pass": ["--sampler", "exact", *wide, "--set", "margins.lens-resolution=0"],
            "fail": ["--sampler", "pigdm:r2=flat"],
            "inconclusive": ["--sampler", "exact", "--set", "run.particles=30"],
        }
        for verdict, options in cases.items():
            result = self.run_quickly(*options)
            self.assertEqual(self.read("diagnosis.json")["verdict"], verdict)
            self.assertEqual(result.returncode, VERDICT_CODES[verdict])
            for fail_on, counted in (("never", ()), ("fail", ("fail",)), ("inconclusive", ("fail", "inconclusive"))):
                with self.subTest(verdict=verdict, fail_on=fail_on):
                    result = self.run_quickly(*options, "--fail-on", fail_on)
                    wanted = VERDICT_CODES[verdict] if verdict in counted else PASS
                    self.assertEqual(result.returncode, wanted)

    def test_final_samples_alone_do_not_pass_what_was_not_run(self):
        np.savez(self.folder / "final.npz", x0=np.full((200, 1), -1.8))
        self.run_quickly("--trajectory", "final.npz")
        diagnosis = self.read("diagnosis.json")
        verdicts = {check["id"]: check["verdict"] for check in diagnosis["samplers"][0]["checks"]}
        self.assertEqual(verdicts["early-stopping"], "not-run")
        self.assertNotEqual(diagnosis["samplers"][0]["verdict"], "pass")


class Targets(RunDirectoryTest):
    def test_a_folder_with_other_things_is_refused_untouched(self):
        (self.folder / "mine").mkdir()
        self.write("mine/thesis.txt", "precious\n")
        result = self.run_command("diagnose", "three-atoms", *QUICK, "--out", "mine")
        self.assertEqual(result.returncode, USAGE)
        self.assertEqual([path.name for path in self.folder.rglob("*")], ["mine", "thesis.txt"])

    def test_a_former_run_is_replaced(self):
        self.run_quickly("--sampler", "exact")
        self.write("run/leftover.txt", "of the former run\n")
        self.run_quickly("--sampler", "dps-sigma")
        self.assertEqual(self.read("diagnosis.json")["samplers"][0]["name"], "dps-sigma")
        self.assertFalse((self.folder / "run" / "leftover.txt").exists())
        self.assertEqual([path.name for path in self.folder.iterdir()], ["run"])

    def test_an_empty_folder_and_a_deep_path_are_taken(self):
        (self.folder / "empty").mkdir()
        for out in ("empty", "a/b/c/"):
            self.run_quickly("--sampler", "exact", out=out)
            self.assertTrue((self.folder / out / "manifest.json").is_file(), out)

    def test_default_target(self):
        result = self.succeed("diagnose", "three-atoms", *QUICK, "--sampler", "exact", codes=(PASS, FAIL, INCONCLUSIVE))
        runs = list((self.folder / "fslens-runs").iterdir())
        self.assertEqual(len(runs), 1)
        self.assertTrue(runs[0].name.startswith("three-atoms-"))
        self.assertIn(str(runs[0].resolve()), result.stdout)


class Interruption(RunDirectoryTest):
    """Sends SIGINT as soon as the output is begun, which is long before the work is done."""

    def test_diagnose_leaves_nothing(self):
        self.interrupt("run.partial-*", "diagnose", "three-atoms", "--set", "run.particles=20000", "--out", "run")
        self.assertEqual(list(self.folder.iterdir()), [])

    def test_diagnose_leaves_the_former_run(self):
        self.run_quickly("--sampler", "exact")
        before = {path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        self.interrupt("run.partial-*", "diagnose", "three-atoms", "--set", "run.particles=20000", "--out", "run")
        self.assertEqual({path: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}, before)

    def test_sample_leaves_nothing(self):
        self.interrupt(
            "t.npz.partial*",
            "sample",
            "three-atoms",
            "--sampler",
            "pigdm",
            "--set",
            "run.particles=100000",
            "--set",
            "grid.steps=5000",
            "--out",
            "t.npz",
        )
        self.assertEqual(list(self.folder.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
