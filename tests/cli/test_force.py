#!/usr/bin/python3
"""ggfs force, and placeholders outside a mount: what is shown, what is replaced, how it ends."""
import os
import stat
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import place  # noqa: E402
from place import Place  # noqa: E402
import tap  # noqa: E402
from terminal import Terminal  # noqa: E402


class Showing(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)

    def test_on_a_terminal_one_line_is_rewritten_and_tells_counts_and_time(self):
        self.p.placeholder("echo be warned >&2; echo 1 >o")
        t = Terminal(self.p, "ggfs", "force", "o")
        self.assertEqual(t.end(), 0)
        self.assertRegex(t.text, rb"\r\x1b\[K\d+ queued, \d+ running, \d+ done, 0 failed, \d+\.\d s")
        self.assertIn(b"o: be warned", t.text)
        self.assertNotIn(b"made o", t.text)
        last = t.text.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")[-1]
        self.assertTrue(last.split(b"\x1b[K")[-1].startswith(b"1 ready"), t.text)

    def test_elsewhere_there_are_plain_lines(self):
        self.p.placeholder("echo be warned >&2; echo 1 >o")
        done = self.p.ggfs("force", "o")
        self.assertEqual(done.stderr, b"made o\no: be warned\n")
        self.assertRegex(done.stdout, rb"^1 ready \(0 known before\), 0 failed, \d+\.\d s\n$")

    def test_quiet_prints_warnings_and_errors_only(self):
        self.p.placeholder("echo be warned >&2; echo 1 >o")
        done = self.p.ggfs("force", "--quiet", "o")
        self.assertEqual((done.stdout, done.stderr), (b"", b"o: be warned\n"))

    def test_the_warnings_of_what_was_known_come_back_with_stderr(self):
        thunk = self.p.shell_thunk("echo be warned >&2; echo 1 >o")
        self.p.ok("force", thunk)
        self.assertNotIn(b"be warned", self.p.ggfs("force", thunk).stderr)
        self.assertIn(b"o: be warned", self.p.ggfs("force", "--stderr", thunk).stderr)

    def test_an_engine_that_there_is_not_is_refused_with_those_there_are(self):
        self.p.placeholder("echo 1 >o")
        done = self.p.ggfs("force", "--engine", "nonsense", "o")
        self.assertEqual((done.returncode, done.stdout), (1, b""))
        self.assertIn(b"nonsense", done.stderr)
        self.assertIn(b"local", done.stderr)
        self.assertTrue(self.p.is_placeholder("o"))
        self.p.ok("force", "--engine", "local", "o")

    def test_a_failure_says_which_file_why_and_where_to_read_more(self):
        self.p.placeholder("echo its own words >&2; exit 3")
        text = self.p.refused(1, "force", "o")
        for word in ("o: its own words", "o: exit status 3", "ggfs why"):
            self.assertIn(word, text)
        self.assertTrue(self.p.is_placeholder("o"))

    def test_keep_going_makes_what_does_not_need_the_failed_one(self):
        self.p.placeholder("exit 1", "bad")
        for i in range(5):
            self.p.placeholder(f"echo {i} >f{i}", f"f{i}")
        result = self.p.ggfs("force", "--json", "--keep-going", "--jobs", "1", ".")
        self.assertEqual(result.returncode, 1)
        self.assertEqual([self.p.read(f"f{i}") for i in range(5)], [b"%d\n" % i for i in range(5)])
        self.assertTrue(self.p.is_placeholder("bad"))

    def test_what_is_not_lazy_is_passed_over_and_what_is_not_there_refused(self):
        self.p.write("plain", "x")
        self.assertIn("0 ready", self.p.ok("force", "plain"))
        self.assertIn("none", self.p.refused(1, "force", "none"))
        self.assertIn("digest", self.p.refused(1, "force", "0" * 63 + "x"))
        self.assertIn("not in the store", self.p.refused(1, "force", "0" * 64))

    def test_a_damaged_placeholder_is_a_failure_that_says_so(self):
        self.p.write("o", b"#!/usr/bin/env ggfs-force\n".ljust(place.PLACEHOLDER_SIZE))
        self.assertIn("o: ", self.p.refused(1, "force", "o"))

    def test_names_that_are_not_utf8_are_forced_like_others(self):
        self.p.placeholder("echo 1 >o")
        name = os.path.join(self.p.work.encode(), b"\xff \n'")
        os.rename(self.p.path("o"), name)
        self.p.ok("force", name)
        with open(name, "rb") as f:
            self.assertEqual(f.read(), b"1\n")


class Interrupted(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)

    def test_ctrl_c_ends_with_130_and_keeps_the_placeholder(self):
        first = self.p.endless()
        second = self.p.thunk("--thunk-input", f"x={first}:o", "-o", "needs_o", "--", "sh", "-c", "cp x needs_o")
        t = Terminal(self.p, "ggfs", "force", "o", second)
        t.until(b"1 running")
        t.type(b"\x03")
        status = t.end()
        self.assertEqual(os.waitstatus_to_exitcode(status), 130)
        self.assertIn(b"interrupted", t.text)
        self.assertTrue(self.p.is_placeholder("o"))
        self.assertEqual(os.listdir(self.p.work), ["o"])
        # What has started may finish; what has not is dropped.
        self.assertEqual(self.p.state(second), "unforced")

    def test_ctrl_c_of_one_does_not_take_the_file_from_another(self):
        self.p.endless()
        other = self.p.start("ggfs", "force", "o")
        self.p.forcing("o")
        t = Terminal(self.p, "ggfs", "force", "o")
        t.until(b" s")
        t.type(b"\x03")
        self.assertEqual(os.waitstatus_to_exitcode(t.end()), 130)
        self.assertEqual(self.p.state("o"), "forcing")
        self.p.ok("cancel", "o")
        self.assertEqual(other.wait(place.DEADLINE_S), 1)


class Replacing(unittest.TestCase):
    """Outside a mount."""

    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)

    def test_the_real_file_keeps_mode_and_time_of_the_placeholder(self):
        for mode in (0o755, 0o640, 0o400):
            name = f"f{mode:o}"
            self.p.placeholder(f"echo {mode} >{name}", name, mode)
            os.utime(self.p.path(name), ns=(1_000_000_001, 1_600_000_000_123_456_789))
            self.p.ok("force", name)
            st = os.stat(self.p.path(name))
            self.assertEqual((stat.S_IMODE(st.st_mode), st.st_mtime_ns),
                             (mode, 1_600_000_000_123_456_789))
            self.assertEqual(self.p.read(name), b"%d\n" % mode)
        self.assertEqual(sorted(os.listdir(self.p.work)), ["f400", "f640", "f755"])

    def test_a_link_to_a_placeholder_stays_a_link_to_the_real_file(self):
        self.p.placeholder("echo 1 >o", "o")
        os.mkdir(self.p.path("d"))
        os.symlink("../o", self.p.path("d", "link"))
        self.p.ok("force", "d/link")
        self.assertEqual(os.readlink(self.p.path("d", "link")), "../o")
        self.assertEqual(self.p.read("o"), b"1\n")

    def test_a_file_that_took_the_placeholders_place_meanwhile_is_left_alone(self):
        # Nothing is replaced before the whole list has settled, and e keeps it from that.
        self.p.placeholder("echo 1 >o")
        self.p.endless("e")
        force = self.p.start("ggfs", "force", "--keep-going", "e", "o")
        self.p.forcing("e")
        os.unlink(self.p.path("o"))
        self.p.write("o", "mine")
        self.p.ok("cancel", "e")
        self.assertEqual(force.wait(place.DEADLINE_S), 1)
        self.assertEqual(self.p.read("o"), b"mine")

    def test_an_output_that_is_a_directory_becomes_a_directory(self):
        thunk = self.p.thunk("--output-dir", "d", "-t", "mkdir", "-p", "--", "sh", "-c",
                             "mkdir -p d/sub; echo 1 >d/sub/f; echo 2 >d/g")
        self.assertEqual(os.path.getsize(self.p.path("d")), place.PLACEHOLDER_SIZE)
        self.p.ok("force", "d")
        self.assertEqual((self.p.read("d/sub/f"), self.p.read("d/g")), (b"1\n", b"2\n"))
        self.assertEqual(os.listdir(self.p.work), ["d"])
        self.assertEqual(self.p.state(thunk), "ready")

    def test_a_directory_where_nothing_can_be_written_says_so_and_keeps_the_placeholder(self):
        self.p.placeholder("echo 1 >o", "o")
        script = 'cd "$1" && exec ggfs force o'
        if os.geteuid() == 0:  # whom a mode does not keep from writing
            script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && ' + script
            done = self.p.run("unshare", "--mount", "sh", "-c", script, "sh", self.p.work)
        else:
            os.chmod(self.p.work, 0o500)
            self.addCleanup(os.chmod, self.p.work, 0o700)
            done = self.p.run("sh", "-c", script, "sh", self.p.work)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot create", done.stderr)
        self.assertTrue(self.p.is_placeholder("o"))
        self.assertEqual(self.p.state("o"), "ready")


class Executing(unittest.TestCase):
    """Outside a mount a placeholder is a program that makes itself and runs."""

    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)

    SCRIPT = "{ echo '#!/bin/sh'; echo 'echo \"got $# $2\"; cat; exit 5'; } >o"

    def test_it_is_made_and_run_with_arguments_input_and_exit_code(self):
        self.p.placeholder(self.SCRIPT)
        done = self.p.run("./o", "a", "b c", input=b"from stdin")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (5, b"got 2 b c\nfrom stdin", b""))
        self.assertTrue(self.p.is_placeholder("o"))

    def test_a_binary_runs_too(self):
        self.p.thunk("-p", "-i", "in=/bin/echo", "-t", "cp", "-o", "prog", "--", "cp", "in", "prog")
        self.assertEqual(self.p.run("./prog", "hello", "there").stdout, b"hello there\n")

    def test_one_that_cannot_be_made_says_why_and_ends_with_126(self):
        self.p.placeholder("echo words >&2; exit 3")
        done = self.p.run("./o")
        self.assertEqual(done.returncode, 126)
        self.assertIn(b"exit status 3", done.stderr)

    def test_ggfs_force_by_hand_refuses_what_is_no_placeholder(self):
        self.p.write("plain", "x")
        self.assertEqual(self.p.run("ggfs-force").returncode, 2)
        for name in ("plain", "none"):
            done = self.p.run("ggfs-force", name)
            self.assertEqual(done.returncode, 126)
            self.assertIn(name.encode(), done.stderr)


if __name__ == "__main__":
    tap.main()
