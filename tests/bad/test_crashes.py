#!/usr/bin/python3
"""What is left, and goes on, when a process is killed in the middle, or the disk is full."""
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from damaged import DamagedPlace, wait_for, why_no_mount  # noqa: E402
import tap  # noqa: E402


class Case(unittest.TestCase):
    def setUp(self):
        self.p = DamagedPlace()
        self.addCleanup(self.p.close)

    def kill_service(self):
        services = wait_for(self.p.services, "a service")
        for pid in services:
            os.kill(pid, signal.SIGKILL)
        return services

    def mount_pid(self):
        return self.p.mounts()[0]["pid"]


@unittest.skipIf(why_no_mount(), why_no_mount())
class Killed(Case):
    def test_a_service_in_a_force_and_the_reader_gets_its_bytes(self):
        p = self.p
        p.placeholder("sleep 0.5; echo after all >o")
        p.mount()
        reader = p.start("sh", "-c", "cat o >../read")
        p.forcing("o")
        killed = self.kill_service()
        self.assertEqual(0, reader.wait(60))
        with open(os.path.join(p.base, "read"), "rb") as f:
            self.assertEqual(b"after all\n", f.read())
        self.assertFalse(set(killed) & set(p.services()))

    def test_a_service_in_an_infer_and_the_build_succeeds(self):
        p = self.p
        for i in range(12):
            p.write(f"x{i}.c", f"int f{i}(void) {{ return {i}; }}\n")
        p.write("Makefile", "all: $(patsubst %.c,%.o,$(wildcard *.c))\n")
        p.mount()
        build = p.start("ggfs", "infer", "make", "-j2")
        wait_for(lambda: os.path.exists(p.path("x0.o")) or os.path.exists(p.path("x1.o")), "a step")
        self.kill_service()
        self.assertEqual(0, build.wait(60))
        for i in range(12):
            self.assertEqual(b"\x7fELF", p.read(f"x{i}.o")[:4])

    def test_a_mount_in_a_force_and_the_next_mount_heals(self):
        p = self.p
        p.write("ordinary", "kept\n")
        p.placeholder("sleep 0.5; echo made >o")
        p.mount()
        reader = p.start("cat", "o")
        p.forcing("o")
        os.kill(self.mount_pid(), signal.SIGKILL)
        self.assertNotEqual(0, reader.wait(60))
        with self.assertRaises(OSError):
            os.listdir(p.work)
        p.mount()
        self.assertEqual(b"kept\n", p.read("ordinary"))
        self.assertEqual(b"made\n", p.read("o"))

    def test_a_mount_in_a_write_and_what_was_written_is_there(self):
        p = self.p
        p.mount()
        writer = p.start("sh", "-c", "i=0; while echo $i; do i=$((i+1)); done >lines")
        wait_for(lambda: os.path.exists(p.path("lines")) and os.path.getsize(p.path("lines")) > 10000,
                 "some lines")
        os.kill(self.mount_pid(), signal.SIGKILL)
        # Through passthrough the writer may go on; otherwise it has ended already.
        if writer.poll() is None:
            os.killpg(writer.pid, signal.SIGKILL)
        writer.wait()
        p.mount()
        lines = p.read("lines").split(b"\n")[:-1]
        self.assertGreater(len(lines), 1000)
        self.assertEqual([str(i).encode() for i in range(len(lines))], lines)

    def test_a_runner_and_the_force_is_tried_again(self):
        p = self.p
        thunk = p.shell_thunk("sleep 0.5; echo made >o")
        force = p.start("ggfs", "force", thunk)
        runners = wait_for(lambda: [pid for pid, words in p.processes() if b"ggfs-runner" in words],
                           "a runner")
        wait_for(lambda: p.json("why", thunk)[0]["state"] == "forcing", "the force")
        for pid in runners:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.assertEqual(0, force.wait(60))

    def test_a_mount_left_stale_by_a_crash_is_told_and_healed(self):
        p = self.p
        p.write("ordinary", "kept\n")
        p.mount()
        os.kill(self.mount_pid(), signal.SIGKILL)
        wait_for(lambda: p.mounts()[0].get("stale"), "the mount to be stale")
        self.assertIn(p.work, p.ok("doctor", cwd=p.base))
        p.mount()
        self.assertFalse(p.mounts()[0].get("stale"))
        self.assertEqual(b"kept\n", p.read("ordinary"))


@unittest.skipIf(os.geteuid() != 0, "only root can mount a small disk")
class FullDisk(Case):
    def setUp(self):
        super().setUp()
        p = self.p
        self.disk = os.path.join(p.base, "disk")
        os.mkdir(self.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", self.disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.disk], check=True)
        p.store = p.env["GGFS_STORE"] = os.path.join(self.disk, "store")
        p.stores.append(p.store)
        self.addCleanup(p.ggfs, "stop", cwd="/")

    def fill(self, but):
        """Leaves so many bytes free."""
        free = os.statvfs(self.disk).f_bavail * os.statvfs(self.disk).f_frsize
        with open(os.path.join(self.disk, "filler"), "wb") as f:
            f.write(b"x" * max(0, free - but))

    def empty(self):
        os.unlink(os.path.join(self.disk, "filler"))

    def test_during_a_force_it_is_enospc_and_afterwards_all_goes_on(self):
        p = self.p
        thunk = p.thunk("--output", "o", "--tool", "head", "--", "sh", "-c", "head -c 9000000 /dev/zero >o")
        p.shell_thunk("echo >o")  # its tools are in the store
        p.ok("force", p.shell_thunk("echo first >o"))
        self.fill(4 << 20)
        said = p.refused(1, "force", thunk)
        self.assertRegex(said, "[Nn]o space|full|room")
        self.empty()
        p.ggfs("retry", thunk)
        p.ok("force", thunk)
        p.still_works()
        self.assertEqual([], os.listdir(os.path.join(p.store, "tmp")))

    def test_during_a_put_it_is_said_and_afterwards_all_goes_on(self):
        p = self.p
        p.ok("init")
        p.write("big", b"y" * (8 << 20))
        self.fill(2 << 20)
        said = p.refused(1, "thunk", "--input", "big", "--output", "o", "--", "big")
        self.assertRegex(said, "[Nn]o space|full|room")
        self.empty()
        p.thunk("--input", "big", "--output", "o", "--tool", "cp", "--", "cp", "big", "o")
        p.still_works()

    @unittest.skipIf(why_no_mount(), why_no_mount())
    def test_during_an_infer_the_build_runs_for_real(self):
        p = self.p
        p.ok("init")
        p.write("x.c", "int main(void) { return 4; }\n")
        p.mount()
        self.addCleanup(p.umount)
        self.fill(1 << 20)  # a toolchain is larger
        p.ok("infer", "-q", "--", "gcc", "-o", "x", "x.c")
        self.assertEqual(4, p.run("./x").returncode)


if __name__ == "__main__":
    tap.main()
