#!/usr/bin/python3
"""mount, umount, mounts; verbs on files of a mount; first reads."""
import errno
import hashlib
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

    def put(self, data):
        name = hashlib.blake2b(data, digest_size=32).hexdigest()
        path = self.p("store", "objects", name[:2], name[2:])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)
        return f"{name} {len(data)}"

    def nested(self):
        """d/: a file, a file in a directory, a lazy directory in/ with a file."""
        inner = self.thunk("/bin/mkdir in && echo deep >in/deep", "--output-dir", "in", outputs=(),
                           placeholders=False, tools=("/bin/mkdir",))
        self.lazy_tree("d", f"ggfs-manifest 1\nfile 0644 blob {self.put(b'a')} a\n"
                       f"file 0644 thunk {inner} in in\n"
                       f"file 0644 blob {self.put(b'b')} sub/b\n".encode())

    def test_force_of_a_lazy_directory_in_a_mount_goes_on_to_all_that_is_in_it(self):
        self.nested()
        self.mount()
        before = os.stat(os.path.join(self.dir, "d"))
        report = self.json("force", "d")
        self.assertEqual((report["failed"], report["ready"]), (0, 5))
        self.assertEqual(self.json("status")["unforced"], 0)
        after = os.stat(os.path.join(self.dir, "d"))
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        self.assertEqual([self.read(f) for f in ("d/a", "d/sub/b", "d/in/deep")],
                         ["a", "b", "deep\n"])
        again = self.json("force", ".")
        self.assertEqual((again["failed"], again["memoised"]), (0, again["ready"]))

    def lazy_tree(self, name, manifest):
        text = f"#!/usr/bin/env ggfs-force\nggfs-placeholder 1\ntree {self.put(manifest)}\n"
        self.write(name, text + (case.PLACEHOLDER_SIZE - len(text) - 1) * " " + "\n")

    def test_a_directory_too_large_for_a_mount_is_told_and_what_else_there_is_is_made(self):
        self.ggfs("init")
        self.lazy_tree("large", b"ggfs-manifest 1\n" + b"".join(b"dir %07d\n" % i
                                                               for i in range(200_001)))
        self.lazy_tree("small", f"ggfs-manifest 1\nfile 0644 blob {self.put(b'a')} a\n".encode())
        self.mount()
        done = self.ggfs("force", "-k", ".", code=1)
        self.assertRegex(done.stderr, "large: cannot list it: .*more than the 200000 files")
        self.assertIn("2 ready", done.stdout)
        self.assertEqual(self.read("small/a"), "a")

    def test_force_goes_on_outside_of_a_mount_just_so(self):
        self.nested()
        self.assertEqual(self.json("force", "d")["failed"], 0)
        self.assertEqual([self.read(f) for f in ("d/a", "d/sub/b", "d/in/deep")],
                         ["a", "b", "deep\n"])

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


class LazyDirectory(case.Case):
    """Its thunk has been recorded and it has not been looked into: nobody knows what is in it."""

    def setUp(self):
        super().setUp()
        self.thunk("/bin/mkdir -p inc/sub && echo '#define N 7' >inc/n.h && "
                   "echo '#define M 2' >inc/sub/m.h", "--output-dir", "inc", outputs=(),
                   tools=("/bin/mkdir",))
        os.mkdir(os.path.join(self.dir, "other"))
        self.write("other/n.h", "#define N 1\n")

    def infer(self, command):
        return self.run_in(self.dir, case.GGFS, "infer", "--verbose", "--", "sh", "-c",
                           command).stderr

    def test_a_header_in_it_is_found_before_one_of_that_name_elsewhere(self):
        self.write("main.c", "#include <n.h>\nint main(void) { return N; }\n")
        self.mount()
        self.infer("gcc -Iinc -Iother -c main.c && gcc main.o -o prog")
        self.run_in(self.dir, "./prog", code=7)

    def test_headers_named_by_way_of_it_or_asked_for_are_found(self):
        self.write("main.c", '#include "inc/n.h"\n#include <sub/m.h>\n'
                   "#if __has_include(<sub/none.h>) || !__has_include(<sub/m.h>)\n#error\n"
                   "#endif\nint main(void) { return N + M; }\n")
        self.mount()
        said = self.infer("gcc -Iinc -Iother -c main.c && gcc main.o -o prog")
        self.assertIn("ran for real: gcc -Iinc", said)
        self.run_in(self.dir, "./prog", code=9)

    def test_the_answer_does_not_change_when_it_has_been_looked_into(self):
        self.write("main.c", "#if __has_include(<n.h>)\n#include <n.h>\n#else\n#define N 3\n"
                   "#endif\nint main(void) { return N; }\n")
        self.mount()
        for turn in range(2):
            self.infer(f"gcc -Iinc -c main.c -o m{turn}.o && gcc m{turn}.o -o prog{turn}")
            self.run_in(self.dir, f"./prog{turn}", code=7)
            self.assertIn("n.h", os.listdir(os.path.join(self.dir, "inc")))

    def test_a_source_in_it_is_compiled(self):
        self.thunk("/bin/mkdir src && echo 'int main(void) { return 6; }' >src/a.c",
                   "--output-dir", "src", outputs=(), tools=("/bin/mkdir",))
        self.mount()
        self.infer("gcc -c src/a.c -o a.o && gcc a.o -o prog")
        self.run_in(self.dir, "./prog", code=6)

    def test_a_library_in_it_is_found_before_one_elsewhere(self):
        self.write("one.c", "int f(void) { return 1; }\n")
        self.write("two.c", "int f(void) { return 8; }\n")
        for source, archive in (("one", "other"), ("two", ".")):
            self.run_in(self.dir, "gcc", "-c", source + ".c")
            self.run_in(self.dir, "ar", "rcs", archive + "/libf.a", source + ".o")
        self.thunk("/bin/mkdir libs && /bin/cp libf.a libs", "--output-dir", "libs",
                   "-i", "libf.a", outputs=(), tools=("/bin/mkdir", "/bin/cp"))
        self.write("main.c", "int f(void);\nint main(void) { return f(); }\n")
        self.mount()
        self.infer("gcc -c main.c && gcc main.o -o prog -Llibs -Lother -lf")
        self.run_in(self.dir, "./prog", code=8)

    def test_one_that_cannot_be_made_fails_the_compile_that_searches_it(self):
        self.thunk("exit 3", "--output-dir", "bad", outputs=())
        self.write("main.c", "#include <n.h>\nint main(void) { return N; }\n")
        self.mount()
        done = self.run_in(self.dir, case.GGFS, "infer", "--", "gcc", "-Ibad", "-Iother", "-c",
                           "main.c", code=1)
        self.assertIn("Remote I/O error", done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.dir, "main.o")))


if __name__ == "__main__":
    tap.main()
