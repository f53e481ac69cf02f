#!/usr/bin/python3
"""lua5.4 from Debian's sources: compiles without -o, `ar rcu`, a recursive make."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import harness  # noqa: E402
import tap  # noqa: E402

MAKE = ["make", "-j2"]


class Lua(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.reason = harness.why_no_mount()
        if cls.reason:
            return
        cls.tree = harness.Tree("lua")
        cls.addClassCleanup(cls.tree.close)
        if not harness.fetch("lua5.4", cls.tree.pristine):
            cls.reason = "the sources of lua5.4 cannot be fetched here"
            return
        cls.tree.sources(lambda path: None)
        cls.plain = cls.tree.build_plainly(MAKE)
        cls.tree.mount()
        cls.tree.infer(MAKE)
        cls.ran_by_infer = cls.tree.ran()
        cls.lazy_after_infer = cls.tree.lazy()

    def setUp(self):
        if self.reason:
            self.skipTest(self.reason)
        self.tree.infer(MAKE)
        self.tree.force_everything()

    def rebuild(self):
        def action():
            self.tree.infer(MAKE)
            self.tree.force_everything()
        return set(self.tree.ran_during(action))

    def test_the_plain_build_made_the_programs(self):
        for name in ("src/lua", "src/luac", "src/liblua.a"):
            self.assertIn(name, self.plain)

    def test_infer_runs_no_tool(self):
        self.assertEqual([], self.ran_by_infer)

    def test_every_output_was_lazy(self):
        self.assertEqual(sorted(self.plain), self.lazy_after_infer)

    def test_every_output_is_what_a_plain_make_gives(self):
        self.assertEqual("", harness.difference(self.plain, self.tree.outputs()))

    def test_the_program_works(self):
        self.assertEqual("6\n", self.tree.run(["src/lua", "-e", "print(1 + 2 + 3)"]).stdout)

    def test_one_file_edited_only_what_needs_it_runs(self):
        self.tree.replace("src/lua.c", '"> "', '"lua> "')
        self.addCleanup(self.tree.replace, "src/lua.c", '"lua> "', '"> "')
        self.assertEqual({"lua.o", "lua"}, self.rebuild())

    def test_a_file_of_the_library_edited_links_both_programs(self):
        self.tree.replace("src/lmathlib.c", '"pi"', '"pie"')
        self.addCleanup(self.tree.replace, "src/lmathlib.c", '"pie"', '"pi"')
        self.assertEqual({"lmathlib.o", "liblua.a", "lua", "luac"}, self.rebuild())

    def test_a_comment_edited_compiles_but_links_nothing(self):
        comment = "\n/* nothing that an object could show */\n"
        self.tree.append("src/lapi.c", comment)
        self.addCleanup(self.tree.replace, "src/lapi.c", comment, "")
        # `ar rcu` has the archive that is there as an input, so it has another thunk, and runs.
        self.assertEqual({"lapi.o", "liblua.a"}, self.rebuild())


if __name__ == "__main__":
    tap.main()
