#!/usr/bin/python3
"""ggfs config, cost, and what force says of engines and money where nothing is remote."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from place import Place  # noqa: E402
import tap  # noqa: E402

SECRET = "wJalrXUtnFEMIsecretEXAMPLEKEY"


class Settings(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)
        self.p.env.update(HOME=self.p.base, AWS_ACCESS_KEY_ID="AKIAEXAMPLE12345678",
                          AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION="eu-central-1")
        self.p.ok("init")

    def config(self, *argv):
        return json.loads(self.p.ok("config", "--json", *argv))

    def test_everything_in_force_is_shown_with_where_it_comes_from(self):
        self.p.ok("config", "far.url", "s3://bucket/prefix")
        self.p.env["GGFS_LAMBDA_FUNCTION"] = "mine"
        shown = self.config()
        self.assertEqual(shown["far.url"], {"value": "s3://bucket/prefix", "source": "config"})
        self.assertEqual(shown["lambda.function"],
                         {"value": "mine", "source": "environment GGFS_LAMBDA_FUNCTION"})
        self.assertEqual(shown["engine"], {"value": "local", "source": "standard"})
        self.assertEqual(shown["aws.region"]["value"], "eu-central-1")
        self.assertIn("AWS_REGION", shown["aws.region"]["source"])
        self.assertIn("eu-central-1.amazonaws.com", shown["aws.s3"]["value"])

    def test_credentials_are_named_and_never_shown(self):
        done = self.p.ggfs("config", "--credentials")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"environment", done.stdout)
        self.assertIn(b"5678", done.stdout)
        self.assertNotIn(b"AKIAEXAMPLE", done.stdout)
        self.assertNotIn(SECRET.encode(), done.stdout + done.stderr)

    def test_one_value_is_printed_set_and_removed(self):
        self.p.ok("config", "engine", "lambda=5,local")
        self.assertEqual(self.p.ok("config", "engine"), "lambda=5,local\n")
        self.p.ok("config", "--unset", "engine")
        self.assertEqual(self.p.ok("config", "engine"), "local\n")

    def test_nonsense_is_refused_with_what_it_must_be(self):
        self.assertIn("there is no setting 'nothing'", self.p.refused(1, "config", "nothing", "1"))
        self.assertIn("s3://BUCKET", self.p.refused(1, "config", "far.url", "http://x"))
        self.assertIn("there is no setting 'nothing'", self.p.refused(1, "config", "nothing"))
        with open(os.path.join(self.p.store, "config"), "w", encoding="utf-8") as f:
            f.write("engine = local\nwhat\n")
        self.assertIn("line 2", self.p.refused(1, "config"))

    def test_a_running_service_keeps_its_settings_and_config_says_so(self):
        self.p.placeholder("echo 1 >o")
        self.p.ok("force", "o")
        done = self.p.ggfs("config", "far.connections", "5")
        self.assertIn(b"ggfs stop", done.stderr)
        self.assertEqual(done.returncode, 0)


class Engines(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)
        self.p.env["HOME"] = self.p.base
        self.p.placeholder("echo 1 >o")

    def test_lambda_that_is_not_set_up_is_refused_with_how_to(self):
        text = self.p.refused(1, "force", "--engine", "lambda", "o")
        self.assertIn("ggfs config far.url", text)
        self.assertTrue(self.p.is_placeholder("o"))

    def test_engines_may_be_named_one_by_one(self):
        self.assertIn('"nonsense"', self.p.refused(1, "force", "--engine", "local=2", "--engine", "nonsense=3",
                                                   "o"))
        self.assertIn("twice", self.p.refused(1, "force", "--engine", "local=1", "--engine", "local=2", "o"))
        self.p.ok("force", "--engine", "local=2", "o")

    def test_capacities_that_are_no_numbers_are_refused(self):
        self.assertIn("local=x", self.p.refused(1, "force", "--engine", "local=x", "o"))

    def test_settings_that_cannot_be_used_leave_the_local_engine(self):
        self.p.ok("config", "far.url", "s3://bucket")
        self.p.ok("config", "aws.profile", "nobody-has-this")
        self.p.ok("stop")
        self.assertIn("nobody-has-this", self.p.refused(1, "force", "--engine", "lambda", "o"))
        self.p.ok("force", "o")
        with open(os.path.join(self.p.work, "o"), "rb") as f:
            self.assertEqual(f.read(), b"1\n")


class Money(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)
        self.p.placeholder("echo 1 >o")

    def test_a_dry_run_does_nothing_and_says_how_much_would_run(self):
        self.assertIn("1 functions would run", self.p.ok("force", "--dry-run", "o"))
        self.assertTrue(self.p.is_placeholder("o"))
        estimate = json.loads(self.p.ok("force", "--dry-run", "--json", "o"))
        self.assertEqual((estimate["to_run"], estimate["never_ran"], estimate["cost_usd"]), (1, 1, 0))

    def test_here_nothing_costs_and_no_budget_is_in_the_way(self):
        done = self.p.ggfs("force", "--budget", "0.000001", "o")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn(b"$", done.stdout)
        self.assertRegex(self.p.ok("cost"), r"local +1 functions \(0 failed\), \d+\.\d s, \$0\.00")

    def test_a_budget_that_is_no_amount_is_wrong_usage(self):
        for text in ("ten", "-1", "0", "1e3", ""):
            self.assertIn("dollars", self.p.refused(2, "force", "--budget=" + text, "o"))

    def test_the_cost_of_a_target_counts_what_it_is_made_of(self):
        thunk = self.p.shell_thunk("echo 1 >o")
        before = json.loads(self.p.ok("cost", "--json", thunk))
        self.assertEqual((before["known"], before["to_run"]), (0, 1))
        self.p.ok("force", thunk)
        after = json.loads(self.p.ok("cost", "--json", thunk))
        self.assertEqual((after["known"], after["to_run"]), (1, 0))
        self.assertGreater(after["spent_seconds"], 0)


if __name__ == "__main__":
    tap.main()
