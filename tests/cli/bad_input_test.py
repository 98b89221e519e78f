#!/usr/bin/env python3
"""A problem file or an array file that is wrong: one line that names what, its value and the rule; no file left."""

import unittest

import numpy as np

from command import INVALID_INPUT, Raw
from refusal import ATOMS, RefusalTest, problem


class ArrayFiles(RefusalTest):
    def refuse_atoms(self, file, *wanted):
        self.refuse_problem(problem(prior={"atoms": file}), file, *wanted)

    def npy(self, name, header, body=b""):
        """A version 1.0 .npy file with whatever header."""
        text = header.encode()
        text += b" " * (-(10 + len(text) + 1) % 64) + b"\n"
        (self.folder / name).write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body)

    def float_header(self, shape):
        return f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"

    def test_missing_files(self):
        self.refuse(
            INVALID_INPUT, ["nowhere.toml", "no such file"], "diagnose", "nowhere.toml", "--out", self.out / "run"
        )
        self.refuse_atoms("nowhere.npy", "no such file")
        np.savez(self.folder / "some.npz", images=ATOMS)
        self.refuse_problem(problem(prior={"atoms": "some.npz:atoms"}), "some.npz", "'atoms'", "images")

    def test_truncated_npy(self):
        whole = self.folder / self.save("whole.npy", ATOMS)
        content = whole.read_bytes()
        for kept in (0, 3, 8, 40, 128, len(content) - 1):
            with self.subTest(kept=kept):
                (self.folder / "cut.npy").write_bytes(content[:kept])
                self.refuse_atoms("cut.npy", "at byte")

    def test_header_that_lies_about_the_size(self):
        for shape in ("(5, 2)", "(3, 2)", "(4, 3)", "(4000000000, 2)"):
            with self.subTest(shape=shape):
                self.npy("lies.npy", self.float_header(shape), ATOMS.tobytes())
                self.refuse_atoms("lies.npy", shape, "at byte")

    def test_shapes_beyond_the_address_space(self):
        for shape in (
            "(9223372036854775808, 2)",
            "(9223372036854775807, 2)",
            "(18446744073709551617, 1)",
            "(4611686018427387904, 4)",
            "(0, 9223372036854775807, 9223372036854775807)",
        ):
            with self.subTest(shape=shape):
                self.npy("huge.npy", self.float_header(shape), ATOMS.tobytes())
                self.refuse_atoms("huge.npy")

    def test_types_that_are_not_real_numbers(self):
        np.save(self.folder / "objects.npy", np.array([[1.0, None], [2.0, 3.0]], dtype=object))
        self.refuse_atoms("objects.npy", "|O", "Python objects")
        np.save(self.folder / "records.npy", np.zeros(4, dtype=[("a", "f8"), ("b", "f8")]))
        self.refuse_atoms("records.npy", "structured")
        np.save(self.folder / "complex.npy", ATOMS.astype(complex))
        self.refuse_atoms("complex.npy", "<c16")
        np.save(self.folder / "texts.npy", np.array([["a", "b"]]))
        self.refuse_atoms("texts.npy", "<U1")

    def test_torch_files_are_refused_with_the_conversion(self):
        (self.folder / "atoms.pt").write_bytes(b"PK\x03\x04 whatever")
        self.refuse_atoms("atoms.pt", "python3 -c", "torch.load", "atoms.npy")

    def test_csv_with_ragged_rows(self):
        self.write("ragged.csv", "x,y\n0,0\n1,0.5\n-1\n2,3\n")
        self.refuse_atoms("ragged.csv", "line 4", "expected 2 columns, found 1")
        self.write("words.csv", "x,y\n0,0\n1,half\n")
        self.refuse_atoms("words.csv", "line 3, column 2", "'half'", "not a number")

    def test_fortran_order_is_the_same_array(self):
        shown = []
        for name, order in (("c.npy", "C"), ("fortran.npy", "F")):
            np.save(self.folder / name, np.array(ATOMS, order=order))
            result = self.succeed("inspect", self.write_problem(problem(prior={"atoms": name})))
            shown.append([line for line in result.stdout.splitlines() if line.startswith(("ess", "evidence"))])
        self.assertIn(b"'fortran_order': True", (self.folder / "fortran.npy").read_bytes())
        self.assertEqual(len(shown[0]), 2)
        self.assertEqual(shown[0], shown[1])

    def test_shapes_of_atoms(self):
        for array in (np.zeros((0, 2)), np.zeros((4, 0)), np.zeros(4), np.zeros(())):
            with self.subTest(shape=array.shape):
                self.save("shape.npy", array)
                self.refuse_problem(problem(prior={"atoms": "shape.npy"}), str(array.shape))


class NonFiniteNumbers(RefusalTest):
    def test_in_files(self):
        for bad, shown in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")):
            for table, key, array in (
                ("prior", "atoms", ATOMS),
                ("operator", "matrix", np.array([[1.0, -1.0]])),
                ("operator", "bias", np.zeros(1)),
                ("measurement", "y", np.array([0.2])),
                ("prior", "weights", np.ones(4)),
                ("noise", "covariance", np.eye(1)),
            ):
                with self.subTest(key=key, bad=bad):
                    array = np.array(array, dtype=float)
                    array.flat[-1] = bad
                    change = {key: self.save(f"{key}.npy", array)}
                    if key == "covariance":
                        change["sigma"] = None
                    self.refuse_problem(problem(**{table: change}), key, shown, "finite")

    def test_in_single_precision_atoms(self):
        array = ATOMS.astype(np.float32)
        array[2, 1] = np.nan
        self.refuse_problem(problem(prior={"atoms": self.save("single.npy", array)}), "atoms[2][1]", "nan", "finite")

    def test_inline(self):
        for bad in ("nan", "inf", "-inf"):
            cases = [
                (problem(prior={"atoms": [[0.0, Raw(bad)], [1.0, 1.0]]}), "prior.atoms", bad, "finite"),
                (problem(operator={"matrix": [[1.0, Raw(bad)]]}), "operator.matrix", bad, "finite"),
                (problem(measurement={"y": [Raw(bad)]}), "measurement.y", bad, "finite"),
                (problem(noise={"sigma": Raw(bad)}), "noise.sigma", bad, "finite"),
                (problem(grid={"t_max": Raw(bad)}), "grid.t_max", bad, "finite"),
                (problem(schedule={"beta_max": Raw(bad)}), "schedule.beta_max", bad, "finite"),
                (problem(margins={"spread": Raw(bad)}), "margins.spread", bad, "finite"),
            ]
            self.refuse_cases(cases)


class SizesAndSigns(RefusalTest):
    def test_sizes_that_disagree(self):
        self.refuse_cases(
            [
                (problem(operator={"matrix": [[1.0, 2.0, 3.0]]}), "operator.matrix", "(1, 3)", "(m, 2)"),
                (problem(operator={"bias": [1.0, 2.0]}), "operator.bias", "2 entries", "1"),
                (problem(measurement={"y": [0.1, 0.2]}), "measurement.y", "2 entries", "1"),
                (problem(operator={"kind": "identity", "matrix": None}), "measurement.y", "1 entries", "2"),
                (problem(prior={"labels": [0, 1, 1]}), "labels", "3 entries", "4"),
                (problem(prior={"labels": [0, 1, 1, 0.5]}), "labels[3]", "0.5", "integer"),
                (problem(prior={"weights": [1, 1, 1]}), "prior.weights", "3 entries", "4"),
                (problem(noise={"sigma": [0.1, 0.2]}), "noise.sigma", "2 entries", "1"),
                (
                    problem(noise={"sigma": None, "covariance": [[1.0, 0.0], [0.0, 1.0]]}),
                    "noise.covariance",
                    "(2, 2)",
                    "(1, 1)",
                ),
                (
                    problem(operator={"kind": "downsample", "matrix": None, "shape": [3, 3], "factor": 2}),
                    "operator.shape",
                    "2",
                ),
                (problem(operator={"kind": "mask", "matrix": None, "indices": [0, 5]}), "mask", "5", "2"),
                (problem(measurement={"y": None, "from_atom": 4}), "measurement.from_atom", "4"),
            ]
        )

    def test_weights(self):
        for weights, *wanted in (([1, 1, -0.5, 1], "[2]", "-0.5"), ([0, 0, 0, 0], "0")):
            with self.subTest(weights=weights):
                self.refuse_problem(problem(prior={"weights": weights}), "prior.weights", *wanted)
                file = self.save("weights.npy", np.array(weights, dtype=float))
                self.refuse_problem(problem(prior={"weights": file}), "weights", *wanted)

    def test_noise(self):
        self.refuse_cases(
            [
                (problem(noise={"sigma": 0}), "noise.sigma", "0", "> 0"),
                (problem(noise={"sigma": -0.5}), "noise.sigma", "-0.5", "> 0"),
                (problem(noise={"sigma": [-0.5]}), "noise.sigma[0]", "-0.5", "> 0"),
                (problem(noise={"sigma": self.save("sigma.npy", np.array([0.0]))}), "noise.sigma", "0", "> 0"),
                (problem(noise={"covariance": [[1.0]]}), "sigma", "covariance", "exactly one"),
                (problem(noise={"sigma": None}), "sigma", "covariance", "exactly one"),
            ]
        )

    def test_covariance(self):
        two = {"operator": {"kind": "identity", "matrix": None}, "measurement": {"y": [0.0, 0.0]}}
        for covariance, *wanted in (
            ([[1.0, 2.0], [2.0, 1.0]], "positive definite"),
            ([[1.0, 1.0], [1.0, 1.0]], "positive definite"),
            ([[-1.0, 0.0], [0.0, 1.0]], "positive definite"),
            ([[1.0, 0.5], [0.1, 1.0]], "0.5", "0.1", "symmetric"),
            ([[1.0, 0.0]], "square"),
            ([[1.0, 0.0], [0.0]], "ragged"),
        ):
            with self.subTest(covariance=covariance):
                noise = {"sigma": None, "covariance": covariance}
                self.refuse_problem(problem(**two, noise=noise), "noise.covariance", *wanted)
        self.refuse_problem(
            problem(
                prior={
                    "kind": "gaussian",
                    "atoms": None,
                    "complete": None,
                    "mean": [0.0, 0.0],
                    "cov": [[1.0, 2.0], [2.0, 1.0]],
                }
            ),
            "cov",
            "positive definite",
        )

    def test_times_and_counts(self):
        self.refuse_cases(
            [
                (problem(grid={"t_max": 1.5}), "grid.t_max", "1.5", "(0, 1]"),
                (problem(grid={"t_min": 0}), "grid.t_min", "0", "> 0"),
                (problem(grid={"t_min": -0.1}), "grid.t_min", "-0.1", "> 0"),
                (problem(grid={"t_min": 0.5, "t_max": 0.5}), "grid.t_min", "0.5", "t_min must be < t_max"),
                (problem(grid={"t_min": 0.6, "t_max": 0.5}), "grid.t_min", "0.6", "t_min must be < t_max"),
                (problem(grid={"steps": 0}), "grid.steps", "0", ">= 1"),
                (problem(grid={"steps": -3}), "grid.steps", "-3", ">= 1"),
                (problem(grid={"steps": 2.5}), "grid.steps", "2.5", "integer"),
                (problem(grid={"eta": 2}), "grid.eta", "2", "[0, 1]"),
                (problem(run={"particles": 0}), "run.particles", "0", ">= 1"),
                (problem(run={"particles": -1}), "run.particles", "-1", ">= 1"),
                (problem(run={"record": 0}), "run.record", "0", ">= 1"),
                (problem(run={"seed": -1}), "run.seed", "-1", ">= 0"),
                (problem(run={"tolerance": 0}), "run.tolerance", "0", "(0, 0.1]"),
                (problem(run={"tolerance": -1e-6}), "run.tolerance", "-1e-06", "(0, 0.1]"),
                (problem(run={"tolerance": 0.2}), "run.tolerance", "0.2", "(0, 0.1]"),
                (problem(run={"tolerance": Raw("nan")}), "run.tolerance", "nan", "finite"),
                (problem(run={"tolerance": "f32"}), "run.tolerance", "f32", "number"),
                (problem(run={"exact_scan": 1}), "run.exact_scan", "1", "true or false"),
                (problem(margins={"spread": -1}), "margins.spread", "-1", ">= 0"),
            ]
        )


class UnknownNames(RefusalTest):
    def test_in_the_problem_file(self):
        self.refuse_cases(
            [
                (problem(sampler=[{"name": "pigm"}]), "sampler", "'pigm'", "did you mean 'pigdm'"),
                (problem(sampler=[{"name": "pigdm", "r": "flat"}]), "pigdm", "'r'", "did you mean 'r2'"),
                (problem(sampler=[{"name": "dps-zeta", "zeta": "much"}]), "dps-zeta", "'much'", "number"),
                (problem(operator={"kind": "matix"}), "operator.kind", "'matix'", "did you mean 'matrix'"),
                (problem(noise={"sigm": 1}), "[noise]", "'sigm'", "did you mean 'sigma'"),
                (problem(nois={"sigma": 1}), "table", "'nois'", "did you mean 'noise'"),
                (problem(schedule={"kind": "vp-liner"}), "schedule.kind", "'vp-liner'", "did you mean 'vp-linear'"),
                (problem(margins={"spred": 0.1}), "[margins]", "'spred'", "did you mean 'spread'"),
                (problem(grid={"spacing": "uniforn"}), "grid.spacing", "'uniforn'", "did you mean 'uniform'"),
                (problem(grid={"integrator": "ddimm"}), "grid.integrator", "'ddimm'", "did you mean 'ddim'"),
                (problem(titel="x"), "'titel'", "did you mean 'title'"),
            ]
        )

    def test_a_message_about_a_file_names_it_and_the_line(self):
        self.refuse_problem(problem(noise={"sigm": 1}), "problem.toml:10", "'sigm'")

    def test_toml_syntax(self):
        self.refuse_problem(
            '[prior]\nkind = "atoms"\natoms = [[0.0], [1.0\n[noise]\nsigma = 1\n', "problem.toml:4", "TOML syntax"
        )
        self.refuse_problem('[prior]\nkind = "atoms"\nkind = "gmm"\n', "problem.toml:3", "TOML syntax")


if __name__ == "__main__":
    unittest.main()
