#!/usr/bin/python3
"""Stores and directories that ggfs must not take, and many that come at once."""
import errno
import os
import shutil
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from damaged import DamagedPlace, why_no_mount  # noqa: E402
import tap  # noqa: E402

NOBODY = 65534


class Case(unittest.TestCase):
    def setUp(self):
        self.p = DamagedPlace()
        self.addCleanup(self.p.close)


class Stores(Case):
    def test_eight_verbs_at_once_on_a_new_store_share_one_service(self):
        p = self.p
        verbs = [p.start("ggfs", "status", ".") for _ in range(8)]
        self.assertEqual([0] * 8, [v.wait(60) for v in verbs])
        self.assertEqual(1, len(p.services()))

    def test_a_newer_one_is_refused_and_left_alone(self):
        p = self.p
        p.ok("init")
        path = os.path.join(p.store, "format")
        os.chmod(path, 0o644)
        with open(path, "w", encoding="ascii") as f:
            f.write("ggfs-store 99\n")
        said = p.refused(1, "status", ".")
        self.assertIn("newer", said)
        self.assertIn(p.store, said)
        with open(path, encoding="ascii") as f:
            self.assertEqual("ggfs-store 99\n", f.read())

    @unittest.skipIf(os.geteuid() != 0, "only root can give a store to somebody else")
    def test_somebody_elses_is_refused(self):
        p = self.p
        p.ok("init")
        os.chown(p.store, NOBODY, NOBODY)
        said = p.refused(1, "status", ".")
        self.assertIn(p.store, said)
        os.chown(p.store, 0, 0)
        p.still_works()

    def test_a_directory_with_other_things_is_no_store(self):
        p = self.p
        os.mkdir(p.store)
        with open(os.path.join(p.store, "letters"), "w", encoding="ascii") as f:
            f.write("dear")
        said = p.refused(1, "init")
        self.assertIn(p.store, said)
        self.assertEqual(["letters"], os.listdir(p.store))


class Mounts(Case):
    def mount(self, directory):
        return self.p.refused(1, "mount", directory, cwd=self.p.base)

    def test_a_missing_directory_is_named(self):
        self.assertIn("missing", self.mount("missing"))

    def test_a_file_is_no_directory(self):
        self.p.write("file", "x")
        self.assertIn("directory", self.mount(self.p.path("file")))

    @unittest.skipIf(why_no_mount(), why_no_mount())
    def test_a_mounted_one_is_told_to_be_so_and_stays(self):
        p = self.p
        p.placeholder("echo x >o")
        p.mount()
        self.assertIn("mounted", self.mount(p.work))
        self.assertEqual(1, len(p.mounts()))
        self.assertEqual(b"x\n", p.read("o"))

    @unittest.skipIf(why_no_mount(), why_no_mount())
    def test_what_is_no_mount_is_not_unmounted(self):
        p = self.p
        self.assertIn("not a mount", p.refused(1, "umount", p.work, cwd=p.base))
        self.assertIn("not a mount", p.refused(1, "umount", "/proc", cwd=p.base))

    @unittest.skipIf(why_no_mount(), why_no_mount())
    def test_a_program_that_only_looks_makes_nothing_until_it_is_taken_off_the_list(self):
        p = self.p
        p.placeholder("echo x >o")
        p.mount()
        looker = os.path.join(p.base, "clamd")
        shutil.copy(shutil.which("cat"), looker)
        refused = p.run(looker, "o")
        self.assertNotEqual(0, refused.returncode)
        self.assertIn(os.strerror(errno.EDEADLK).encode(), refused.stderr)
        self.assertEqual(0, p.functions_run())
        allowed = p.run(looker, "o", env=dict(p.env, GGFS_FORCE="on"))
        self.assertEqual(b"x\n", allowed.stdout)
        p.placeholder("echo y >p", "p")
        with open(os.path.join(p.store, "noforce"), "w", encoding="ascii"):
            pass
        self.assertEqual(b"y\n", p.run(looker, "p").stdout)

    @unittest.skipIf(os.geteuid() != 0, "only root can become somebody else")
    def test_without_access_to_the_device_it_is_said_what_to_do(self):
        p = self.p
        if stat.S_IMODE(os.stat("/dev/fuse").st_mode) & 0o006:
            self.skipTest("/dev/fuse is open to all here")
        home = os.path.join(p.base, "home")
        os.makedirs(os.path.join(home, "work"))
        for path in (home, os.path.join(home, "work")):
            os.chown(path, NOBODY, NOBODY)
        os.chmod(p.base, 0o755)
        env = dict(p.env, HOME=home, GGFS_STORE=os.path.join(home, "store"))
        p.stores.append(env["GGFS_STORE"])
        p.write("file", "x")
        for directory, reason in ((os.path.join(home, "work"), b"/dev/fuse"),
                                  (p.path("file"), b"directory"),  # what the device can not mend
                                  (p.path("missing"), b"missing")):
            done = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY),
                                   "--clear-groups", "ggfs", "mount", directory],
                                  env=env, cwd="/", stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, check=False, timeout=60)
            self.assertEqual(1, done.returncode)
            self.assertIn(reason, done.stderr)
        subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
                        "ggfs", "stop"], env=env, cwd="/", stdout=subprocess.DEVNULL, check=False,
                       timeout=60)


if __name__ == "__main__":
    tap.main()
