#!/usr/bin/python3
"""A mount that answers nothing keeps no verb from its work elsewhere."""
import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import place  # noqa: E402
from place import Place, why_no_mount  # noqa: E402
import tap  # noqa: E402


@unittest.skipIf(why_no_mount(), why_no_mount())
class Wedged(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)
        self.elsewhere = os.path.join(self.p.base, "elsewhere")
        os.mkdir(self.elsewhere)
        self.p.placeholder("echo 1 >o")
        os.rename(self.p.path("o"), os.path.join(self.elsewhere, "o"))
        self.p.placeholder("echo 2 >lazy", "lazy")
        self.p.mount()
        [mount] = self.p.mounts()
        self.pid = mount["pid"]
        os.kill(self.pid, signal.SIGSTOP)
        self.addCleanup(self.go_on)

    def go_on(self):
        try:
            os.kill(self.pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    # Each ends by itself: Place.run() fails one that does not.
    def away(self, *words):
        return self.p.ok(*words, cwd=self.elsewhere)

    def test_all_verbs_go_on_elsewhere(self):
        self.assertIn(self.p.work, self.away("mounts"))
        self.assertIn("1 not made yet", self.away("status"))
        self.assertIn("unforced", self.away("why", "o"))
        for words in (["describe", "o"], ["graph", "o"], ["log"], ["doctor"], ["retry", "o"], ["hash", "o"],
                      ["init"], ["cancel", "--all"], ["force", "o"], ["thunk", "-o", "x", "sh", "-c", "true"]):
            self.away(*words)

    def test_status_of_a_directory_above_passes_the_mount_over(self):
        self.assertIn("1 not made yet", self.p.ok("status", "elsewhere", cwd=self.p.base))

    def test_the_service_stops_and_comes_back(self):
        self.assertIn("stopped", self.away("stop"))
        self.away("force", "o")

    def test_another_mount_of_the_same_store_works(self):
        self.away("mount", self.elsewhere)
        with open(os.path.join(self.elsewhere, "o"), "rb") as f:
            self.assertEqual(f.read(), b"1\n")
        self.away_from_mount("umount", self.elsewhere)

    def away_from_mount(self, *words):
        return self.p.ok(*words, cwd=self.p.base)

    def test_mounting_it_again_says_that_it_does_not_answer(self):
        text = self.p.refused(1, "mount", self.p.work, cwd=self.p.base)
        self.assertIn("does not answer", text)
        self.assertIn("--lazy", text)

    def test_umount_lazy_detaches_it_at_once(self):
        self.away("umount", "--lazy", self.p.work)
        self.assertEqual(self.p.mounts(), [])
        self.assertTrue(self.p.is_placeholder("lazy"))

    def test_after_sigcont_it_is_as_before(self):
        self.go_on()
        self.assertEqual(self.p.read("lazy"), b"2\n")
        self.assertEqual(place.wait_for(lambda: self.p.state("lazy")), "ready")


if __name__ == "__main__":
    tap.main()
