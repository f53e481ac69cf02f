#!/usr/bin/python3
"""ggfs infer as a program: where it may run, what it passes through, what it reports."""
import os
import re
import signal
import subprocess

import case
import tap


class Infer(case.Case):
    def project(self):
        self.write("a.c", "int a(void) { return 42; }\n")
        self.write("main.c", "int a(void);\nint main(void) { return a(); }\n")

    def infer(self, command, *options, code=0):
        return self.run_in(self.dir, case.GGFS, "infer", *options, "--", "sh", "-c", command,
                           code=code)

    def test_outside_a_mount_it_says_what_to_type(self):
        done = self.infer("exit 0", code=2)
        self.assertIn(f"ggfs mount {self.dir}", done.stderr)

    def test_mount_option_mounts_first(self):
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            self.skipTest("/dev/fuse is not open to this user")
        self.project()
        self.infer("gcc -c a.c", "--mount")
        self.note_mount()
        self.assertIn(self.dir, self.ggfs("mounts").stdout)

    def test_steps_are_recorded_and_the_first_read_makes_them(self):
        self.project()
        for options in ((), ("--path-only",)):
            with self.subTest(options=options):
                if not self.mounted:
                    self.mount()
                done = self.infer("gcc -c a.c && gcc -c main.c && gcc -o prog a.o main.o",
                                  *options)
                self.assertRegex(done.stderr, r"3 steps recorded, 0 run for real")
                self.run_in(self.dir, "./prog", code=42)

    def test_a_step_that_cannot_be_lazy_runs_for_real_with_its_reason_told(self):
        self.project()
        self.mount()
        done = self.infer("gcc --version", "--verbose")
        self.assertIn("Free Software Foundation", done.stdout)
        self.assertIn("0 steps recorded, 1 run for real", done.stderr)
        self.assertIn("ran for real: gcc --version", done.stderr)

    def test_copies_of_ordinary_files_are_counted_apart(self):
        self.project()
        self.mount()
        done = self.infer("gcc -c a.c; cp a.c b.c; install -m 644 a.c c.c; install a.o d.o")
        self.assertIn("2 steps recorded, 0 run for real, 2 ordinary files copied", done.stderr)

    def test_what_a_step_for_real_names_is_made_before_it_runs(self):
        self.mount()
        names = ("a.o", "b.o")
        for name in names:
            self.thunk(f"echo {name} >{name}", outputs=(name,))
        done = self.infer("ld --verbose a.o b.o -o p", code=None)
        self.assertIn("0 steps recorded, 1 run for real", done.stderr)
        # ld itself gives up at the first.
        self.assertEqual(sorted(r["label"] for r in self.json("log")), sorted(names))

    def test_eager_steps_run_at_once(self):
        self.project()
        self.mount()
        done = self.infer("gcc -c a.c", "--eager", "a.o")
        self.assertIn("0 steps recorded, 1 run for real", done.stderr)
        self.assertEqual(self.json("status")["unforced"], 0)

    def test_report_keeps_a_line_for_each_step(self):
        self.project()
        self.mount()
        report = self.p("report")
        self.infer("gcc -c a.c; gcc --version", "--report", report)
        with open(report, encoding="utf-8") as f:
            self.assertEqual([line.split()[0] for line in f], ["recorded", "real"])

    def test_a_compile_error_is_seen_at_once_with_gccs_words(self):
        self.write("bad.c", "#include \"absent.h\"\n")
        self.mount()
        done = self.infer("gcc -c bad.c", code=1)
        self.assertIn("absent.h", done.stderr)

    def test_the_commands_exit_code_is_infers(self):
        self.mount()
        self.infer("exit 9", code=9)
        self.run_in(self.dir, case.GGFS, "infer", "/absent/command", code=127)

    def test_a_command_that_dies_by_a_signal_makes_infer_die_by_it(self):
        self.mount()
        self.infer("kill -TERM $$", code=-signal.SIGTERM)

    def test_standard_streams_and_other_descriptors_pass_through(self):
        self.mount()
        reader, writer = os.pipe()
        done = subprocess.run([case.GGFS, "infer", "-q", "--", "sh", "-c",
                               f"cat; echo err >&2; echo token >&{writer}"],
                              input="in", text=True, capture_output=True, cwd=self.dir,
                              env=self.env, pass_fds=[writer], timeout=case.DEADLINE_S, check=False)
        os.close(writer)
        with os.fdopen(reader, encoding="utf-8") as f:
            # To the end: nobody who is still there holds the writing end.
            self.assertEqual(f.read(), "token\n")
        self.assertEqual((done.stdout, done.stderr), ("in", "err\n"))

    def test_make_with_a_jobserver_builds_in_parallel(self):
        self.project()
        self.write("Makefile", "prog: a.o main.o\n\t$(CC) -o $@ $^\n")
        self.mount()
        done = self.run_in(self.dir, case.GGFS, "infer", "make", "-j2")
        self.assertNotIn("jobserver", done.stderr)
        self.assertIn("3 steps recorded", done.stderr)
        self.run_in(self.dir, "./prog", code=42)

    def test_nothing_of_infer_is_left_in_a_real_tools_environment(self):
        self.project()
        self.mount()
        self.write("env.sh", "#!/bin/sh\nenv >env.txt\n", 0o755)
        self.infer("gcc -wrapper ./env.sh -c a.c", code=None)
        with open(os.path.join(self.dir, "env.txt"), encoding="utf-8") as f:
            names = re.findall(r"(?m)^(GGFS_\w+)=", f.read())
        # GGFS_COVER: gcc calls as and ld by their full paths, where stand-ins lie.
        self.assertEqual(sorted(set(names) - {"GGFS_STORE", "GGFS_COVER"}), [])


class Standin(case.Case):
    """A stand-in whose path somebody wrote down."""

    def test_outside_infer_it_is_the_real_tool(self):
        stub = os.path.join(case.TOOLS, "ggfs-stub")
        os.mkdir(self.p("stubs"))
        link = self.p("stubs", "gcc")
        os.symlink(stub, link)
        real = self.run_in(self.dir, "gcc", "--version").stdout
        self.assertEqual(self.run_in(self.dir, link, "--version").stdout, real)
        self.env["PATH"] = self.p("stubs") + ":" + self.env["PATH"]
        self.assertEqual(self.run_in(self.dir, "gcc", "--version").stdout, real)
        self.write("a.c", "int a;\n")
        for name in ("gcc", link):
            self.run_in(self.dir, name, "-c", "a.c")
            self.assertFalse(self.is_lazy("a.o"))
            os.unlink(os.path.join(self.dir, "a.o"))

    def test_without_a_real_tool_it_is_not_found(self):
        os.mkdir(self.p("stubs"))
        os.symlink(os.path.join(case.TOOLS, "ggfs-stub"), self.p("stubs", "gcc-99"))
        self.assertIn("not found", self.run_in(self.dir, self.p("stubs", "gcc-99"),
                                               code=127).stderr)

    def test_with_no_service_to_be_had_the_real_tool_runs(self):
        self.env.update(GGFS_STUBS=self.p("stubs"), GGFS_BIN="/absent/ggfs",
                        GGFS_STORE="/proc/absent")
        os.mkdir(self.p("stubs"))
        os.symlink(os.path.join(case.TOOLS, "ggfs-stub"), self.p("stubs", "gcc"))
        self.write("a.c", "int a;\n")
        self.run_in(self.dir, self.p("stubs", "gcc"), "-c", "a.c")
        self.assertFalse(self.is_lazy("a.o"))


if __name__ == "__main__":
    tap.main()
