#!/usr/bin/python3
"""Build tests on a small project that needs neither the network nor anything else from outside."""
import errno
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import harness  # noqa: E402
import small_project  # noqa: E402
import tap  # noqa: E402

MAKE = ["make", "-j2"]
# Written by the build's own programs or by the shell, or by us at infer time.
NOT_LAZY = {"config.h", "table.h"}


class Fixture(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        if harness.why_no_mount():
            self.skipTest(harness.why_no_mount())
        self.tree = harness.Tree("small")
        self.addCleanup(self.tree.close)
        self.tree.sources(small_project.fill)

    def start(self):
        self.tree.mount()
        self.tree.infer(MAKE)

    def read_error(self, path):
        try:
            with open(os.path.join(self.tree.path, path), "rb") as f:
                f.read(1)
        except OSError as fault:
            return fault.errno
        return self.fail(f"{path} could be read")


class WholeBuild(Fixture):
    def test_every_output_is_what_a_plain_make_gives(self):
        plain = self.tree.build_plainly(MAKE)
        self.assertIn("prog", plain)
        self.start()
        self.assertEqual("", harness.difference(plain, self.tree.outputs()))

    def test_infer_runs_only_what_the_build_itself_reads(self):
        self.start()
        # ./generate is a product that the build executes; nothing else is looked into.
        self.assertEqual(["generate"], self.tree.ran())
        lazy = set(self.tree.lazy())
        expected = {"prog", "prog.stripped", "prog.debug", "libshared.so", "user", "both", "thin",
                    "main.o", "greet.o", "table.o", "start.o", "many.o", "one.o", "two.o",
                    "shared.lo", "lib/add.o", "lib/mul.o", "lib/libx.a", "out/prog", "out/copy",
                    "out/hard", "generate"}
        self.assertEqual(set(), expected - lazy)
        self.assertEqual(set(), lazy & NOT_LAZY)

    def test_depfiles_are_there_at_once_and_are_those_of_gcc(self):
        depfiles = ["main.d", "greet.d", "table.d", "one.d", "two.d"]

        def texts():
            found = {}
            for name in depfiles:
                self.assertEqual("ordinary", self.tree.state(name))
                with open(os.path.join(self.tree.path, name), encoding="utf-8") as f:
                    found[name] = f.read()
            return found

        self.tree.run(MAKE)
        plain = texts()
        self.tree.reset()
        self.start()
        self.assertEqual(plain, texts())
        self.assertEqual("unforced", self.tree.state("main.o"))

    def test_the_program_runs_at_its_first_use(self):
        self.start()
        self.assertEqual("unforced", self.tree.state("prog"))
        self.assertEqual("hello 13\n", self.tree.run(["./prog"]).stdout)
        self.assertEqual("42\n", self.tree.run(["./user"]).stdout)
        self.assertEqual("ready", self.tree.state("prog"))
        # What the program does not need has not been made.
        self.assertEqual("unforced", self.tree.state("both"))

    def test_forcing_changes_neither_time_nor_inode_so_make_has_nothing_to_do(self):
        self.start()
        path = os.path.join(self.tree.path, "prog")
        before = os.stat(path)
        self.tree.force_everything()
        after = os.stat(path)
        self.assertEqual((before.st_ino, before.st_mtime_ns, before.st_mode),
                         (after.st_ino, after.st_mtime_ns, after.st_mode))
        again = self.tree.run(["make"]).stdout
        self.assertNotIn("-c -o", again)
        self.assertNotIn("strip", again)

    def test_the_same_sources_mounted_again_force_nothing(self):
        self.start()
        self.tree.force_everything()
        first = self.tree.outputs()
        self.tree.umount()
        self.tree.ggfs("stop")
        self.tree.reset()

        def again():
            self.start()
            self.assertEqual("hello 13\n", self.tree.run(["./prog"]).stdout)
            self.assertEqual("", harness.difference(first, self.tree.outputs()))

        self.assertEqual([], self.tree.ran_during(again))

    def test_unmounting_leaves_placeholders_and_mounting_finds_them(self):
        self.start()
        self.tree.umount()
        with open(os.path.join(self.tree.path, "prog"), "rb") as f:
            self.assertTrue(f.read().startswith(b"#!/usr/bin/env ggfs-force\n"))
        self.assertEqual("hello 13\n", self.tree.run(["./prog"]).stdout)
        self.tree.mount()
        self.assertEqual("hello 13\n", self.tree.run(["./prog"]).stdout)

    def test_a_warning_is_kept_and_shown(self):
        self.start()
        self.tree.ggfs("force", os.path.join(self.tree.path, "one.o"))
        self.assertIn("unused variable", self.tree.ggfs("log").stdout)
        self.assertIn("unused variable",
                      self.tree.ggfs("why", os.path.join(self.tree.path, "one.o")).stdout)


class Edits(Fixture):
    def setUp(self):
        super().setUp()
        self.start()
        self.tree.force_everything()

    def rebuild(self):
        def action():
            self.tree.infer(MAKE)
            self.tree.force_everything()
        return self.tree.ran_during(action)

    def test_nothing_edited_nothing_runs(self):
        self.assertEqual([], self.rebuild())

    def test_one_file_edited_only_what_needs_it_runs(self):
        self.tree.replace("two.c", "return 2", "return 1 + 1 + 1")
        ran = set(self.rebuild())
        self.assertEqual({"two.o", "both", "many.o", "thin", "libthin.a"}, ran | {"libthin.a"})
        self.assertEqual(1, self.tree.run(["./both"], check=False).returncode)

    def test_a_header_edited_only_its_includers_run(self):
        self.tree.replace("lib/x.h", "X_ZERO 0", "X_ZERO 1")
        ran = set(self.rebuild())
        self.assertLessEqual({"add.o", "mul.o", "libx.a", "prog", "prog.stripped"}, ran)
        self.assertEqual(set(), ran & {"main.o", "greet.o", "table.o", "start.o", "one.o", "two.o",
                                       "shared.lo", "user", "generate"})
        self.assertEqual("hello 15\n", self.tree.run(["./prog"]).stdout)

    def test_a_comment_edited_compiles_but_links_nothing(self):
        self.tree.append("two.c", "/* nothing that an object could show */\n")
        # `both` is compiled and linked in one call, so it has to run; what links two.o has not.
        self.assertEqual({"two.o", "both"}, set(self.rebuild()))

    def test_an_edit_taken_back_runs_nothing(self):
        self.tree.replace("two.c", "return 2", "return 3")
        self.rebuild()
        self.tree.replace("two.c", "return 3", "return 2")
        self.assertEqual([], self.rebuild())


class Errors(Fixture):
    def test_a_compile_error_is_read_as_an_error_with_gccs_own_message(self):
        self.tree.mount()
        self.tree.replace("greet.c", "int sum)\n{", "int sum)\n{\n\tint broken = ;")
        self.tree.infer(MAKE)
        self.assertEqual("unforced", self.tree.state("prog"))
        self.assertEqual(errno.EREMOTEIO, self.read_error("greet.o"))
        self.assertEqual("failed", self.tree.state("greet.o"))
        why = self.tree.ggfs("why", os.path.join(self.tree.path, "greet.o"), check=False).stdout
        self.assertRegex(why, r"greet\.c:\d+:\d+: error: expected expression before .;. token")
        # So is what needs it, and the cause is named there as well.
        self.assertEqual(errno.EREMOTEIO, self.read_error("prog"))
        why = self.tree.ggfs("why", os.path.join(self.tree.path, "prog"), check=False).stdout
        self.assertIn("expected expression before", why)
        # What does not need it is not touched by it.
        self.assertEqual("42\n", self.tree.run(["./user"]).stdout)

    def test_a_mended_source_builds(self):
        self.tree.mount()
        self.tree.replace("greet.c", "int sum)\n{", "int sum)\n{\n\tint broken = ;")
        self.tree.infer(MAKE)
        self.read_error("prog")
        self.tree.replace("greet.c", "\n\tint broken = ;", "")
        self.tree.infer(MAKE)
        self.assertEqual("hello 13\n", self.tree.run(["./prog"]).stdout)

    def test_a_missing_header_is_an_error_of_make_at_once(self):
        self.tree.mount()
        self.tree.replace("greet.c", "#include <stdio.h>", '#include "nowhere.h"')
        answer = self.tree.infer(MAKE, check=False)
        self.assertNotEqual(0, answer.returncode)
        self.assertIn("nowhere.h: No such file or directory", answer.stdout)

    def test_an_undefined_symbol_is_an_error_of_the_program_that_is_linked(self):
        self.tree.mount()
        self.tree.replace("two.c", "int two(void)\n{\n\treturn 2", "int elsewhere(void);\n"
                          "int two(void)\n{\n\treturn elsewhere()")
        self.tree.infer(MAKE)
        self.assertEqual(errno.EREMOTEIO, self.read_error("both"))
        why = self.tree.ggfs("why", os.path.join(self.tree.path, "both"), check=False).stdout
        self.assertIn("undefined reference to `elsewhere'", why)


if __name__ == "__main__":
    tap.main()
