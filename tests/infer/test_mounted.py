#!/usr/bin/python3
"""mount, umount, mounts; verbs on files of a mount; first reads."""
import errno
import os

import case
import tap


class Mount(case.Case):
    def test_mount_returns_when_it_answers_and_umount_leaves_placeholders(self):
        self.thunk("echo hi >out")
        self.mount()
        self.assertEqual([m["directory"] for m in self.json("mounts")
                          if m["directory"] == self.dir], [self.dir])
        self.assertEqual(self.read("out"), "hi\n")
        self.run_in(self.base, case.GGFS, "umount", self.dir)
        self.assertTrue(self.is_lazy("out"))
        self.assertNotIn(self.dir, self.ggfs("mounts").stdout)

    def test_mount_refuses_what_cannot_be_mounted(self):
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            self.skipTest("/dev/fuse is not open to this user")
        self.assertIn("absent", self.ggfs("mount", self.p("absent"), code=1).stderr)
        self.write("file", "x")
        self.assertIn("file", self.ggfs("mount", "file", code=1).stderr)
        self.mount()
        self.assertIn("mounted", self.ggfs("mount", self.dir, code=1).stderr)

    def test_umount_of_no_mount_is_told(self):
        self.assertIn(self.dir, self.ggfs("umount", self.dir, code=1).stderr)

    def test_the_background_mount_holds_nobodys_pipes(self):
        # run_in() reads to the end of the pipes: it would wait for ever otherwise.
        self.mount()

    def test_force_off_refuses_and_says_so(self):
        self.thunk("echo hi >out")
        self.mount("-o", "force=off")
        with self.assertRaises(OSError) as failed:
            self.read("out")
        self.assertEqual(failed.exception.errno, errno.EDEADLK)


class Verbs(case.Case):
    def test_force_in_a_mount_makes_files_ready_in_place(self):
        self.thunk("echo hi >out")
        self.mount()
        before = os.stat(os.path.join(self.dir, "out"))
        self.assertEqual(self.json("status")["unforced"], 1)
        report = self.json("force", "out")
        self.assertEqual(report["ready"], 1)
        after = os.stat(os.path.join(self.dir, "out"))
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        self.assertEqual(self.json("status")["ready"], 1)
        self.assertEqual(after.st_size, 3)

    def test_why_describe_and_retry_of_a_read_that_failed(self):
        thunk = self.thunk("echo broken >&2; exit 4")
        self.mount()
        with self.assertRaises(OSError) as failed:
            self.read("out")
        self.assertEqual(failed.exception.errno, errno.EREMOTEIO)
        self.assertIn("broken", self.ggfs("why", "out").stdout)
        self.assertIn(thunk, self.ggfs("describe", "out").stdout)
        self.ggfs("retry", "out")
        self.assertEqual(self.json("status")["unforced"], 1)

    def test_telling_forces_nothing(self):
        self.thunk("echo hi >out")
        self.mount()
        for argv in (["status"], ["why", "out"], ["describe", "out"], ["graph", "out"]):
            self.ggfs(*argv)
        self.assertEqual(self.json("status")["unforced"], 1)
        self.assertEqual(self.json("log"), [])

    def test_a_lazy_file_of_a_mount_is_an_input_without_being_made(self):
        self.thunk("echo hi >first", outputs=["first"])
        self.mount()
        thunk = self.thunk("cp first second", "-i", "first", outputs=["second"], tools=["cp"],
                           placeholders=False)
        self.assertEqual(self.json("status")["unforced"], 1)
        self.ggfs("force", thunk)
        self.assertEqual(self.json("status")["ready"], 1)


if __name__ == "__main__":
    tap.main()
