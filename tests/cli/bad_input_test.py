#!/usr/bin/env python3
"""Bad input ends with the right exit code, one line that names what, its value and the rule, and no file left behind."""

import unittest

import numpy as np

from command import INVALID_INPUT, IO_ERROR, USAGE, USAGE_HINT, CommandTest, Raw

ATOMS = np.array([[0.0, 0.0], [1.0, 0.5], [-1.0, 2.0], [0.5, -1.0]])


def problem(**changes):
    """Four atoms in the plane seen along one line. A change replaces keys of its table; None takes a key away."""
    tables = {
        "prior": {"kind": "atoms", "atoms": ATOMS.tolist(), "complete": True},
        "operator": {"kind": "matrix", "matrix": [[1.0, -1.0]]},
        "noise": {"sigma": 0.5},
        "measurement": {"y": [0.2]},
        "grid": {"steps": 4},
        "run": {"particles": 20},
        "sampler": [{"name": "dps-sigma"}],
    }
    for name, change in changes.items():
        if isinstance(change, dict):
            table = {**tables.get(name, {}), **change}
            tables[name] = {key: value for key, value in table.items() if value is not None}
        else:
            tables[name] = change
    return tables


class BadInputTest(CommandTest):
    """Output goes below out/, which must stay empty."""

    def setUp(self):
        super().setUp()
        self.out = self.folder / "out"
        self.out.mkdir()
        self.save("at_x.npy", np.zeros((3, 2)))

    def refuse(self, code, wanted, *arguments):
        """The command fails with `code` and one message that holds every text of `wanted`."""
        before = sorted(self.folder.rglob("*"))
        result = self.run_command(*arguments, timeout=20)
        shown = f"fslens {' '.join(map(str, arguments))}\n{result.stdout}{result.stderr}"
        self.assertEqual(result.returncode, code, shown)
        lines = result.stderr.splitlines()
        if code == USAGE and lines[-1:] == [USAGE_HINT]:
            lines.pop()
        self.assertEqual(len(lines), 1, shown)
        self.assertTrue(lines[0].startswith("fslens: "), shown)
        for text in wanted:
            self.assertIn(text, lines[0])
        self.assertEqual(result.stdout, "")
        self.assertEqual(sorted(self.folder.rglob("*")), before, "files were left behind: " + shown)

    def refuse_problem(self, tables, *wanted, code=INVALID_INPUT, options=()):
        path = self.write("problem.toml", tables) if isinstance(tables, str) else self.write_problem(tables)
        self.refuse(code, wanted, "diagnose", path, *options, "--out", self.out / "run")

    def refuse_cases(self, cases, **settings):
        for tables, *wanted in cases:
            with self.subTest(wanted=wanted):
                self.refuse_problem(tables, *wanted, **settings)

    def refuse_options(self, cases, code=USAGE, command=("diagnose", "three-atoms"), out="run"):
        """Cases are (options, text that the message holds…)."""
        for options, *wanted in cases:
            with self.subTest(options=options):
                self.refuse(code, wanted, *command, *options.split(" "), "--out", self.out / out)


class ArrayFiles(BadInputTest):
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
        self.refuse(INVALID_INPUT, ["nowhere.toml", "no such file"], "diagnose", "nowhere.toml", "--out", self.out / "run")
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
        for shape in ("(9223372036854775808, 2)", "(9223372036854775807, 2)", "(18446744073709551617, 1)",
                      "(4611686018427387904, 4)", "(0, 9223372036854775807, 9223372036854775807)"):
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


class NonFiniteNumbers(BadInputTest):
    def test_in_files(self):
        for bad, shown in ((np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")):
            for table, key, array in (("prior", "atoms", ATOMS), ("operator", "matrix", np.array([[1.0, -1.0]])),
                                      ("operator", "bias", np.zeros(1)), ("measurement", "y", np.array([0.2])),
                                      ("prior", "weights", np.ones(4)), ("noise", "covariance", np.eye(1))):
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
            cases = [(problem(prior={"atoms": [[0.0, Raw(bad)], [1.0, 1.0]]}), "prior.atoms", bad, "finite"),
                     (problem(operator={"matrix": [[1.0, Raw(bad)]]}), "operator.matrix", bad, "finite"),
                     (problem(measurement={"y": [Raw(bad)]}), "measurement.y", bad, "finite"),
                     (problem(noise={"sigma": Raw(bad)}), "noise.sigma", bad, "finite"),
                     (problem(grid={"t_max": Raw(bad)}), "grid.t_max", bad, "finite"),
                     (problem(schedule={"beta_max": Raw(bad)}), "schedule.beta_max", bad, "finite"),
                     (problem(margins={"spread": Raw(bad)}), "margins.spread", bad, "finite")]
            self.refuse_cases(cases)


class SizesAndSigns(BadInputTest):
    def test_sizes_that_disagree(self):
        self.refuse_cases([
            (problem(operator={"matrix": [[1.0, 2.0, 3.0]]}), "operator.matrix", "(1, 3)", "(m, 2)"),
            (problem(operator={"bias": [1.0, 2.0]}), "operator.bias", "2 entries", "1"),
            (problem(measurement={"y": [0.1, 0.2]}), "measurement.y", "2 entries", "1"),
            (problem(operator={"kind": "identity", "matrix": None}), "measurement.y", "1 entries", "2"),
            (problem(prior={"labels": [0, 1, 1]}), "labels", "3 entries", "4"),
            (problem(prior={"labels": [0, 1, 1, 0.5]}), "labels[3]", "0.5", "integer"),
            (problem(prior={"weights": [1, 1, 1]}), "prior.weights", "3 entries", "4"),
            (problem(noise={"sigma": [0.1, 0.2]}), "noise.sigma", "2 entries", "1"),
            (problem(noise={"sigma": None, "covariance": [[1.0, 0.0], [0.0, 1.0]]}), "noise.covariance", "(2, 2)", "(1, 1)"),
            (problem(operator={"kind": "downsample", "matrix": None, "shape": [3, 3], "factor": 2}), "operator.shape", "2"),
            (problem(operator={"kind": "mask", "matrix": None, "indices": [0, 5]}), "mask", "5", "2"),
            (problem(measurement={"y": None, "from_atom": 4}), "measurement.from_atom", "4"),
        ])

    def test_weights(self):
        for weights, *wanted in (([1, 1, -0.5, 1], "[2]", "-0.5"), ([0, 0, 0, 0], "0")):
            with self.subTest(weights=weights):
                self.refuse_problem(problem(prior={"weights": weights}), "prior.weights", *wanted)
                file = self.save("weights.npy", np.array(weights, dtype=float))
                self.refuse_problem(problem(prior={"weights": file}), "weights", *wanted)

    def test_noise(self):
        self.refuse_cases([
            (problem(noise={"sigma": 0}), "noise.sigma", "0", "> 0"),
            (problem(noise={"sigma": -0.5}), "noise.sigma", "-0.5", "> 0"),
            (problem(noise={"sigma": [-0.5]}), "noise.sigma[0]", "-0.5", "> 0"),
            (problem(noise={"sigma": self.save("sigma.npy", np.array([0.0]))}), "noise.sigma", "0", "> 0"),
            (problem(noise={"covariance": [[1.0]]}), "sigma", "covariance", "exactly one"),
            (problem(noise={"sigma": None}), "sigma", "covariance", "exactly one"),
        ])

    def test_covariance(self):
        two = {"operator": {"kind": "identity", "matrix": None}, "measurement": {"y": [0.0, 0.0]}}
        for covariance, *wanted in (([[1.0, 2.0], [2.0, 1.0]], "positive definite"), ([[1.0, 1.0], [1.0, 1.0]], "positive definite"),
                                    ([[-1.0, 0.0], [0.0, 1.0]], "positive definite"), ([[1.0, 0.5], [0.1, 1.0]], "0.5", "0.1", "symmetric"),
                                    ([[1.0, 0.0]], "square"), ([[1.0, 0.0], [0.0]], "ragged")):
            with self.subTest(covariance=covariance):
                noise = {"sigma": None, "covariance": covariance}
                self.refuse_problem(problem(**two, noise=noise), "noise.covariance", *wanted)
        self.refuse_problem(problem(prior={"kind": "gaussian", "atoms": None, "complete": None, "mean": [0.0, 0.0],
                                           "cov": [[1.0, 2.0], [2.0, 1.0]]}), "cov", "positive definite")

    def test_times_and_counts(self):
        self.refuse_cases([
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
            (problem(margins={"spread": -1}), "margins.spread", "-1", ">= 0"),
        ])


class UnknownNames(BadInputTest):
    def test_in_the_problem_file(self):
        self.refuse_cases([
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
        ])

    def test_a_message_about_a_file_names_it_and_the_line(self):
        self.refuse_problem(problem(noise={"sigm": 1}), "problem.toml:10", "'sigm'")

    def test_toml_syntax(self):
        self.refuse_problem("[prior]\nkind = \"atoms\"\natoms = [[0.0], [1.0\n[noise]\nsigma = 1\n", "problem.toml:4", "TOML syntax")
        self.refuse_problem("[prior]\nkind = \"atoms\"\nkind = \"gmm\"\n", "problem.toml:3", "TOML syntax")

    def test_on_the_command_line(self):
        self.refuse_options([
            ("--sampler pigm", "'pigm'", "did you mean 'pigdm'"),
            ("--sampler pigdm:r=flat", "pigdm", "'r'", "did you mean 'r2'"),
            ("--sampler pigdm:r2", "pigdm:r2", "key=value"),
            ("--sampler pigdm:", "pigdm:", "key=value"),
            ("--sampler :r2=flat", ":r2=flat", "no name"),
            ("--sampler pigdm:r2=flat,r2=unit", "'r2'", "twice"),
            ("--sampler dps-sigma --sampler dps-sigma", "dps-sigma", "twice"),
            ("--set run.particle=3", "--set run.particle=3", "did you mean 'particles'"),
            ("--set rum.particles=3", "--set rum.particles=3", "did you mean 'run'"),
            ("--set run.particles", "--set run.particles", "table.key=value"),
            ("--set run=3", "--set run=3", "run.key=value"),
            ("--set run.particles=0", "--set run.particles=0", ">= 1"),
            ("--set schedule.kind=vp-liner", "--set schedule.kind=vp-liner", "did you mean 'vp-linear'"),
            ("--set margins.spred=1", "--set margins.spred=1", "did you mean 'spread'"),
            ("--set grid.t_min=2", "--set grid.t_min=2", "t_min must be < t_max"),
            ("--seed -1", "--seed", "-1"),
            ("--seed one", "--seed", "one"),
            ("--threads -1", "--threads", "-1"),
            ("--fail-on nonsense", "--fail-on", "nonsense", "fail,inconclusive,never"),
            ("--frob", "--frob"),
            ("two-atoms", "two-atoms"),
        ])
        self.refuse_options([("three-atos", "'three-atos'", "did you mean 'three-atoms'")], command=("diagnose",))

    def test_commands(self):
        for arguments, *wanted in ((["diagnos", "three-atoms"], "'diagnos'", "did you mean 'diagnose'"), ([], "subcommand"),
                                   (["list", "samplrs"], "what", "samplrs"), (["list"], "what"),
                                   (["sample", "three-atoms", "--out", "out/t.npz"], "--sampler"),
                                   (["sample", "three-atoms", "--sampler", "exact"], "--out"),
                                   (["eval", "three-atoms", "--out", "out/f.npz"], "--at")):
            with self.subTest(arguments=arguments):
                self.refuse(USAGE, wanted, *arguments)


class Samplers(BadInputTest):
    def test_bad_values(self):
        cases = [("dps-zeta:zeta=-1", "zeta = -1", "> 0"), ("dps-zeta:zeta=0", "zeta = 0", "> 0"),
                 ("dps-zeta:zeta=nan", "zeta = nan", "> 0"), ("dps-zeta:zeta=1x", "'1x'", "number"),
                 ("pigdm:r2=round", "'round'", "'unit'", "'flat'"), ("tmpd:integrator=ddim,eta=2", "eta = 2", "[0, 1]"),
                 ("tmpd:max_dense=-1", "max_dense", "'-1'", ">= 0"), ("dps:zeta=-1", "zeta = -1", "> 0")]
        for command, out in ((("diagnose", "three-atoms"), "run"), (("sample", "three-atoms"), "t.npz")):
            options = [(f"--sampler {spec}", spec.split(":")[0], *wanted) for spec, *wanted in cases]
            self.refuse_options(options, code=INVALID_INPUT, command=command, out=out)

    def test_eta_needs_its_integrator(self):
        self.refuse_options([("--sampler tmpd:eta=0.5", "eta", "ddim", "euler-maruyama")])

    def test_linear_samplers_refuse_nonlinear_operators(self):
        for sampler in ("pigdm", "tmpd", "dmps"):
            with self.subTest(sampler=sampler):
                wanted = [sampler, "affine", "'square'", "dps-sigma", "dps-zeta"]
                options = ["--set", "operator.kind=square", "--sampler", sampler]
                self.refuse(USAGE, wanted, "diagnose", "three-atoms", *options, "--out", self.out / "run")
                self.refuse(USAGE, wanted, "sample", "three-atoms", *options, "--out", self.out / "t.npz")

    def test_number_of_recorded_times(self):
        self.refuse_options([("--record 0", "--record", "0"), ("--record -1", "--record", "-1"), ("--record 2.5", "--record", "2.5")],
                            command=("sample", "three-atoms", "--sampler", "exact"), out="t.npz")

    def test_exact_is_a_sampler_of_sample(self):
        self.succeed("sample", "three-atoms", "--sampler", "exact", "--set", "run.particles=7", "--set", "grid.steps=3",
                     "--out", self.out / "t.npz")
        with np.load(self.out / "t.npz") as trajectory:
            self.assertEqual(trajectory["x"].shape, (len(trajectory["t"]), 7, 1))


class EvalPoints(BadInputTest):
    def refuse_points(self, wanted, *options, code=INVALID_INPUT, **arrays):
        np.savez(self.folder / "at.npz", **arrays)
        self.refuse(code, wanted, "eval", "three-atoms", "--at", "at.npz", *options, "--out", self.out / "f.npz")

    def test_times(self):
        for t in (0.0, -0.1, 1.5, np.nan, np.inf):
            with self.subTest(t=t):
                shown = f"{t:g}" if t else "0"
                self.refuse_points(["at.npz", "t[1]", shown, "(0, 1]"], x=np.zeros((2, 1)), t=np.array([0.5, t]))

    def test_arrays(self):
        x, t = np.zeros((2, 1)), np.array([0.5, 0.5])
        self.refuse_points(["at.npz", "'t'"], x=x)
        self.refuse_points(["at.npz", "'x'"], t=t)
        self.refuse_points(["at.npz", "(2, 3)", "(B, 1)"], x=np.zeros((2, 3)), t=t)
        self.refuse_points(["at.npz", "(3,)", "(2,)"], x=x, t=np.full(3, 0.5))
        self.refuse_points(["at.npz", "(2, 1)", "(2,)"], x=x, t=t[:, None])
        self.refuse_points(["at.npz", "x[1]", "nan", "finite"], x=np.array([[0.0], [np.nan]]), t=t)
        self.refuse(INVALID_INPUT, ["absent.npz", "no such file"], "eval", "three-atoms", "--at", "absent.npz", "--out",
                    self.out / "f.npz")

    def test_methods(self):
        points = {"x": np.zeros((2, 1)), "t": np.array([0.5, 0.5])}
        self.refuse_points(["--method", "dps-sigma", "twice"], "--method", "dps-sigma", "--method", "dps-sigma", code=USAGE, **points)
        self.refuse_points(["'pigm'", "did you mean 'pigdm'"], "--method", "pigm", code=USAGE, **points)
        self.refuse_points(["pigdm:r2", "key=value"], "--method", "pigdm:r2", code=USAGE, **points)
        self.refuse_points(["pigdm", "'round'"], "--method", "pigdm:r2=round", **points)
        self.refuse_points(["dps", "dps-zeta"], "--method", "dps", code=USAGE, **points)
        self.refuse_points(["--precision", "f16"], "--precision", "f16", code=USAGE, **points)
        self.refuse_points(["pigdm", "affine", "'square'"], "--set", "operator.kind=square", "--method", "pigdm", code=USAGE, **points)


class TrajectoryFiles(BadInputTest):
    def refuse_trajectory(self, *wanted, **arrays):
        np.savez(self.folder / "states.npz", **arrays)
        self.refuse(INVALID_INPUT, ["states.npz", *wanted], "diagnose", "three-atoms", "--trajectory", "states.npz", "--out",
                    self.out / "run")

    def test_arrays(self):
        x, t = np.zeros((2, 50, 1)), np.array([0.5, 0.01])
        self.refuse_trajectory("x0", other=x)
        self.refuse_trajectory("neither t nor sigma", x=x)
        self.refuse_trajectory("(2, 50, 3)", "d = 1", x=np.zeros((2, 50, 3)), t=t)
        self.refuse_trajectory("(50, 1)", "(T, B, d)", x=x[0], t=t)
        self.refuse_trajectory("(50,)", "(B, d)", x0=np.zeros(50))
        self.refuse_trajectory("3", "2", "agree", x=x, t=np.array([0.5, 0.1, 0.01]))
        self.refuse_trajectory("(2, 1)", "(T,)", x=x, t=t[:, None])

    def test_times(self):
        x = np.zeros((2, 50, 1))
        for t in (0.0, -1.0, 1.5, np.nan):
            with self.subTest(t=t):
                self.refuse_trajectory("t[1]", f"{t:g}", x=x, t=np.array([0.5, t]))
        self.refuse_trajectory("0.5", "twice", x=x, t=np.array([0.5, 0.5]))
        self.refuse_trajectory("sigma[0]", "-2", x=x, sigma=np.array([-2.0, 1.0]))

    def test_too_few_states(self):
        for num_times, num_particles in ((0, 50), (2, 0), (2, 1)):
            with self.subTest(num_times=num_times, num_particles=num_particles):
                t = np.array([0.5, 0.01])[:num_times]
                shape = (num_times, num_particles, 1)
                self.refuse_trajectory("x", str(shape), x=np.zeros(shape), t=t)
        for num_particles in (0, 1):
            with self.subTest(num_particles=num_particles):
                self.refuse_trajectory("x0", f"({num_particles}, 1)", x0=np.zeros((num_particles, 1)))

    def test_missing_file(self):
        for name in ("absent.npz", "absent"):
            self.refuse(INVALID_INPUT, [name, "no such file"], "diagnose", "three-atoms", "--trajectory", name, "--out",
                        self.out / "run")


class Output(BadInputTest):
    """Tests may run as root, whom permissions do not stop: a path below a regular file cannot be written by anyone."""

    def setUp(self):
        super().setUp()
        self.write("file", "not a directory\n")
        np.savez(self.folder / "at.npz", x=np.zeros((2, 1)), t=np.array([0.5, 0.5]))

    def test_below_a_file(self):
        quick = ("--set", "run.particles=20", "--set", "grid.steps=4")
        self.refuse(IO_ERROR, ["file", "ot a directory"], "diagnose", "three-atoms", *quick, "--out", "file/run")
        self.refuse(IO_ERROR, ["file/t.npz", "ot a directory"], "sample", "three-atoms", "--sampler", "exact", *quick, "--out", "file/t.npz")
        self.refuse(IO_ERROR, ["file/f.npz", "ot a directory"], "eval", "three-atoms", "--at", "at.npz", "--out", "file/f.npz")

    def test_in_a_folder_that_is_not_there(self):
        self.refuse(IO_ERROR, ["absent/f.npz"], "eval", "three-atoms", "--at", "at.npz", "--out", "absent/f.npz")

    def test_a_file_or_a_full_folder_is_no_run_directory(self):
        self.refuse(USAGE, ["file", "not a directory"], "diagnose", "three-atoms", "--out", "file")
        self.refuse(USAGE, [str(self.folder), "not a former run"], "diagnose", "three-atoms", "--out", self.folder)

    def test_reports_of_what_is_no_run(self):
        self.refuse(INVALID_INPUT, ["absent/diagnosis.json", "no such file"], "report", "absent")
        self.write("out/diagnosis.json", '{"schema": 1, "verdict": ')
        self.refuse(INVALID_INPUT, ["out/diagnosis.json", "not a diagnosis"], "report", "out")
        self.write("out/diagnosis.json", '{"schema": 99}')
        self.refuse(INVALID_INPUT, ["out/diagnosis.json", "schema 99"], "report", "out")

    def test_inspect(self):
        self.refuse(INVALID_INPUT, ["absent.npy", "no such file"], "inspect", "absent.npy")
        self.refuse(INVALID_INPUT, ["file"], "inspect", "./file")


if __name__ == "__main__":
    unittest.main()
