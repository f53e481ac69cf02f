#!/usr/bin/python3
"""Standard streams that are full, closed or gone: said, counted as a failure, and nothing is damaged."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from place import Place, VERBS  # noqa: E402
import tap  # noqa: E402


class Streams(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)
        self.thunk = self.p.placeholder("echo 1 >o")
        self.printing = [["--help"], ["--version"], ["status"], ["why", "o"], ["describe", "o"],
                         ["graph", "o"], ["hash", "o"], ["cat", self.thunk], ["doctor"], ["init"],
                         ["status", "--json"], ["why", "--json", "o"], ["log", "--json"],
                         ["mounts", "--json"], ["retry", "o"], ["thunk", "sh", "-c", "true"],
                         ["describe", "--raw", "o"]]

    def test_a_full_standard_output_is_a_failure_that_is_told(self):
        for words in self.printing + [[verb, "--help"] for verb in VERBS]:
            with open("/dev/full", "wb") as full:
                done = self.p.ggfs(*words, stdout=full)
            self.assertEqual(done.returncode, 1, words)
            self.assertTrue(done.stderr.strip(), words)

    def closed(self, streams, *words):
        return self.p.run("sh", "-c", f'exec "$@" {streams}', "sh", "ggfs", *words)

    def test_a_closed_standard_output_is_a_failure_that_is_told(self):
        for words in self.printing:
            done = self.closed(">&-", *words)
            self.assertEqual(done.returncode, 1, words)
            self.assertTrue(done.stderr.strip(), words)

    def test_closed_streams_harm_neither_store_nor_service(self):
        self.p.ok("stop")
        for streams in ("2>&-", ">&- 2>&-", "<&- >&- 2>&-"):
            for words in (["init"], ["status"], ["force", self.p.shell_thunk(f"echo '{streams}' >o")],
                          ["force", "none"], ["why", "o"], ["log"], ["stop"], ["doctor"]):
                self.closed(streams, *words)
        self.p.ok("force", "o")
        self.assertEqual(self.p.read("o"), b"1\n")
        verdicts = {f["subject"]: f["verdict"] for f in self.p.json("doctor", "--all")}
        self.assertEqual((verdicts["blobs"], verdicts["store"]), ("ok", "ok"))

    def test_a_closed_standard_error_does_not_keep_a_verb_from_its_work(self):
        self.assertEqual(self.closed("2>&-", "force", "o").returncode, 0)
        self.assertEqual(self.p.read("o"), b"1\n")

    def test_a_reader_that_has_enough_ends_the_verb_quietly(self):
        for words in (["help"], ["cat", self.thunk], ["status", "--json"]):
            reader, writer = os.pipe()
            os.close(reader)
            try:
                done = self.p.ggfs(*words, stdout=writer, restore_signals=True)
            finally:
                os.close(writer)
            self.assertIn(done.returncode, (-13, 1))

    def test_hash_and_thunk_with_standard_input_closed_say_so(self):
        done = self.closed("<&-", "hash", "-")
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard input", done.stderr)
        # No thunks where nothing can be read is no success either.
        done = self.closed("<&-", "thunk", "--stdin")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.strip())

    def test_what_a_verb_starts_keeps_no_pipe_of_the_caller_open(self):
        self.p.ok("stop")
        done = subprocess.run(["ggfs", "status"], cwd=self.p.work, env=self.p.env, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, check=True)
        self.assertTrue(self.p.services())
        self.assertIn(b"1 lazy", done.stdout)


if __name__ == "__main__":
    tap.main()
