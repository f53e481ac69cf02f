#!/usr/bin/python3
"""ggfs infer as a person at a terminal meets it: offers, signals, wrappers, stores, who is told what."""
import os
import shutil
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import place  # noqa: E402
from place import Place, wait_for, why_no_mount  # noqa: E402
import tap  # noqa: E402
from terminal import Terminal  # noqa: E402

MAKEFILE = """prog: a.o b.o
\tgcc -o $@ a.o b.o
%.o: %.c
\tgcc -c -o $@ $<
"""


# As ccache does: the compiler of its own name that comes later on PATH.
WRAPPER = r"""#!/bin/sh
name=${0##*/} own=$(cd "$(dirname "$0")" && pwd)
echo the wrapper was here >&2
IFS=:
for directory in $PATH; do
    if [ "$directory" != "$own" ] && [ -x "$directory/$name" ]; then
        exec "$directory/$name" "$@"
    fi
done
exit 127
"""


@unittest.skipIf(why_no_mount(), why_no_mount())
class Inferring(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)
        self.p.write("Makefile", MAKEFILE)
        self.p.write("a.c", "int b(void);\nint main(void) { return b(); }\n")
        self.p.write("b.c", "int b(void) { return 42; }\n")

    def test_on_a_terminal_it_offers_to_mount_and_takes_no_for_an_answer(self):
        t = Terminal(self.p, "ggfs", "infer", "true")
        t.until(b"Mount it now? [y/N]")
        t.type(b"n\n")
        self.assertEqual(os.waitstatus_to_exitcode(t.end()), 2)
        self.assertEqual(self.p.mounts(), [])

    def test_on_a_terminal_a_yes_mounts_and_goes_on(self):
        t = Terminal(self.p, "ggfs", "infer", "make", "a.o")
        t.until(b"Mount it now? [y/N]")
        t.type(b"y\n")
        self.assertEqual(t.end(), 0, t.text)
        self.assertEqual(len(self.p.mounts()), 1)
        self.assertEqual(self.p.state("a.o"), "unforced")

    def test_mount_make_and_run_in_one_breath(self):
        self.p.ok("infer", "--mount", "make", "-j2")
        self.assertEqual(self.p.json("log"), [])
        self.assertEqual(self.p.run("./prog").returncode, 42)
        self.assertEqual(len(self.p.json("log")), 3)

    def test_a_failing_build_ends_with_its_own_exit_code(self):
        self.p.mount()
        self.assertEqual(self.p.ggfs("infer", "sh", "-c", "exit 77").returncode, 77)
        self.assertEqual(self.p.ggfs("infer", "make", "nothing-such").returncode, 2)
        self.assertEqual(self.p.ggfs("infer", "./no-such-program").returncode, 127)

    def test_ctrl_c_ends_make_and_infer_by_the_signal_and_leaves_nothing(self):
        self.p.mount()
        self.p.write("Makefile", "all: a b\na b:\n\techo started\n\tsleep 100000\n")
        t = Terminal(self.p, "ggfs", "infer", "make", "-j2")
        t.until(b"started")
        t.type(b"\x03")
        status = t.end()
        self.assertIn(os.waitstatus_to_exitcode(status), (130, 2, -signal.SIGINT))
        service = os.path.join(self.p.store, "service")
        self.assertEqual([n for n in os.listdir(service) if n.startswith("infer-")], [])
        wait_for(lambda: not self.sleepers(), "the end of the build")

    def test_a_signal_sent_to_infer_alone_reaches_the_build(self):
        self.p.mount()
        for number in (signal.SIGTERM, signal.SIGHUP):
            run = self.p.start("ggfs", "infer", "sh", "-c", "touch started; exec sleep 100000")
            wait_for(lambda: os.path.exists(self.p.path("started")), "the start")
            run.send_signal(number)
            self.assertEqual(run.wait(place.DEADLINE_S), -number)
            wait_for(lambda: not self.sleepers(), "the end of the build")
            os.unlink(self.p.path("started"))

    def sleepers(self):
        """Commands that run in the work directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{pid}/cwd") == self.p.work:
                    found.append(pid)
            except OSError:
                continue
        return found

    def test_the_store_is_that_of_the_mount_and_another_one_is_refused(self):
        self.p.mount()
        other = os.path.join(self.p.base, "other")
        self.p.stores.append(other)
        self.p.ok("init", other)
        self.assertIn(self.p.store, self.p.refused(2, "infer", "--store", other, "true"))
        env = {**self.p.env, "GGFS_STORE": other}
        self.p.ok("infer", "make", env=env)
        self.assertEqual(self.p.run("./prog", env=env).returncode, 42)

    def behind(self, wrapper):
        """Builds with gcc a link to wrapper, first on PATH."""
        wrappers = os.path.join(self.p.base, "wrappers")
        os.mkdir(wrappers)
        for name in ("gcc", "cc"):
            os.symlink(wrapper, os.path.join(wrappers, name))
        self.p.env.update(PATH=wrappers + ":" + self.p.env["PATH"],
                          CCACHE_DIR=os.path.join(self.p.base, "cache"))
        self.p.mount()
        self.p.ok("infer", "make")
        self.assertEqual([self.p.state(n) for n in ("a.o", "b.o", "prog")], ["unforced"] * 3)
        self.assertEqual(self.p.run("./prog").returncode, 42)
        # What runs for real goes through it.
        done = self.p.ggfs("infer", "--verbose", "gcc", "-print-file-name=libc.so")
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.startswith(b"/"), done.stdout)
        return done.stderr

    def test_a_compiler_behind_a_wrapper_on_path_is_inferred_and_else_run_through_it(self):
        wrapper = self.p.write("../bin/ccache", WRAPPER, 0o755)
        self.assertIn(b"the wrapper was here", self.behind(wrapper))

    def test_a_compiler_behind_ccache_itself_is_inferred(self):
        self.behind(shutil.which("ccache"))

    def test_a_compiler_that_ccache_is_told_to_run_is_inferred(self):
        self.p.env["CCACHE_DIR"] = os.path.join(self.p.base, "cache")
        self.p.mount()
        for options in ((), ("--path-only",)):
            with self.subTest(options=options):
                self.p.ok("infer", *options, "ccache", "gcc", "-O2", "-c", "a.c", "-o", "c.o")
                self.assertEqual(self.p.state("c.o"), "unforced")
                os.unlink(os.path.join(self.p.work, "c.o"))

    def test_names_with_spaces_and_other_bytes_are_inferred(self):
        self.p.mount()
        name = os.path.join(self.p.work.encode(), b"sp ace \xff.o")
        self.p.ok("infer", "gcc", "-c", "a.c", "-o", name)
        self.assertEqual(os.getxattr(name, "user.ggfs.state").strip(), b"unforced")
        with open(name, "rb") as f:
            self.assertEqual(f.read(4), b"\x7fELF")

    def test_standard_streams_that_are_closed_stay_closed_for_the_build(self):
        self.p.mount()
        script = "ls -l /proc/self/fd >fds 2>errors; gcc -c a.c"
        done = self.p.run("sh", "-c", f"exec ggfs infer sh -c '{script}' >&- 2>&-")
        self.assertEqual(done.returncode, 0)
        self.assertEqual(self.p.state("a.o"), "unforced")


# With a /dev/fuse that is open to everybody, as most systems have it.
AS_NAMELESS = """
mknod fuse c 10 229 && chmod 666 fuse && mount --bind fuse /dev/fuse &&
exec setpriv --reuid=54321 --regid=54321 --clear-groups "$@"
"""


@unittest.skipIf(why_no_mount(), why_no_mount())
@unittest.skipIf(os.geteuid(), "needs root to become somebody without a name")
class NamelessUser(unittest.TestCase):
    def test_fusermounts_own_words_reach_whoever_wanted_to_mount(self):
        p = Place()
        self.addCleanup(p.close)
        os.chmod(p.base, 0o755)
        own = os.path.join(p.base, "own")
        for directory in (own, p.work):
            os.makedirs(directory, exist_ok=True)
            os.chown(directory, 54321, 54321)
        done = p.run("unshare", "--mount", "sh", "-c", AS_NAMELESS, "sh", "ggfs", "mount", "--store", own,
                     p.work, cwd=p.base)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn(b"fusermount3: ", done.stderr)
        self.assertNotIn(b"No such file", done.stderr)
        self.assertEqual(p.mounts(), [])
        p.run("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "ggfs", "stop", "--store", own)


if __name__ == "__main__":
    tap.main()
