#!/usr/bin/python3
"""Damage that is met later: in a mount, in the index, in what a function answers; things past
their limits."""
import os
import sqlite3
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from damaged import (DamagedPlace, FIRST_LINE, PLACEHOLDER_SIZE, digest,  # noqa: E402
                     why_no_mount)
import tap  # noqa: E402


class Case(unittest.TestCase):
    def setUp(self):
        self.p = DamagedPlace()
        self.addCleanup(self.p.close)


@unittest.skipIf(why_no_mount(), why_no_mount())
class InAMount(Case):
    """The bytes of a ready file are spoilt behind ggfs's back."""

    def ready(self):
        p = self.p
        p.placeholder("echo result >o")
        p.placeholder("echo other >other", "other")
        p.mount()
        self.assertEqual(b"result\n", p.read("o"))
        self.assertEqual(b"other\n", p.read("other"))
        p.umount()
        p.ok("stop")

    def test_an_object_that_is_gone_is_made_again(self):
        self.ready()
        p = self.p
        os.unlink(p.object(digest(b"result\n")))
        p.mount()
        self.assertEqual(b"result\n", p.read("o"))
        self.assertEqual(b"other\n", p.read("other"))

    def test_a_truncated_object_is_made_again_and_not_shown_short(self):
        self.ready()
        p = self.p
        p.damage(digest(b"result\n"), b"res")
        p.mount()
        self.assertEqual(b"result\n", p.read("o"))
        self.assertEqual(b"other\n", p.read("other"))


class Oversized(Case):
    def test_a_manifest_past_its_limit_is_refused_unread(self):
        p = self.p
        p.ok("init")
        spare = os.path.join(p.base, "sparse")
        size = (256 << 20) + 1
        with open(spare, "wb") as f:
            f.truncate(size)
        name = "ab" * 32  # whose bytes nobody hashes: the size is refused first
        os.makedirs(os.path.dirname(p.object(name)), exist_ok=True)
        os.rename(spare, p.object(name))
        thunk = p.put_thunk("program usr/bin/sh", "arg sh", f"inputs {name} {size}",
                            "output file o", "timeout 9")
        said = p.refused(1, "force", thunk)
        self.assertIn(name[:12], said)
        self.assertRegex(said, "large|more than|limit")
        p.still_works()

    def test_a_placeholder_with_more_after_its_ref_is_damaged_and_left_alone(self):
        p = self.p
        p.placeholder("echo x >o")
        text = p.read("o").rstrip() + b"\nthunk " + b"00" * 32 + b" o\n"
        text += b" " * (PLACEHOLDER_SIZE - 1 - len(text)) + b"\n"
        p.write("o", text)
        said = p.refused(1, "force", "o")
        self.assertRegex(said, "placeholder|damaged")
        self.assertEqual(text, p.read("o"))
        p.still_works()

    def test_a_longer_file_that_begins_as_a_placeholder_is_an_ordinary_one(self):
        p = self.p
        text = FIRST_LINE + b"ggfs-placeholder 1\n" + b"x" * (1 << 20)
        p.write("o", text)
        p.ggfs("force", "o")
        self.assertEqual(text, p.read("o"))
        p.still_works()


class Indexes(Case):
    def path(self):
        return os.path.join(self.p.store, "index.sqlite")

    def test_a_truncated_one_is_built_anew_and_no_result_is_lost(self):
        p = self.p
        p.ok("force", p.placeholder("echo x >o"))
        p.ok("stop")
        with open(self.path(), "r+b") as f:
            f.truncate(os.path.getsize(self.path()) // 2)
        p.ok("force", "o")
        self.assertEqual(b"x\n", p.read("o"))
        p.still_works()

    def test_a_newer_one_is_refused_by_name_and_left_alone(self):
        p = self.p
        p.ok("force", p.placeholder("echo x >o"))
        p.ok("stop")
        with sqlite3.connect(self.path()) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute("PRAGMA user_version = 99")
        db.close()
        said = p.refused(1, "force", "o")
        self.assertIn("newer", said)
        self.assertIn(p.store, said)
        with sqlite3.connect(self.path()) as db:
            self.assertEqual(99, db.execute("PRAGMA user_version").fetchone()[0])
            db.execute(f"PRAGMA user_version = {version}")
        db.close()
        p.still_works()


class Answers(Case):
    """What a function leaves where its output should be."""

    def refused(self, script, *options, output="o"):
        thunk = self.p.shell_thunk(script, "--tool", "ln", "--tool", "mkdir", *options,
                                   output=output)
        said = self.p.refused(1, "force", thunk)
        self.assertIn(output, said)
        self.p.still_works()
        return said

    def test_a_link_out_of_its_world_is_no_output(self):
        self.refused("ln -s /etc/passwd o")

    def test_a_link_in_the_way_of_an_output_is_not_followed(self):
        self.refused("rm -rf d; ln -s /etc d", "--tool", "rm", output="d/passwd")

    def test_a_directory_is_no_file(self):
        self.refused("mkdir o")


if __name__ == "__main__":
    tap.main()
