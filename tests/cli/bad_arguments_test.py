#!/usr/bin/env python3
"""Arguments that are wrong, or name files that are: the exit code, one line that says why, no file left behind."""

import unittest

import numpy as np

from command import INVALID_INPUT, IO_ERROR, USAGE
from refusal import RefusalTest


class Options(RefusalTest):
    def test_on_the_command_line(self):
        self.refuse_options(
            [
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
                ("--set run.tolerance=0.2", "--set run.tolerance=0.2", "(0, 0.1]"),
                ("--set run.exact_scan=no", "--set run.exact_scan=no", "true or false"),
                ("--set schedule.kind=vp-liner", "--set schedule.kind=vp-liner", "did you mean 'vp-linear'"),
                ("--set margins.spred=1", "--set margins.spred=1", "did you mean 'spread'"),
                ("--set grid.t_min=2", "--set grid.t_min=2", "t_min must be < t_max"),
                ("--seed -1", "--seed", "-1"),
                ("--seed one", "--seed", "one"),
                ("--threads -1", "--threads", "-1"),
                ("--fail-on nonsense", "--fail-on", "nonsense", "fail,inconclusive,never"),
                ("--frob", "--frob"),
                ("two-atoms", "two-atoms"),
            ]
        )
        self.refuse_options([("three-atos", "'three-atos'", "did you mean 'three-atoms'")], command=("diagnose",))

    def test_commands(self):
        for arguments, *wanted in (
            (["diagnos", "three-atoms"], "'diagnos'", "did you mean 'diagnose'"),
            ([], "subcommand"),
            (["list", "samplrs"], "what", "samplrs"),
            (["list"], "what"),
            (["sample", "three-atoms", "--out", "out/t.npz"], "--sampler"),
            (["sample", "three-atoms", "--sampler", "exact"], "--out"),
            (["eval", "three-atoms", "--out", "out/f.npz"], "--at"),
        ):
            with self.subTest(arguments=arguments):
                self.refuse(USAGE, wanted, *arguments)


class Samplers(RefusalTest):
    def test_bad_values(self):
        cases = [
            ("dps-zeta:zeta=-1", "zeta = -1", "> 0"),
            ("dps-zeta:zeta=0", "zeta = 0", "> 0"),
            ("dps-zeta:zeta=nan", "zeta = nan", "> 0"),
            ("dps-zeta:zeta=1x", "'1x'", "number"),
            ("pigdm:r2=round", "'round'", "'unit'", "'flat'"),
            ("tmpd:integrator=ddim,eta=2", "eta = 2", "[0, 1]"),
            ("tmpd:max_dense=-1", "max_dense", "'-1'", ">= 0"),
            ("dps:zeta=-1", "zeta = -1", "> 0"),
        ]
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
        self.refuse_options(
            [("--record 0", "--record", "0"), ("--record -1", "--record", "-1"), ("--record 2.5", "--record", "2.5")],
            command=("sample", "three-atoms", "--sampler", "exact"),
            out="t.npz",
        )

    def test_more_recorded_times_than_the_grid_has_are_all_of_them(self):
        for options in (["--record", "1000000000000"], ["--set", "run.record=1000000000000"]):
            with self.subTest(options=options):
                grid = ["--set", "run.particles=7", "--set", "grid.steps=50"]
                arguments = ["sample", "three-atoms", "--sampler", "exact", *grid, *options, "--out", "t.npz"]
                self.assertEqual(self.run_command(*arguments, timeout=10).returncode, 0)
                with np.load(self.folder / "t.npz") as trajectory:
                    self.assertEqual(len(trajectory["t"]), 51)

    def test_more_than_any_memory(self):
        for setting in ("run.particles=1000000000000000", "grid.steps=9223372036854775807"):
            with self.subTest(setting=setting):
                options = ["--set", setting, "--sampler", "exact"]
                self.refuse(IO_ERROR, ["memory"], "sample", "three-atoms", *options, "--out", self.out / "t.npz")

    def test_exact_is_a_sampler_of_sample(self):
        self.succeed(
            "sample",
            "three-atoms",
            "--sampler",
            "exact",
            "--set",
            "run.particles=7",
            "--set",
            "grid.steps=3",
            "--out",
            self.out / "t.npz",
        )
        with np.load(self.out / "t.npz") as trajectory:
            self.assertEqual(trajectory["x"].shape, (len(trajectory["t"]), 7, 1))


class EvalPoints(RefusalTest):
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
        self.refuse(
            INVALID_INPUT,
            ["absent.npz", "no such file"],
            "eval",
            "three-atoms",
            "--at",
            "absent.npz",
            "--out",
            self.out / "f.npz",
        )

    def test_methods(self):
        points = {"x": np.zeros((2, 1)), "t": np.array([0.5, 0.5])}
        self.refuse_points(
            ["--method", "dps-sigma", "twice"], "--method", "dps-sigma", "--method", "dps-sigma", code=USAGE, **points
        )
        self.refuse_points(["'pigm'", "did you mean 'pigdm'"], "--method", "pigm", code=USAGE, **points)
        self.refuse_points(["pigdm:r2", "key=value"], "--method", "pigdm:r2", code=USAGE, **points)
        self.refuse_points(["pigdm", "'round'"], "--method", "pigdm:r2=round", **points)
        self.refuse_points(["dps", "dps-zeta"], "--method", "dps", code=USAGE, **points)
        self.refuse_points(["--precision", "f16"], "--precision", "f16", code=USAGE, **points)
        for value in ("0", "-1e-6", "0.2", "nan", "inf", "small"):
            with self.subTest(tolerance=value):
                self.refuse_points(["--tolerance", value, "(0, 0.1]"], "--tolerance", value, code=USAGE, **points)
        self.refuse_points(
            ["pigdm", "affine", "'square'"], "--set", "operator.kind=square", "--method", "pigdm", code=USAGE, **points
        )


class TrajectoryFiles(RefusalTest):
    def refuse_trajectory(self, *wanted, **arrays):
        np.savez(self.folder / "states.npz", **arrays)
        self.refuse(
            INVALID_INPUT,
            ["states.npz", *wanted],
            "diagnose",
            "three-atoms",
            "--trajectory",
            "states.npz",
            "--out",
            self.out / "run",
        )

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
            self.refuse(
                INVALID_INPUT,
                [name, "no such file"],
                "diagnose",
                "three-atoms",
                "--trajectory",
                name,
                "--out",
                self.out / "run",
            )


class Output(RefusalTest):
    """Tests may run as root, whom permissions do not stop: a path below a regular file cannot be written by anyone."""

    def setUp(self):
        super().setUp()
        self.write("file", "not a directory\n")
        np.savez(self.folder / "at.npz", x=np.zeros((2, 1)), t=np.array([0.5, 0.5]))

    def test_below_a_file(self):
        quick = ("--set", "run.particles=20", "--set", "grid.steps=4")
        self.refuse(IO_ERROR, ["file", "ot a directory"], "diagnose", "three-atoms", *quick, "--out", "file/run")
        self.refuse(
            IO_ERROR,
            ["file/t.npz", "ot a directory"],
            "sample",
            "three-atoms",
            "--sampler",
            "exact",
            *quick,
            "--out",
            "file/t.npz",
        )
        self.refuse(
            IO_ERROR, ["file/f.npz", "ot a directory"], "eval", "three-atoms", "--at", "at.npz", "--out", "file/f.npz"
        )

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
