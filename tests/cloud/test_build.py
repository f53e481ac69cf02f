#!/usr/bin/python3
"""A build that is read in a mount and made on Lambda: its bytes, its bill, and what is lost on the way."""
import errno
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import cloud  # noqa: E402
from cloud import Cloud  # noqa: E402
import place  # noqa: E402
import tap  # noqa: E402

WHY_NOT = cloud.why_not() or place.why_no_mount()

FILES = {
    "Makefile": "prog: main.o libparts.a\n\t$(CC) -g -o $@ main.o -L. -lparts\n"
                "libparts.a: one.o two.o\n\t$(AR) rcs $@ $^\n%.o: %.c parts.h\n\t$(CC) -g -O2 -c $<\n",
    "parts.h": "int one(int);\nint two(int);\n",
    # Too large to come along with the answer: it stays in the far store.
    "one.c": 'const char filler[50000] = { 1 };\n#include "parts.h"\n#include <assert.h>\nint one(int i) { assert(i < 100); return i + 1; }\n',
    "two.c": '#include "parts.h"\n#include <stdio.h>\nint two(int i) { printf("%s\\n", __FILE__); return 2 * i; }\n',
    "main.c": '#include "parts.h"\nint main(void) { return one(two(20)); }\n',
}
MADE = ("one.o", "two.o", "main.o", "libparts.a", "prog")


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Build(unittest.TestCase):
    def setUp(self):
        self.c = Cloud("--idle-ms", "1000000")
        self.addCleanup(self.c.close)
        self.write_sources()
        # The plain build, in the directory that is mounted later: paths are in the bytes.
        done = self.c.run("make")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.plain = {name: self.read(name) for name in MADE}
        for name in MADE:
            os.unlink(self.c.path(name))

    def write_sources(self):
        for name, text in FILES.items():
            with open(self.c.path(name), "w", encoding="utf-8") as f:
                f.write(text)

    def read(self, name):
        with open(self.c.path(name), "rb") as f:
            return f.read()

    def infer(self, *options):
        self.c.ok("mount", "--engine", "lambda", *options, self.c.work)
        done = self.c.run("ggfs", "infer", "make")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.c.ran(), {})

    def test_every_output_is_that_of_the_plain_build_and_lambda_made_it(self):
        self.infer()
        self.assertEqual(self.c.run("./prog").returncode, 41)
        for name in MADE:
            self.assertEqual(self.read(name), self.plain[name], name)
        self.assertEqual(set(self.c.ran()), {"lambda"})

    def test_the_bill_counts_what_was_invoked_and_each_file_its_own(self):
        self.infer()
        self.c.run("./prog")
        bill = self.c.bill()
        self.assertEqual(bill["invocations"], self.c.counters()["invocations"])
        self.assertEqual(bill["in_flight_usd"], 0)
        self.assertGreater(bill["spent_usd"], 0)
        costs = [float(os.getxattr(self.c.path(name), "user.ggfs.cost_usd")) for name in MADE]
        self.assertTrue(all(cost > 0 for cost in costs), costs)
        self.assertAlmostEqual(sum(costs), json.loads(self.c.ok("cost", "--json", "prog"))["spent_usd"], 6)
        self.assertLess(sum(costs), bill["spent_usd"])

    def test_a_worker_is_told_where_our_configuration_has_s3(self):
        # Not in the store's settings but in AWS's, which the worker does not have.
        self.c.env["AWS_ENDPOINT_URL_S3"] = self.c.env.pop("GGFS_FAR_ENDPOINT")
        self.infer()
        self.assertEqual(self.c.run("./prog").returncode, 41)
        self.assertEqual(set(self.c.ran()), {"lambda"})

    def test_in_another_store_all_comes_from_s3(self):
        self.infer()
        self.c.run("./prog")
        invoked = self.c.counters()["invocations"]
        self.c.ok("umount", self.c.work, cwd=self.c.base)
        self.c.another_store()
        for name in MADE:
            os.unlink(self.c.path(name))
        self.infer()
        self.assertEqual(self.c.run("./prog").returncode, 41)
        for name in MADE:
            self.assertEqual(self.read(name), self.plain[name], name)
        self.assertEqual((self.c.ran(), self.c.counters()["invocations"]), ({}, invoked))

    def test_what_is_lost_from_the_far_store_and_from_workers_is_made_again(self):
        self.infer()
        self.c.ok("force", "--engine", "lambda", "libparts.a")
        self.assertEqual(self.c.ran(), {"lambda": 3})
        # Of the larger object only what is in the archive is here. Now it is nowhere, nor is the toolchain.
        self.c.empty_bucket()
        self.c.recycle()
        self.assertEqual(self.c.run("./prog").returncode, 41)
        for name in MADE:
            self.assertEqual(self.read(name), self.plain[name], name)
        self.assertEqual(self.c.ran(), {"lambda": 6})  # one.o a second time

    def test_a_budget_is_not_passed_and_the_reader_gets_edquot(self):
        self.infer("--budget", "0.0000001")
        with self.assertRaises(OSError) as fault:
            self.read("one.o")
        self.assertEqual(fault.exception.errno, errno.EDQUOT)
        self.assertIn("budget", self.c.ok("why", "one.o"))
        self.assertEqual(self.c.counters()["invocations"], 0)

    def test_without_credentials_a_reader_gets_eacces_at_once_and_is_told_where_they_were_sought(self):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            del self.c.env[name]
        self.infer()
        with self.assertRaises(OSError) as fault:
            self.read("one.o")
        self.assertEqual(fault.exception.errno, errno.EACCES)
        self.assertIn("no AWS credentials", self.c.ok("why", "one.o"))

    def test_a_wrong_secret_is_eacces_too(self):
        self.c.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
        self.infer()
        with self.assertRaises(OSError) as fault:
            self.read("one.o")
        self.assertEqual(fault.exception.errno, errno.EACCES)
        self.assertIn("SignatureDoesNotMatch", self.c.ok("why", "one.o"))

    def test_a_local_policy_spends_nothing(self):
        self.infer("-o", "force=local")
        self.assertEqual(self.c.run("./prog").returncode, 41)
        self.assertEqual(set(self.c.ran()), {"local"})
        self.assertEqual(self.c.counters()["invocations"], 0)

    def test_an_estimate_names_what_would_run_and_costs(self):
        self.infer()
        estimate = json.loads(self.c.ok("force", "--dry-run", "--json", "--engine", "lambda", "prog"))
        self.assertEqual((estimate["to_run"], estimate["never_ran"]), (5, 5))
        self.assertGreater(estimate["cost_usd"], 0)
        self.assertEqual(self.c.counters()["invocations"], 0)


@unittest.skipIf(cloud.why_not(), cloud.why_not())
class Row(unittest.TestCase):
    STEPS = 5

    def setUp(self):
        self.c = Cloud("--idle-ms", "1000000")
        self.addCleanup(self.c.close)

    def make_row(self, failing=None):
        """s0 to s4, each of which adds its number to the one before."""
        for i in range(self.STEPS):
            before = ["--input", f"s{i - 1}"] if i else []
            script = "exit 3" if i == failing else f"{{ cat {f's{i - 1}' if i else ''}; echo {i}; }} </dev/null >s{i}"
            self.c.ok("thunk", "-p", *before, "--tool", "cat", "--output", f"s{i}", "--", "sh", "-c", script)

    def test_steps_that_only_wait_for_one_another_are_one_invocation(self):
        self.make_row()
        self.c.ok("force", "--engine", "lambda", "s4")
        with open(self.c.path("s4"), encoding="utf-8") as f:
            self.assertEqual(f.read(), "0\n1\n2\n3\n4\n")
        self.assertEqual((self.c.ran(), self.c.counters()["invocations"]), ({"lambda": self.STEPS}, 1))
        costs = [record["cost_usd"] for record in json.loads(self.c.ok("log", "--json")) if record["cost_usd"]]
        self.assertEqual(len(costs), self.STEPS)
        # All but what the service spent itself, on requests to S3.
        self.assertLess(sum(costs), self.c.bill()["spent_usd"])
        self.assertAlmostEqual(costs[0], costs[-1], 8)
        self.c.another_store()
        self.make_row()
        self.c.ok("force", "--engine", "lambda", "s4")
        self.assertEqual((self.c.ran(), self.c.counters()["invocations"]), ({}, 1))

    def test_a_step_that_fails_is_named_and_the_rest_is_kept(self):
        self.make_row(failing=3)
        self.assertNotEqual(self.c.ggfs("force", "--engine", "lambda", "s4").returncode, 0)
        self.assertIn("exit status 3", self.c.ok("why", "s3"))
        self.assertEqual(self.c.counters()["invocations"], 2)
        self.c.ok("force", "--engine", "lambda", "s2")
        self.assertEqual(self.c.counters()["invocations"], 2)


if __name__ == "__main__":
    tap.main()
