#!/usr/bin/python3
"""Processes killed at unlucky moments, again and again; services that start at the same instant."""
import contextlib
import errno
import os
import select
import signal
import stat
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from damaged import PLACEHOLDER_SIZE, DamagedPlace, digest, wait_for, why_no_mount  # noqa: E402
import tap  # noqa: E402

ROUNDS = 4  # so that not each of them can be lucky
DEADLINE_S = 60


class Case(unittest.TestCase):
    def setUp(self):
        self.p = DamagedPlace()
        self.addCleanup(self.p.close)

    def kill(self, pids):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def functions(self):
        return [pid for pid, words in self.p.processes() if b"ggfs-runner" in words]

    def objects_are_whole(self):
        """Each object has the bytes that its name says."""
        top = os.path.join(self.p.store, "objects")
        for directory, _, names in os.walk(top):
            for name in names:
                with open(os.path.join(directory, name), "rb") as f:
                    self.assertEqual(os.path.basename(directory) + name, digest(f.read()))


class Services(Case):
    def test_the_functions_of_a_killed_one_end_with_it(self):
        p = self.p
        p.endless("o")
        force = p.start("ggfs", "force", "o")
        p.forcing("o")
        functions = wait_for(self.functions, "a runner")
        force.kill()
        force.wait()
        self.kill(p.services())
        wait_for(lambda: not set(functions) & set(self.functions()), "the end of the functions")
        self.assertEqual("unforced", p.state("o"))
        p.still_works()

    def is_putting(self, pid):
        """Whether the service has a file of the store open that has no name yet."""
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith(self.p.store) and (target.endswith(" (deleted)")
                                                        or "/tmp/" in target[len(self.p.store):]):
                    return True
        return False

    def test_killed_in_the_middle_of_puts_they_leave_whole_objects_or_none(self):
        p = self.p
        p.ok("init")
        hits = 0
        for i in range(ROUNDS):
            p.write("big", os.urandom(32 << 20))
            putting = p.start("ggfs", "thunk", "--input", "big", "--output", f"o{i}", "--tool",
                              "cp", "--", "cp", "big", f"o{i}")
            hit = wait_for(lambda: [pid for pid in p.services() if self.is_putting(pid)]
                           or putting.poll() is not None and "over", "a put")
            if hit != "over":
                self.kill(hit)
                hits += 1
            self.assertEqual(0, putting.wait(DEADLINE_S))
        self.assertGreater(hits, 0)
        self.objects_are_whole()
        p.still_works()
        self.assertEqual([], os.listdir(os.path.join(p.store, "tmp")))

    def test_of_two_started_at_the_same_instant_one_serves_and_the_other_says_why_not(self):
        p = self.p
        p.ok("init")
        p.ok("stop")
        wait_for(lambda: not p.services(), "the end of the service")
        said = os.path.join(p.base, "said")
        with open(said, "wb") as out:
            two = [p.start("ggfs", "service", "--store", p.store, stderr=out) for _ in range(2)]
        wait_for(lambda: any(s.poll() is not None for s in two), "the end of one of them")
        p.still_works()
        self.assertEqual(1, len(p.services()))
        loser = next(s for s in two if s.poll() is not None)
        self.assertEqual(1, loser.returncode)
        with open(said, encoding="utf-8") as f:
            text = f.read()
        self.assertIn(p.store, text)
        self.assertRegex(text, "another|already")

    def test_verbs_that_write_on_a_store_that_is_not_there_yet_all_succeed(self):
        p = self.p
        verbs = [p.start("ggfs", "thunk", "--output", f"o{i}", "--placeholders", "--", "sh", "-c",
                         f"echo {i} >o{i}") for i in range(12)]
        self.assertEqual([0] * 12, [v.wait(DEADLINE_S) for v in verbs])
        self.assertEqual(1, len(p.services()))
        p.ok("force", ".")
        self.assertEqual([b"%d\n" % i for i in range(12)], [p.read(f"o{i}") for i in range(12)])

    def test_one_killed_again_and_again_in_an_infer_costs_no_step(self):
        if why_no_mount():
            self.skipTest(why_no_mount())
        p = self.p
        for i in range(30):
            p.write(f"x{i}.c", f"int f{i}(void) {{ return {i}; }}\n")
        p.write("main.c", "int f29(void);\nint main(void) { return f29(); }\n")
        p.write("Makefile", "prog: $(patsubst %.c,%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n")
        p.mount()
        build = p.start("ggfs", "infer", "-q", "make", "-j2")
        made = 0
        while build.poll() is None:
            now = sum(name.endswith(".o") for name in os.listdir(p.work))
            if now >= made + 6:
                self.kill(p.services())
                made = now
        self.assertGreater(made, 0)
        self.assertEqual(0, build.returncode)
        self.assertEqual(29, p.run("./prog").returncode)


@unittest.skipIf(why_no_mount(), why_no_mount())
class Mounts(Case):
    SIZE = 64 << 20

    def mount_pid(self):
        return self.p.mounts()[0]["pid"]

    def crash(self, pid=None):
        """Kills the mount process, and waits until it is no more."""
        pid = pid or self.mount_pid()
        process = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        self.assertTrue(select.select([process], [], [], DEADLINE_S)[0])
        os.close(process)

    def backing_state(self, backing):
        """(size, an intent is noted) of the file beneath the mount."""
        with contextlib.suppress(FileNotFoundError):
            noted = any(stat.S_ISDIR(os.stat(name, dir_fd=backing).st_mode)
                        for name in os.listdir(backing))
            return os.stat("big", dir_fd=backing).st_size, noted
        return None, False

    def lazy_again(self, text):
        """A new placeholder in the file's place."""
        with open(self.p.path("new"), "wb") as f:
            f.write(text)
        os.rename(self.p.path("new"), self.p.path("big"))
        return os.stat(self.p.path("big")).st_ino

    def kill_in_a_copy(self, backing):
        """Writes into the lazy file, and kills the mount once it is being copied. True when the
        copy was then half made."""
        pid = self.mount_pid()
        writer = self.p.start("sh", "-c", "printf X >>big")
        wait_for(lambda: self.backing_state(backing)[0] != PLACEHOLDER_SIZE, "the copy")
        self.crash(pid)
        writer.wait(DEADLINE_S)
        size, noted = self.backing_state(backing)
        return noted and size < self.SIZE

    def test_killed_in_a_write_to_a_lazy_file_it_holds_the_old_bytes_or_the_new(self):
        p = self.p
        p.thunk("--output", "big", "--tool", "head", "--placeholders", "--", "sh", "-c",
                f"head -c {self.SIZE} /dev/zero >big")
        os.chmod(p.path("big"), 0o644)
        text = p.read("big")
        p.write("ordinary", "kept\n")
        p.ok("force", self.p.json("describe", "big")[0]["thunk"])
        backing = os.open(p.work, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, backing)
        p.mount()
        torn = 0
        until = time.monotonic() + DEADLINE_S
        while torn < ROUNDS and time.monotonic() < until:
            inode = self.lazy_again(text)
            torn += self.kill_in_a_copy(backing)
            p.mount()
            self.assertIn(p.read("big"), (bytes(self.SIZE), bytes(self.SIZE) + b"X"))
            self.assertEqual(inode, os.stat(p.path("big")).st_ino)
            self.assertEqual(b"kept\n", p.read("ordinary"))
            self.assertEqual(["big", "ordinary"], sorted(os.listdir(p.work)))
        self.assertGreater(torn, 0, "no kill came in the middle of a copy")
        p.umount()
        self.assertEqual(["big", "ordinary"], sorted(os.listdir(p.work)))

    def test_killed_under_waiting_readers_they_end_and_nothing_is_computed_twice(self):
        p = self.p
        p.placeholder("sleep 0.5; echo made >o")
        p.mount()
        readers = [p.start("cat", "o") for _ in range(8)]
        p.forcing("o")
        self.crash()
        for reader in readers:
            self.assertNotEqual(0, reader.wait(DEADLINE_S))
        p.mount()
        self.assertEqual(b"made\n", p.read("o"))
        self.assertEqual(1, p.functions_run())

    def test_every_verb_works_while_one_is_stale(self):
        p = self.p
        p.placeholder("echo made >o")
        p.mount()
        thunk = os.getxattr(p.path("o"), "user.ggfs.thunk").decode()
        self.crash()
        p.ok("force", thunk, cwd=p.base)
        p.ok("log", cwd=p.base)
        p.ok("umount", p.work, cwd=p.base)
        self.assertTrue(p.is_placeholder("o"))
        p.ok("force", "o")
        self.assertEqual(b"made\n", p.read("o"))

    def test_with_a_full_store_a_read_is_enospc_with_the_reason_and_then_succeeds(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount a small disk")
        p = self.p
        p.ok("init")
        p.ok("stop")
        wait_for(lambda: not p.services(), "the end of the service")
        disk = os.path.join(p.base, "disk")
        os.mkdir(disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", disk], check=True)
        p.store = p.env["GGFS_STORE"] = os.path.join(disk, "store")
        p.stores.append(p.store)
        self.addCleanup(p.ggfs, "stop", cwd="/")
        p.thunk("--output", "big", "--tool", "head", "--placeholders", "--", "sh", "-c",
                "head -c 9000000 /dev/zero >big")
        p.placeholder("echo small >small", "small")
        p.ok("force", "small")
        p.write("ordinary", "kept\n")
        p.mount()
        self.addCleanup(p.umount)
        left = os.statvfs(disk)
        with open(os.path.join(disk, "filler"), "wb") as f:
            f.write(b"x" * (left.f_bavail * left.f_frsize - (4 << 20)))
        with self.assertRaises(OSError) as caught:
            p.read("big")
        self.assertEqual(errno.ENOSPC, caught.exception.errno)
        self.assertRegex(os.getxattr(p.path("big"), "user.ggfs.error"), b"[Nn]o space|full|room")
        self.assertEqual(b"kept\n", p.read("ordinary"))
        self.assertEqual(b"small\n", p.read("small"))
        os.unlink(os.path.join(disk, "filler"))
        os.setxattr(p.path("big"), "user.ggfs.retry", b"1")
        self.assertEqual(9000000, len(p.read("big")))


class Stores(Case):
    def test_one_that_others_may_write_in_is_refused_and_told_so(self):
        p = self.p
        p.ok("init")
        p.ok("stop")
        os.chmod(p.store, 0o777)
        said = p.refused(1, "status", ".")
        self.assertIn(p.store, said)
        os.chmod(p.store, 0o700)
        p.still_works()

    @unittest.skipIf(os.geteuid() != 0, "only root can become somebody else")
    def test_an_ordinary_user_is_refused_the_store_of_root(self):
        p = self.p
        p.ok("init")
        os.chmod(p.base, 0o755)
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                               "ggfs", "log"], env=p.env, cwd="/", timeout=DEADLINE_S,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn(p.store.encode(), done.stderr)


if __name__ == "__main__":
    tap.main()
