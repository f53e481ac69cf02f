"""ggfs from the command line, with a store and a directory of the test's own.

    class Verbs(case.Case):
        def test_x(self):
            self.ggfs("thunk", "-o", "out", "--", "sh", "-c", "echo hi >out").stdout
"""
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

TOOLS = os.environ["GGFS_TOOLS"]
GGFS = os.path.join(TOOLS, "ggfs")
DEADLINE_S = 60  # for what must happen at all; no test passes by it
PLACEHOLDER_SIZE = 2029


class Case(unittest.TestCase):
    def setUp(self):
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="ggfs-infer-"))
        self.store = self.p("store")
        self.dir = self.p("tree")
        os.mkdir(self.dir)
        self.env = {"PATH": TOOLS + ":" + os.environ["PATH"], "GGFS_STORE": self.store,
                    "HOME": self.base, "LC_ALL": "C", "TMPDIR": self.base}
        self.mounted = {}  # directory: pidfd of its process

    def tearDown(self):
        for directory in self.mounted:
            self.outside("umount", "--lazy", directory)
        # As long as its process is there a mount would start the service again.
        for process in self.mounted.values():
            self.assertTrue(select.select([process], [], [], DEADLINE_S)[0], "a mount lives on")
            os.close(process)
        self.outside("stop")
        shutil.rmtree(self.base)

    def outside(self, *argv):
        return self.run_in(self.base, GGFS, *argv, code=None)

    def p(self, *parts):
        return os.path.join(self.base, *parts)

    def run_in(self, cwd, *argv, code=0, stdin=None):
        """The finished process; its exit code must be `code` (None: any)."""
        done = subprocess.run(argv, cwd=cwd, env=self.env, input=stdin or "", text=True,
                              capture_output=True, timeout=DEADLINE_S)
        if code is not None and done.returncode != code:
            raise AssertionError(f"{argv}: exit {done.returncode} instead of {code}\n"
                                 f"{done.stdout}\n{done.stderr}")
        return done

    def ggfs(self, *argv, **kwargs):
        return self.run_in(self.dir, GGFS, *argv, **kwargs)

    def json(self, *argv, **kwargs):
        return json.loads(self.ggfs(*argv, "--json", **kwargs).stdout)

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.dir, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def read(self, name):
        with open(os.path.join(self.dir, name), encoding="utf-8") as f:
            return f.read()

    def thunk(self, command, *options, outputs=("out",), placeholders=True, tools=()):
        """A thunk that runs `command` with sh; its digest. Its outputs stand in self.dir."""
        argv = ["thunk", "-e", "PATH=/usr/bin:/bin"]
        for output in outputs:
            argv += ["-o", output]
        for tool in tools:
            argv += ["-t", tool]
        if placeholders:
            argv += ["-p"]
        return self.ggfs(*argv, *options, "--", "sh", "-c", command).stdout.strip()

    def mount(self, *options):
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            self.skipTest("/dev/fuse is not open to this user")
        self.ggfs("mount", *options, self.dir)
        self.note_mount()

    def note_mount(self):
        listed = json.loads(self.outside("mounts", "--json").stdout)
        self.mounted.update((m["directory"], os.pidfd_open(m["pid"])) for m in listed
                            if m["directory"] == self.dir)

    def is_lazy(self, name):
        return os.path.getsize(os.path.join(self.dir, name)) == PLACEHOLDER_SIZE
