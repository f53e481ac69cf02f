#!/usr/bin/python3
"""Who may force: the environment, the cgroup, the lists of programs, the mount, -o hold=."""
import errno
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402
from cases import Case, read, xattr  # noqa: E402
from mounts import run  # noqa: E402


def own_cgroup():
    lines = [line.split(":", 2) for line in read("/proc/self/cgroup").decode().splitlines()]
    return ([p for n, _, p in lines if n == "0"] or [p for _, c, p in lines if c == "name=systemd"]
            or [None])[0]


class PolicyCase(Case):
    def write_list(self, name, text):
        with open(os.path.join(self.mount.store, name), "w") as f:
            f.write(text)

    def cat(self, name, program="cat", **environment):
        """Reads with a program of its own name; None when it might not."""
        done = run(program, self.p(name), check=False, env={**os.environ, **environment})
        if done.returncode:
            self.assertIn(b"deadlock", done.stderr)
            return None
        return done.stdout

    def read_and_answer(self, name, **environment):
        child = subprocess.Popen(["cat", self.p(name)], stdout=subprocess.PIPE,
                                 env={**os.environ, **environment})
        force = self.mount.event("force")
        self.mount.answer(force, b"made")
        self.assertEqual(child.communicate()[0], b"made")
        return force

    def program(self, name):
        path = os.path.join(self.mount.base, name)
        if not os.path.exists(path):
            shutil.copy(shutil.which("cat"), path)
        return path


class Forbidden(PolicyCase):
    options = ("force=off",)

    def test_a_mount_can_forbid_forcing_and_a_process_allow_it(self):
        self.mount.lazy("a")
        self.fails(errno.EDEADLK, read, self.p("a"))
        self.fails(errno.EDEADLK, os.open, self.p("a"), os.O_RDWR)
        child = subprocess.Popen(["cat", self.p("a")], stdout=subprocess.PIPE,
                                 env={**os.environ, "GGFS_FORCE": "on"})
        self.mount.answer(self.mount.event("force"), b"allowed")
        self.assertEqual(child.communicate()[0], b"allowed")

    @unittest.skipIf(own_cgroup() is None, "no cgroups here")
    def test_a_cgroup_may_be_allowed_what_the_mount_forbids(self):
        self.mount.lazy("a")
        self.write_list("cgroups", f"# mine\non {own_cgroup()}\n")
        self.read_and_answer("a")
        self.mount.lazy("b")
        self.assertIsNone(self.cat("b", GGFS_FORCE="off"))


class Allowed(PolicyCase):
    def test_a_mount_makes_the_lists_and_leaves_edited_ones_alone(self):
        for name in ("noforce", "cgroups", "allow"):
            text = read(os.path.join(self.mount.store, name))
            self.assertTrue(text.startswith(b"# "))
        self.write_list("cgroups", "# edited\n")
        self.mount.unmount()
        self.mount.start()
        self.assertEqual(read(os.path.join(self.mount.store, "cgroups")), b"# edited\n")

    @unittest.skipIf(own_cgroup() is None, "no cgroups here")
    def test_a_cgroup_on_the_list_may_not_force_and_the_reason_names_it(self):
        self.mount.lazy("a")
        self.write_list("cgroups", "off /\n")
        self.assertIsNone(self.cat("a"))
        self.assertIn("cgroup " + own_cgroup(), xattr(self.p("a"), "error"))
        self.mount.lazy_directory("d")
        self.fails(errno.EDEADLK, os.listdir, self.p("d"))
        self.read_and_answer("a", GGFS_FORCE="on")

    @unittest.skipIf(own_cgroup() is None, "no cgroups here")
    def test_a_cgroup_comes_before_the_list_of_programs(self):
        self.mount.lazy("a")
        self.write_list("noforce", "cat\n")
        self.assertIsNone(self.cat("a"))
        self.assertIn("noforce", xattr(self.p("a"), "error"))
        self.write_list("cgroups", f"on {own_cgroup()}\n")
        self.read_and_answer("a")

    def test_local_is_asked_of_the_service_and_on_is_not(self):
        for name, value, expected in (("a", "local", ["local"]), ("b", "on", [])):
            self.mount.lazy(name)
            self.assertEqual(self.read_and_answer(name, GGFS_FORCE=value)[4:], expected)


class Local(PolicyCase):
    options = ("force=local",)

    def test_a_mounts_local_is_asked_of_the_service(self):
        self.mount.lazy("a")
        self.assertEqual(self.read_and_answer("a")[4:], ["local"])


class Hold(PolicyCase):
    options = ("hold=3",)

    def test_a_program_is_held_at_n_with_a_reason_until_it_is_allowed(self):
        for i in range(6):
            self.mount.lazy(f"a{i}")
        for i in range(3):
            self.read_and_answer(f"a{i}")
        self.assertIsNone(self.cat("a3"))
        self.assertIn("ggfs allow cat", xattr(self.p("a3"), "error"))
        self.assertEqual(self.cat("a0"), b"made")
        self.assertEqual(self.mount.count("force"), 0)
        self.read_and_answer("a3", GGFS_FORCE="on")
        self.write_list("allow", "# yes\ncat\n")
        self.read_and_answer("a4")
        self.read_and_answer("a5")

    def test_what_was_made_before_is_read_by_anybody(self):
        for i in range(10):
            self.mount.lazy(f"a{i}", b"known")
        for i in range(10):
            self.assertEqual(self.cat(f"a{i}"), b"known")

    def test_other_programs_go_on_while_one_is_held(self):
        for i in range(5):
            self.mount.lazy(f"a{i}")
        for i in range(3):
            self.read_and_answer(f"a{i}")
        self.assertIsNone(self.cat("a3"))
        child = subprocess.Popen([self.program("indexer"), self.p("a4")], stdout=subprocess.PIPE)
        self.mount.answer(self.mount.event("force"), b"made")
        self.assertEqual(child.communicate()[0], b"made")

    def test_directories_count_as_files_do(self):
        for i in range(4):
            self.mount.lazy_directory(f"d{i}")
        for i in range(3):
            child = subprocess.Popen(["ls", self.p(f"d{i}")], stdout=subprocess.PIPE)
            self.mount.answer_tree(self.mount.event("force"), {"x": b"x"})
            self.assertEqual(child.communicate()[0], b"x\n")
        self.assertIn(b"deadlock", run("ls", self.p("d3"), check=False).stderr)


if __name__ == "__main__":
    tap.main()
