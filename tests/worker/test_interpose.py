#!/usr/bin/python3
"""A program below a root that is not "/" must not notice; and what cannot be hidden must be told.

    test_interpose.py PROBE STATIC FIB ADD
"""
import os
import subprocess
import sys
import tempfile
import json
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402
from world import World, output  # noqa: E402

WORKER = os.path.join(os.environ["GGFS_TOOLS"], "ggfs-worker")
DEADLINE_S = 60

EXPECTED = """\
getcwd: /w
getcwd allocated: /w
getcwd small: Numerical result out of range
chdir ../../..: 0
getcwd at the top: /
chdir /w: 0
get_current_dir_name: /w
mkdir: 0
rename: 0
rmdir: 0
rmdir again: No such file or directory
readdir: file
scandir: 3
opendir /proc: No such file or directory
read: 5
text: bytes
open absent: No such file or directory
open over the top: 0
open /../..: 0
openat: 0
open null: 0
open tty: No such file or directory
stat: 5
stat with a slash: Not a directory
stat of a directory: 1
lstat of a link: 1
fstatat: 0
access: 0
access absent: No such file or directory
faccessat: 0
statvfs: 0
freopen: new
chmod: 0
truncate: 0
link: 0
unlink: 0
remove: 0
symlink: 0
stat through it: 0
unlinkat: 0
readlink: 10
target: /w/in/file
realpath: /w/in/file
realpath of dots: /w/in
realpath absent: No such file or directory
canonicalize_file_name: /w/in/file
readlink /proc/self/exe: No such file or directory
mkstemp: 0
stat of it: 0
mkstemps: 0
stat of it: 0
mkdtemp: 0
tmpfile: 0
uname: 0
nodename: localhost
gethostname: 0
hostname: localhost
getpwuid: nobody
GGFS_RELOCATE: not there
LD_PRELOAD: not there
setlocale: not there
LOCPATH: not there
localtime: 00 UTC
dlopen absent: not there
iconv built in: there
    [argv zero] [child] [by name] X=1 relocate=0 fd200=-1
execve: 0
    [argv zero] [child] [by name] X= relocate=0 fd200=-1
execv: 0
    [argv zero] [child] [by name] X= relocate=0 fd200=-1
execvp: 0
    [l] [child] [list] X= relocate=0 fd200=-1
execl: 0
    [lp] [child] [list] X= relocate=0 fd200=-1
execlp: 0
    [le] [child] [list] X=1 relocate=0 fd200=-1
execle: 0
execvp absent: 25344
execv of a directory: 25344
    [/usr/bin/probe] [/w/script] [argument] X= relocate=0 fd200=-1
a script: 0
    [argv zero] [child] [by name] X=1 relocate=0 fd200=0
spawned: 0
posix_spawn: 0
    [argv zero] [child] [by name] X= relocate=0 fd200=-1
spawned by name: 0
posix_spawnp: 0
posix_spawn absent: 1
"""

# What each says in the refusal.
IMPOSSIBLE = {"popen": "popen", "system": "system", "glob": "glob", "nftw": "nftw", "fts": "fts",
              "iconv": "character sets", "link": "symbolic link", "syscall": "system call",
              "stat": "system call", "tmpnam": "tempnam",
              "static": "statically"}


class Interpose(unittest.TestCase):
    def setUp(self):
        self.world = World()
        w = self.world
        self.inputs = [w.entry(probe, "usr/bin/probe"), w.entry(static, "usr/bin/static"),
                       f"file 0644 blob {w.put(b'bytes')} w/in/file", "link /w/in/file w/link",
                       f"file 0755 blob {w.put(b'#!/usr/bin/probe' + bytes([10]))} w/script"]
        self.inputs.sort(key=lambda e: e.split()[-1])

    def run_probe(self, *arguments):
        thunk = self.world.thunk(["probe", *arguments], "usr/bin/probe", inputs=self.inputs)
        with tempfile.TemporaryDirectory(prefix="ggfs-interpose-") as base:
            done = subprocess.run([WORKER, "run", "--cache", base + "/cache"], input=self.world.request(thunk),
                                  capture_output=True, timeout=DEADLINE_S, check=True)
        return json.loads(done.stdout)

    def test_a_program_does_not_notice(self):
        self.maxDiff = None
        answer = self.run_probe()
        self.assertEqual(answer["results"][0]["outcome"], "done", answer["results"])
        self.assertEqual(output(answer).decode(), EXPECTED)

    def test_a_static_function_finds_itself_and_yields(self):
        """examples/fib, by relative paths."""
        w = self.world
        inputs = [w.entry(add, "w/add"), w.entry(fib, "w/fib")]
        thunk = w.thunk(["./fib", "10"], "w/fib", inputs=inputs, yields=True, toolchain=False)
        with tempfile.TemporaryDirectory(prefix="ggfs-interpose-") as base:
            done = subprocess.run([WORKER, "run", "--cache", base + "/cache"], input=w.request(thunk),
                                  capture_output=True, timeout=DEADLINE_S, check=True)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["results"][0]["outcome"], "done", answer["results"])
        self.assertRegex(answer["results"][0]["memo"], r"(?m)^output thunk [0-9a-f]{64} \S+ w/out$")
        self.assertEqual(len(answer["blobs"]), 3)  # add, fib 9, fib 8

    def test_a_failure_is_a_failure(self):
        """Or all that is refused below might be refused for something else."""
        self.assertEqual(self.run_probe("nonsense")["results"][0]["exit_status"], 97)


def add_tests():
    for name, word in IMPOSSIBLE.items():
        def test(self, name=name, word=word):
            result = self.run_probe(name)["results"][0]
            self.assertEqual(result["outcome"], "refused", result)
            self.assertIn(word, result["reason"])
        setattr(Interpose, f"test_what_uses_{name}_is_refused", test)


if __name__ == "__main__":
    probe, static, fib, add = (os.path.abspath(sys.argv.pop(1)) for _ in range(4))
    add_tests()
    tap.main()
