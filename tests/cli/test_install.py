#!/usr/bin/python3
"""What `meson install` puts down works from there, with nothing of the build directory."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from place import Place, VERBS, tools_directory, why_no_mount  # noqa: E402
import tap  # noqa: E402


class Installed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("meson"):
            raise unittest.SkipTest("meson is not on PATH")
        cls.base = os.path.realpath(tempfile.mkdtemp(prefix="ggfs-install-"))
        os.chmod(cls.base, 0o755)
        build = os.path.dirname(tools_directory())
        subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", cls.base],
                       check=True, stdout=subprocess.DEVNULL, timeout=120)
        [ggfs] = glob.glob(cls.base + "/**/bin/ggfs", recursive=True)
        cls.prefix = os.path.dirname(os.path.dirname(ggfs))
        # Elsewhere than where it was installed to: a prefix may be moved.
        cls.moved = os.path.join(cls.base, "moved")
        shutil.copytree(cls.prefix, cls.moved, symlinks=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.base)

    def setUp(self):
        self.p = Place(tools=os.path.join(self.moved, "bin"))
        self.addCleanup(self.p.close)
        # No ggfs but that one.
        self.p.env["PATH"] = os.path.join(self.moved, "bin") + ":/usr/bin:/bin"

    @unittest.skipIf(why_no_mount(), why_no_mount())
    def test_mount_infer_and_read_work_from_there(self):
        self.p.write("a.c", "int main(void) { return 42; }\n")
        self.p.mount()
        self.p.ok("infer", "sh", "-c", "gcc -c a.c && gcc -o prog a.o")
        self.assertEqual([self.p.state("a.o"), self.p.state("prog")], ["unforced"] * 2)
        self.assertEqual(self.p.run("./prog").returncode, 42)
        # The installed programs, not those of the build directory that is still there.
        programs = [words.split(b"\0")[0] for _, words in self.p.processes()]
        runners = [program for program in programs if program.endswith(b"ggfs-runner")]
        self.assertTrue(all(r.startswith(self.moved.encode()) for r in runners), runners)
        self.assertEqual(os.readlink(f"/proc/{self.p.services()[0]}/exe"),
                         os.path.join(self.moved, "libexec", "ggfs", "ggfs-service"))
        isolated = {f["subject"]: f["verdict"] for f in self.p.json("doctor")}
        self.assertEqual(isolated["stand-in"], "ok")
        self.p.umount()

    def test_placeholders_run_from_there(self):
        self.p.placeholder("{ echo '#!/bin/sh'; echo 'echo hello'; } >o")
        self.assertEqual(self.p.run("./o").stdout, b"hello\n")

    def test_every_verb_has_a_page_and_they_render_without_a_warning(self):
        pages = {os.path.basename(p) for p in
                 glob.glob(os.path.join(self.moved, "**", "man1", "*"), recursive=True)}
        self.assertEqual(pages, {"ggfs.1"} | {f"ggfs-{verb}.1" for verb in VERBS})
        if not shutil.which("groff"):
            return
        for path in glob.glob(os.path.join(self.moved, "**", "man1", "*"), recursive=True):
            done = self.p.run("groff", "-man", "-ww", "-Tutf8", "-P-cbou", path)
            self.assertEqual((done.returncode, done.stderr), (0, b""), path)
            self.assertIn(b"SYNOPSIS", done.stdout)


if __name__ == "__main__":
    tap.main()
