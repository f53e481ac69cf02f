#!/usr/bin/python3
"""Mounting and unmounting: what is refused and why, ordinary users, what is listed."""
import errno
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402
from mounts import DRIVER, Mount, run  # noqa: E402

USER = 65534


def refused(*argv, prefix=()):
    """Runs the driver, which must fail; its errno and message."""
    done = run(*prefix, DRIVER, *argv, check=False, stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        raise AssertionError("it was not refused")
    code, _, text = done.stderr.decode().strip().partition(" ")
    return int(code), text


class Refusals(unittest.TestCase):
    def setUp(self):
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="ggfs-mount-"))
        self.addCleanup(shutil.rmtree, self.base)
        self.store = os.path.join(self.base, "store")

    def test_a_missing_directory_is_enoent_and_a_file_enotdir(self):
        code, text = refused(os.path.join(self.base, "none"), self.store)
        self.assertEqual(code, errno.ENOENT)
        self.assertIn("none", text)
        path = os.path.join(self.base, "file")
        open(path, "w").close()
        self.assertEqual(refused(path, self.store)[0], errno.ENOTDIR)

    def test_a_store_inside_of_the_mount_is_refused(self):
        code, text = refused(self.base, self.store)
        self.assertEqual(code, errno.EINVAL)
        self.assertIn("inside", text)

    def test_what_is_not_a_mount_of_ours_is_not_unmounted(self):
        for directory in (self.base, "/proc", os.path.join(self.base, "none")):
            self.assertEqual(refused("--unmount", directory)[0], errno.EINVAL)

    def test_a_store_of_somebody_else_is_refused(self):
        if os.getuid() != 0:
            self.skipTest("needs root to give the store away")
        os.mkdir(self.store, 0o777)
        os.chown(self.store, USER, USER)
        directory = os.path.join(self.base, "tree")
        os.mkdir(directory)
        self.assertEqual(refused(directory, self.store)[0], errno.EPERM)


class Life(unittest.TestCase):
    def test_a_mounted_directory_is_not_mounted_again(self):
        with Mount() as m:
            code, text = refused(m.directory, m.store)
            self.assertEqual(code, errno.EBUSY)
            self.assertIn("already mounted", text)
            os.mkdir(m.path("d"))

    def test_mounts_are_listed_with_store_and_process_also_with_odd_names(self):
        base = tempfile.mkdtemp(prefix="ggfs-mount-a b,c\\d-")
        with Mount(base=base) as m:
            m.lazy("a", b"x")
            with open(m.path("a"), "rb") as f:
                self.assertEqual(f.read(), b"x")
            line = [f for f in (l.split("\t") for l in run(DRIVER, "--list").stdout.decode()
                                .splitlines()) if f[0] == m.directory]
            self.assertEqual(line, [[m.directory, m.store, str(m.process.pid), "0"]])
        shutil.rmtree(base)

    def test_unmounting_in_use_is_ebusy_and_lazily_possible(self):
        with Mount() as m:
            with open(m.path("a"), "wb") as f:
                f.write(b"x")
                code, _ = refused("--unmount", m.directory)
                self.assertEqual(code, errno.EBUSY)
                run(DRIVER, "--unmount", m.directory, "--lazy")
                f.write(b"y")
            m.ended()
            with open(m.path("a"), "rb") as f:
                self.assertEqual(f.read(), b"xy")

    def test_terminating_the_process_unmounts(self):
        with Mount() as m:
            m.process.terminate()
            m.ended()
            self.assertNotIn(m.directory, run(DRIVER, "--list").stdout.decode())

    def test_names_made_while_unmounted_are_seen_by_the_next_mount(self):
        with Mount() as m:
            self.assertFalse(os.path.exists(m.path("a")))
            m.unmount()
            open(m.path("a"), "w").close()
            m.start()
            self.assertTrue(os.path.exists(m.path("a")))

    def test_more_files_than_descriptors_are_seen_and_stay_what_they_are(self):
        with Mount(prefix=("prlimit", "--nofile=1000:1000")) as m:
            names = [f"d{i % 40}/f{i}" for i in range(4000)]
            for i in range(40):
                os.mkdir(m.path(f"d{i}"))
            for name in names:
                with open(m.path(name), "w") as f:
                    f.write(name)
            held = open(m.path(names[7]))
            for _ in range(2):
                self.assertEqual({os.stat(m.path(n)).st_size for n in names},
                                 {len(n) for n in names})
            for name in names:
                with open(m.path(name)) as f:
                    self.assertEqual(f.read(), name)
            self.assertEqual(held.read(), names[7])
            held.close()


    def test_mounting_straight_after_a_kill_waits_for_the_killed_one(self):
        with Mount() as m:
            with open(m.path("a"), "w") as f:
                f.write("x")
            for _ in range(20):
                killed = m.process
                killed.kill()  # and not waited for: it may be dying for a while
                m.start()
                killed.wait()
                killed.stdout.close()
                with open(m.path("a")) as f:
                    self.assertEqual(f.read(), "x")

    @unittest.skipIf(tuple(int(n) for n in os.uname().release.split(".")[:2]) < (6, 18),
                     "before Linux 6.18 the kernel is asked for one name at a time")
    def test_one_directory_with_more_files_than_descriptors_is_scanned_whole(self):
        with Mount(prefix=("prlimit", "--nofile=300:300")) as m:
            for i in range(3000):
                os.close(os.open(m.path(f"f{i}"), os.O_CREAT | os.O_WRONLY))
            for _ in range(3):
                self.assertEqual({os.stat(m.path(f"f{i}")).st_size for i in range(3000)}, {0})
            self.assertEqual(len(run("ls", "-l", m.directory).stdout.splitlines()), 3001)
            fds = len(os.listdir(f"/proc/{m.process.pid}/fd"))
            self.assertLess(fds, 300)


def as_user(*more):
    """Runs what follows as an ordinary user, in a mount namespace with a /dev/fuse open to all."""
    script = ("set -e; mount --make-rprivate /; mount -t tmpfs none /mnt; mknod /mnt/fuse c 10 229; "
              "chmod 666 /mnt/fuse; mount --bind /mnt/fuse /dev/fuse; "
              f"exec setpriv --reuid {USER} --regid {USER} --clear-groups " + " ".join(more) +
              ' "$@"')
    return ("unshare", "-m", "sh", "-c", script, "sh")


@unittest.skipIf(os.getuid() != 0, "root makes the ordinary user here")
class OrdinaryUser(unittest.TestCase):
    """The mount lives in a namespace of its own, and so do the commands that look into it."""

    def setUp(self):
        base = tempfile.mkdtemp(prefix="ggfs-mount-")
        os.chown(base, USER, USER)
        self.mount = Mount(base=base, prefix=as_user(), start=False)
        os.chown(self.mount.directory, USER, USER)
        self.addCleanup(shutil.rmtree, base)
        self.mount.start()
        self.addCleanup(self.mount.close)

    def run_inside(self, script, *argv, user=USER, check=True):
        return run("nsenter", "-t", str(self.mount.process.pid), "-m", "setpriv", "--reuid",
                   str(user), "--regid", str(user), "--clear-groups", "sh", "-ec", script, "sh",
                   self.mount.directory, *argv, check=check)

    def lazy(self, name, content):
        thunk = self.mount.thunk()
        from mounts import placeholder
        source = os.path.join(self.mount.base, "placeholder")
        with open(source, "wb") as f:
            f.write(placeholder(f"thunk {thunk} {name}"))
        os.chmod(source, 0o755)
        self.run_inside('cp "$2" "$1/$3"', source, name)
        self.mount.ready(thunk, content)

    def test_ordinary_files_work_and_are_the_users(self):
        self.run_inside('cd "$1"; mkdir d; echo one > d/a; echo two >> d/a; ln d/a d/b; '
                        'mv d/b d/c; ln -s a d/l; chmod 600 d/c; rm d/l; cp -a /usr/include/linux .; '
                        'diff -r linux /usr/include/linux; [ "$(cat d/c)" = "one\ntwo" ]')
        st = os.stat(os.path.join(self.mount.directory, "d/c"))  # the backing file, from outside
        self.assertEqual((st.st_uid, stat.S_IMODE(st.st_mode)), (USER, 0o600))

    def test_nobody_else_gets_in_not_even_root(self):
        self.assertNotEqual(self.run_inside('ls "$1"', user=0, check=False).returncode, 0)

    def test_a_forced_program_of_any_size_is_executed(self):
        with open(shutil.which("bash"), "rb") as f:
            self.lazy("prog", f.read())
        done = self.run_inside('"$1/prog" -c "echo ran"')
        self.assertEqual(done.stdout, b"ran\n")

    def test_lazy_files_are_read_mapped_and_written(self):
        content = os.urandom(200_000)
        self.lazy("a", content)
        self.run_inside('cp "$1/a" "$1/copy"; cmp "$1/a" "$1/copy"; printf X >> "$1/a"')
        with open(os.path.join(self.mount.directory, "a"), "rb") as f:
            self.assertEqual(f.read(), content + b"X")

    def test_fusermount_unmounts(self):
        run("nsenter", "-t", str(self.mount.process.pid), "-m", "setpriv", "--reuid", str(USER),
            "--regid", str(USER), "--clear-groups", DRIVER, "--unmount", self.mount.directory)
        self.mount.ended()


@unittest.skipIf(os.getuid() != 0, "root makes the ordinary user here")
class ClosedDevice(unittest.TestCase):
    def test_a_device_closed_to_the_user_is_eacces_and_the_text_says_what_to_do(self):
        if stat.S_IMODE(os.stat("/dev/fuse").st_mode) & 0o006:
            self.skipTest("/dev/fuse is open to all here")
        base = tempfile.mkdtemp(prefix="ggfs-mount-")
        self.addCleanup(shutil.rmtree, base)
        os.chown(base, USER, USER)
        prefix = ("setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups")
        code, text = refused(base, os.path.join("/tmp", "store-not-made"), prefix=prefix)
        self.assertEqual(code, errno.EACCES)
        self.assertIn("chmod 0666 /dev/fuse", text)


@unittest.skipIf(os.getuid() != 0, "only root mounts for others")
class ForOthers(unittest.TestCase):
    def setUp(self):
        self.mount = Mount("allow-other")
        self.addCleanup(self.mount.close)
        os.chmod(self.mount.base, 0o755)
        os.chmod(self.mount.directory, 0o777)

    def as_user(self, script, user=USER, check=True):
        return run("setpriv", "--reuid", str(user), "--regid", str(user), "--clear-groups", "sh",
                   "-ec", script, "sh", self.mount.directory, check=check)

    def test_what_others_create_is_theirs_under_their_umask(self):
        self.as_user('cd "$1"; umask 027; echo x > a; mkdir d; ln -s a l; mkfifo f')
        for name, mode in (("a", 0o640), ("d", 0o750), ("f", 0o640)):
            st = os.lstat(self.mount.path(name))
            self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (USER, USER, mode))
        self.assertEqual(os.lstat(self.mount.path("l")).st_uid, USER)

    def test_modes_keep_others_out(self):
        with open(self.mount.path("secret"), "w") as f:
            f.write("x")
        os.chmod(self.mount.path("secret"), 0o600)
        os.mkdir(self.mount.path("closed"), 0o700)
        self.assertNotEqual(self.as_user('cat "$1/secret"', check=False).returncode, 0)
        self.assertNotEqual(self.as_user('echo y > "$1/closed/a"', check=False).returncode, 0)
        self.assertNotEqual(self.as_user('chmod 666 "$1/secret"', check=False).returncode, 0)

    def test_a_directory_with_its_group_bit_hands_its_group_on(self):
        os.mkdir(self.mount.path("d"))
        os.chown(self.mount.path("d"), 0, 1234)
        os.chmod(self.mount.path("d"), 0o2777)
        self.as_user('echo x > "$1/d/a"')
        self.assertEqual(os.stat(self.mount.path("d/a")).st_gid, 1234)

    def test_writing_takes_set_user_id_away(self):
        path = self.mount.path("s")
        with open(path, "w") as f:
            f.write("x")
        os.chmod(path, 0o4777)
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o4777)
        self.as_user('echo y >> "$1/s"')
        self.assertEqual(stat.S_IMODE(os.stat(self.mount.path("s")).st_mode) & 0o4000, 0)

    def test_default_acls_are_inherited_and_grant_what_modes_do_not(self):
        everybody, user, group, mask, others = 1, 2, 4, 16, 32
        none = 0xffffffff
        acl = struct.pack("<I", 2) + b"".join(
            struct.pack("<HHI", *entry) for entry in
            ((everybody, 7, none), (user, 7, USER), (group, 0, none), (mask, 7, none),
             (others, 0, none)))
        os.mkdir(self.mount.path("d"))
        try:
            os.setxattr(self.mount.path("d"), "system.posix_acl_default", acl)
        except OSError as e:
            self.skipTest(f"the backing filesystem has no ACLs: {e}")
        os.chmod(self.mount.path("d"), 0o755)
        with open(self.mount.path("d/a"), "w") as f:
            f.write("x")
        self.as_user('echo y >> "$1/d/a"')
        self.assertNotEqual(self.as_user('echo z >> "$1/d/a"', user=USER - 1, check=False)
                            .returncode, 0)


if __name__ == "__main__":
    tap.main()
