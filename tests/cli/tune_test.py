#!/usr/bin/env python3
"""fslens tune: what it writes, that its schedule is taken back, what it refuses, and its exit codes."""

import hashlib
import json
import unittest

import numpy as np

from command import FAIL, INCONCLUSIVE, INVALID_INPUT, PASS, USAGE
from refusal import RefusalTest, problem

QUICK = ("--train", "2", "--test", "2", "--particles", "64")


class Tune(RefusalTest):
    def tune(self, *arguments, codes=(PASS,), out="tuned"):
        """tuning.json of a quick run on the four atoms."""
        self.write_problem(problem(run={"particles": 64}))
        result = self.succeed("tune", "problem.toml", *arguments, *QUICK, "--out", out, codes=codes)
        return result, json.loads((self.folder / out / "tuning.json").read_text(encoding="utf-8"))

    def test_run_directory_and_document(self):
        result, document = self.tune(
            "--sampler", "dps-zeta", "--param", "zeta=0.01:10", "--schedule-out", "zeta.csv", codes=(PASS, INCONCLUSIVE)
        )
        run = self.folder / "tuned"
        self.assertEqual(document["schema"], 1)
        self.assertEqual(document["parameter"], "zeta")
        self.assertEqual(document["default"], 1)
        self.assertEqual(len(document["optimal_weight"]), 33)
        candidates = document["search"]["candidates"]
        self.assertEqual(len(candidates), 9 + 1 + 8)
        self.assertEqual([c["value"] for c in candidates], sorted(c["value"] for c in candidates))
        least = min(candidates, key=lambda candidate: candidate["distance"])
        self.assertEqual(document["search"]["best"], least["value"])
        self.assertEqual([s["name"] for s in document["settings"]], ["default", "tuned", "schedule", "scaled schedule", "tempered schedule"])
        for setting in document["settings"]:
            self.assertEqual(len(setting["distances"]), 2)
            self.assertAlmostEqual(setting["mean"], np.mean(setting["distances"]))
            self.assertEqual(len(setting["checks"]), 10)
        chosen = [s for s in document["settings"] if s["training"] is not None]
        self.assertEqual([s["name"] for s in chosen], ["default", "tuned", "scaled schedule", "tempered schedule"])
        self.assertEqual(chosen[1]["training"], least["distance"])
        self.assertEqual(document["recommended"], min(chosen, key=lambda s: s["training"])["name"])
        bounds = {bound["name"]: bound for bound in document["path_bounds"]}
        self.assertEqual(list(bounds), ["default", "tuned", "best constant", "schedule"])
        self.assertEqual((bounds["default"]["weight"], bounds["tuned"]["weight"]), (1, document["search"]["best"]))
        self.assertIsNone(bounds["schedule"]["weight"])
        for bound in bounds.values():
            self.assertEqual(len(bound["kl"]), 2)
            self.assertAlmostEqual(bound["mean"], np.mean(bound["kl"]))
            self.assertAlmostEqual(bound["over_constant"]["value"], bounds["best constant"]["mean"] / bound["mean"])
        default, tuned = document["settings"][:2]
        self.assertAlmostEqual(tuned["improvement"]["value"], default["mean"] / tuned["mean"])
        manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
        self.assertEqual(set(manifest["outputs"]), {"problem.resolved.toml", "tuning.json", "schedule.csv", "schedule-tempered.csv"})
        self.assertEqual((run / "schedule.csv").read_bytes(), (self.folder / "zeta.csv").read_bytes())
        read = lambda name: np.loadtxt(run / name, delimiter=",", skiprows=1)
        np.testing.assert_allclose(read("schedule-tempered.csv") ** [1, 2], read("schedule.csv"), rtol=1e-14)
        for text in ("ζ*(t)", "on unseen y", "what tuning cannot repair", "Girsanov's bound", f"what to take: {document['recommended']}", "scaled schedule: --sampler dps-zeta:schedule=zeta.csv,zeta="):
            self.assertIn(text, result.stdout)

    def test_its_schedule_is_taken_back(self):
        self.tune("--sampler", "dps-sigma", "--param", "scale=0.1:10", "--schedule-out", "w.csv", codes=(PASS, INCONCLUSIVE))
        document = self.diagnose("problem.toml", "--sampler", "dps-sigma:schedule=w.csv,scale=2")
        sampler = document["samplers"][0]
        self.assertEqual(sampler["name"], "dps-sigma scale=2 schedule=w.csv")
        inputs = json.loads((self.folder / "run" / "manifest.json").read_text(encoding="utf-8"))["inputs"]
        digest = hashlib.sha256((self.folder / "w.csv").read_bytes()).hexdigest()
        self.assertEqual(inputs[str((self.folder / "w.csv").resolve())], digest)
        # The resolved problem names the file wherever it is read from, and gives the same numbers.
        again = self.diagnose(self.folder / "run" / "problem.resolved.toml", out="again")
        self.assertEqual(again["samplers"][0]["final"], sampler["final"])
        # A file of a problem is relative to the problem.
        (self.folder / "below").mkdir()
        (self.folder / "w.csv").rename(self.folder / "below" / "w.csv")
        tables = problem(sampler=[{"name": "dps-sigma", "scale": 2, "schedule": "w.csv"}], run={"particles": 64})
        self.write_problem(tables, "below/problem.toml")
        self.assertEqual(self.diagnose("below/problem.toml", out="below-run")["samplers"][0]["final"], sampler["final"])

    def test_a_schedule_of_ones_is_no_schedule(self):
        self.write_problem(problem(run={"particles": 64}))
        np.savez(self.folder / "ones.npz", t=[1.0, 0.01], weight=[1.0, 1.0])
        np.savez(self.folder / "at.npz", x=np.array([[0.3, 0.1], [1.0, -0.5]]), t=np.array([0.5, 0.2]))
        scores = []
        for method in ("dps-sigma", "dps-sigma:schedule=ones.npz", "dps-sigma:scale=3"):
            self.succeed("eval", "problem.toml", "--at", "at.npz", "--method", method, "--out", "fields.npz")
            scores.append(np.load(self.folder / "fields.npz")["likelihood_score_dps_sigma"])
        np.testing.assert_array_equal(scores[0], scores[1])
        np.testing.assert_allclose(3 * scores[0], scores[2], rtol=1e-14)

    def test_an_optimum_on_the_edge_is_inconclusive(self):
        result, document = self.tune("--sampler", "dps-sigma", "--param", "scale=100:1000", codes=(INCONCLUSIVE, FAIL))
        if document["search"]["best"] is None:
            self.assertEqual(result.returncode, FAIL)
            self.assertIn("diverge", result.stdout)
        else:
            self.assertEqual(result.returncode, INCONCLUSIVE)
            self.assertNotEqual(document["search"]["edge"], "none")
            self.assertIn("the optimum may lie beyond", result.stdout)

    def test_json_is_the_document(self):
        result, document = self.tune("--sampler", "dps", "--param", "zeta=0.1:1", "--metric", "energy", "--json", codes=(PASS, INCONCLUSIVE))
        self.assertEqual(json.loads(result.stdout), document)
        self.assertEqual(document["optimal_weight"], [])
        self.assertEqual([s["name"] for s in document["settings"]], ["default", "tuned"])

    def test_refusals(self):
        self.write_problem(problem())
        for code, options, *wanted in (
            (USAGE, "--sampler dps-zeta --param weight=0.1:1", "'weight'", "not a scalar", "zeta"),
            (USAGE, "--sampler dps-zeta --param zeto=0.1:1", "'zeto'", "'zeta'"),
            (USAGE, "--sampler dps-zeta --param zeta", "'zeta'", "name=low:high"),
            (USAGE, "--sampler dps-zeta --param zeta=1", "'1'", "low:high"),
            (USAGE, "--sampler dps-zeta --param zeta=2:1", "'2:1'", "below"),
            (USAGE, "--sampler dps-zeta --param zeta=0.1:1 --metric w2", "'w2'", "sliced-w2"),
            (USAGE, "--sampler exact --param zeta=0.1:1", "exact"),
            (USAGE, "--sampler tmpd --param eta=0:1", "integrator=ddim"),
            (USAGE, "--sampler dps --param zeta=0.1:1 --schedule-out s.csv", "dps", "schedule"),
            (USAGE, "--sampler lens-sde:schedule=s.csv --param eta=0:1", "'schedule'"),
            (USAGE, "--sampler dps-zeta --param zeta=0.1:1 --test 1", "--test"),
            (INVALID_INPUT, "--sampler dps-zeta --param zeta=-1:1", "zeta = -1", "> 0"),
            (INVALID_INPUT, "--sampler dps-zeta:schedule=none.csv --param zeta=0.1:1", "none.csv"),
        ):
            with self.subTest(options=options):
                self.refuse(code, wanted, "tune", "problem.toml", *options.split(), "--out", self.out / "run")

    def test_bad_schedules(self):
        self.write_problem(problem())
        for text, *wanted in (
            ("weight,t\n1,1\n", "begins with 'weight,t'", "t,weight"),
            ("t,weight\n", "no rows"),
            ("t,weight\n1,1\n1,2\n", "t[1]", "strictly"),
            ("t,weight\n-1,1\n", "t[0]", "> 0"),
            ("t,weight\n2,1\n0.5,2\n", "2", "t"),
        ):
            self.write("s.csv", text)
            with self.subTest(text=text):
                self.refuse(
                    INVALID_INPUT, wanted, "diagnose", "problem.toml", "--sampler", "dps-sigma:schedule=s.csv", "--out", self.out / "run"
                )


if __name__ == "__main__":
    unittest.main()
