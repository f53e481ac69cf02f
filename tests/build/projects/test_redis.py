#!/usr/bin/python3
"""redis from Debian's sources: a configure inside make, `nm` that reads objects, programs that are copies."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import harness  # noqa: E402
import tap  # noqa: E402

MAKE = ["make", "-j2"]


class Redis(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.reason = harness.why_no_mount()
        if cls.reason:
            return
        cls.tree = harness.Tree("redis")
        cls.addClassCleanup(cls.tree.close)
        if not harness.fetch("redis", cls.tree.pristine):
            cls.reason = "the sources of redis cannot be fetched here"
            return
        cls.tree.sources(lambda path: None)
        cls.plain = cls.tree.build_plainly(MAKE)
        cls.tree.mount()
        cls.tree.infer(MAKE)
        cls.ran_by_infer = cls.tree.ran()
        cls.state_after_infer = cls.tree.state("src/redis-server")
        cls.tree.force_everything()

    def setUp(self):
        if self.reason:
            self.skipTest(self.reason)

    def test_the_plain_build_made_the_programs(self):
        for name in ("src/redis-server", "src/redis-cli", "src/redis-benchmark",
                     "deps/jemalloc/lib/libjemalloc.a", "deps/hiredis/libhiredis.a"):
            self.assertIn(name, self.plain)

    def test_infer_runs_only_what_the_build_itself_reads(self):
        self.assertEqual("unforced", self.state_after_infer)
        # jemalloc's make pipes `nm` of its objects into awk; nothing of redis itself is read.
        self.assertNotIn("server.o", self.ran_by_infer)
        self.assertNotIn("redis-server", self.ran_by_infer)

    def test_every_output_is_what_a_plain_make_gives(self):
        self.assertEqual("", harness.difference(self.plain, self.tree.outputs()))

    def test_the_program_works(self):
        self.assertIn("Redis server v=", self.tree.run(["src/redis-server", "--version"]).stdout)

    def test_one_file_edited_only_what_needs_it_runs(self):
        self.tree.replace("src/redis-benchmark.c", "Usage: redis-benchmark",
                          "How to use: redis-benchmark")

        def action():
            self.tree.infer(MAKE)
            self.tree.force_everything()
        self.assertEqual({"redis-benchmark.o", "redis-benchmark"},
                         set(self.tree.ran_during(action)))


if __name__ == "__main__":
    tap.main()
