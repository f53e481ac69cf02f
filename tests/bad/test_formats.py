#!/usr/bin/python3
"""Truncated, oversized and corrupt thunks, manifests, placeholders, blobs and indexes; thunks that
come back to themselves or never end; names that are no names."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from damaged import DamagedPlace, digest, placeholder, wait_for, why_no_mount  # noqa: E402
import tap  # noqa: E402

ABSENT = "ab" * 32
GOOD = ("program usr/bin/sh", "arg sh")


class Case(unittest.TestCase):
    def setUp(self):
        self.p = DamagedPlace()
        self.addCleanup(self.p.close)

    def refused(self, *arguments):
        said = self.p.refused(1, *arguments)
        self.p.still_works()
        return said


class Thunks(Case):
    def force(self, name):
        return self.refused("force", name)

    def test_a_truncated_one_is_named_and_said_to_be_no_thunk(self):
        p = self.p
        name = p.shell_thunk("echo x >o")
        with open(p.object(name), "rb") as f:
            text = f.read()
        p.damage(name, text[:len(text) // 2])
        said = self.force(name)
        self.assertIn(name[:12], said)

    def test_an_oversized_one_is_refused_unread(self):
        name = self.p.put(b"ggfs-thunk 1\narg " + b"x" * (5 << 20) + b"\n")
        self.assertRegex(self.force(name), "large|more than|thunk")

    def test_a_blob_that_is_something_else_is_no_thunk(self):
        name = self.p.put(b"\x7fELF and so on")
        self.assertIn("thunk", self.force(name))

    def test_a_path_with_dots_is_refused(self):
        name = self.p.put_thunk(*GOOD, "output file ../escape", "timeout 9")
        self.assertIn("not a normal relative path", self.force(name))
        self.assertFalse(os.path.exists(self.p.path("..", "escape")))

    def test_an_absolute_path_is_refused(self):
        name = self.p.put_thunk(*GOOD, "output file /etc/escape", "timeout 9")
        self.assertIn("not a normal relative path", self.force(name))
        self.assertFalse(os.path.exists("/etc/escape"))

    def test_an_absent_one_is_named(self):
        self.assertIn(ABSENT[:12], self.force(ABSENT))

    def test_an_absent_input_set_is_named(self):
        name = self.p.put_thunk(*GOOD, f"inputs {ABSENT} 20", "output file o", "timeout 9")
        self.assertIn(ABSENT[:12], self.force(name))

    def test_an_input_blob_that_is_absent_is_named(self):
        name = self.p.put_thunk("program f", "arg f", f"input file 0755 blob {ABSENT} 5 f",
                                "output file o", "timeout 9")
        self.assertIn(ABSENT[:12], self.force(name))


class Manifests(Case):
    def force_with(self, manifest):
        name = self.p.put(manifest)
        thunk = self.p.put_thunk(*GOOD, f"inputs {name} {len(manifest)}", "output file o", "timeout 9")
        return self.refused("force", thunk)

    def test_a_corrupt_one_is_said_to_be_no_manifest(self):
        self.assertRegex(self.force_with(b"ggfs-manifest 1\nnonsense\n"), "manifest|line")

    def test_a_truncated_one_is_refused(self):
        self.assertRegex(self.force_with(b"ggfs-manifest 1\nfile 0644 blob 00"), "manifest|line")

    def test_one_that_climbs_out_is_refused(self):
        entry = b"link /etc ../x\n"
        self.assertRegex(self.force_with(b"ggfs-manifest 1\n" + entry), "manifest|line|path")

    def test_one_with_a_file_beneath_a_link_is_refused(self):
        empty = self.p.put(b"")
        text = f"ggfs-manifest 1\nlink /etc d\nfile 0644 blob {empty} 0 d/passwd\n".encode()
        self.assertRegex(self.force_with(text), "manifest|line|beneath")


class Placeholders(Case):
    def test_one_of_a_wrong_size_is_an_ordinary_file(self):
        p = self.p
        p.placeholder("echo x >o")
        with open(p.path("o"), "r+b") as f:
            f.truncate(100)
        before = p.read("o")
        p.ggfs("force", "o")
        self.assertEqual(before, p.read("o"))
        p.still_works()

    def test_a_damaged_one_is_refused_and_left_alone(self):
        p = self.p
        p.write("o", placeholder(b"thunk nonsense"))
        before = p.read("o")
        self.assertRegex(self.refused("force", "o"), "placeholder|damaged")
        self.assertEqual(before, p.read("o"))

    def test_one_that_climbs_is_refused(self):
        self.p.write("o", placeholder(f"thunk {ABSENT} ../../etc/passwd".encode()))
        self.refused("force", "o")

    def test_one_that_names_an_absent_thunk_says_which(self):
        self.p.write("o", placeholder(f"thunk {ABSENT} o".encode()))
        self.assertIn(ABSENT[:12], self.refused("force", "o"))

    @unittest.skipIf(why_no_mount(), why_no_mount())
    def test_in_a_mount_damaged_ones_are_eio_and_the_rest_reads_on(self):
        p = self.p
        p.write("damaged", placeholder(b"thunk nonsense"))
        p.write("absent", placeholder(f"thunk {ABSENT} o".encode()))
        p.placeholder("echo fine >fine", "fine")
        p.mount()
        for name in ("damaged", "absent"):
            with self.assertRaises(OSError) as caught:
                p.read(name)
            self.assertEqual(5, caught.exception.errno, name)
            self.assertTrue(os.getxattr(p.path(name), "user.ggfs.error"))
        self.assertEqual(b"fine\n", p.read("fine"))
        self.assertIn(ABSENT[:12], p.ok("why", "absent"))
        os.unlink(p.path("damaged"))
        p.write("absent", b"now an ordinary file")
        self.assertEqual(b"now an ordinary file", p.read("absent"))


class Blobs(Case):
    def test_a_truncated_result_is_made_again(self):
        p = self.p
        p.placeholder("echo result >o")
        thunk = p.thunk("--input", "o", "--tool", "cat", "--output", "p", "--", "sh", "-c", "cat o >p")
        p.ok("force", thunk)
        p.ok("stop")
        p.damage(digest(b"result\n"), b"")
        again = p.thunk("--input", "o", "--tool", "cat", "--output", "q", "--", "sh", "-c", "cat o >q")
        p.ok("force", again)
        with open(p.object(digest(b"result\n")), "rb") as f:
            self.assertEqual(b"result\n", f.read())

    def test_doctor_puts_an_altered_one_aside_and_it_is_made_again(self):
        p = self.p
        p.ok("force", p.placeholder("echo result >o"))
        name = digest(b"result\n")
        p.damage(name, b"RESULT\n")
        # Where nothing can be mounted doctor says so by its exit code.
        self.assertEqual(1 if why_no_mount() else 0, p.ggfs("doctor", "--all").returncode)
        self.assertFalse(os.path.exists(p.object(name)))
        p.ok("force", "o")
        self.assertEqual(b"result\n", p.read("o"))


class Indexes(Case):
    def damaged_index(self, data):
        p = self.p
        p.ok("force", p.placeholder("echo x >o"))
        p.ok("stop")
        for name in os.listdir(p.store):
            if name.startswith("index.sqlite") and name != "index.sqlite":
                os.unlink(os.path.join(p.store, name))
        with open(os.path.join(p.store, "index.sqlite"), "wb") as f:
            f.write(data)
        before = p.functions_run()
        p.ok("force", "o")
        self.assertEqual(b"x\n", p.read("o"))
        self.assertEqual(before, p.functions_run())  # the memo was in the store
        p.still_works()

    def test_a_corrupt_one_is_built_anew_and_no_result_is_lost(self):
        self.damaged_index(b"SQLite format 3\0" + b"\xff" * 5000)

    def test_an_empty_one_is_built_anew(self):
        self.damaged_index(b"")


# Makes the output a placeholder for the thunk of this digest.
YIELD = ("put() { printf '#!/usr/bin/env ggfs-force\\nggfs-placeholder 1\\nthunk %s o\\n' $1 >o; "
         "n=$(wc -c <o); printf \"%$((2028 - n))s\\n\" '' >>o; }; "
         "name() { d=$(b2sum -l 256 <$1); echo ${d%% *}; }; ")


class Yields(Case):
    def yielding(self, script, *arguments):
        return self.p.thunk("--yields", "--tool", "b2sum", "--tool", "wc", "--tool", "sed", "--output", "o",
                            "--", "sh", "-c", YIELD + script, "sh", *arguments)

    def test_one_that_yields_itself_is_a_cycle_and_named(self):
        thunk = self.yielding("put $(name $GGFS_THUNK)")
        said = self.refused("force", thunk)
        self.assertRegex(said, "circle")
        self.assertIn(thunk[:12], said)

    def test_two_that_yield_each_other_are_a_cycle(self):
        # Odd and even of one text: each yields the other.
        thunk = self.yielding(
            'if [ $1 = odd ]; then o=even; else o=odd; fi; '
            'sed "s/^arg $1\\$/arg $o/" $GGFS_THUNK >$GGFS_YIELD/t; put $(name $GGFS_YIELD/t)', "odd")
        self.assertRegex(self.refused("force", thunk), "circle")

    def test_a_chain_without_end_can_be_cancelled(self):
        # That it ends by itself after so many is tested with an engine that takes no time.
        p = self.p
        thunk = self.yielding(
            'sed "s/^arg $1\\$/arg $(($1 + 1))/" $GGFS_THUNK >$GGFS_YIELD/t; put $(name $GGFS_YIELD/t)',
            "1")
        force = p.start("ggfs", "force", thunk)
        wait_for(lambda: p.functions_run() > 5, "the chain")
        p.ok("cancel", "--all")
        self.assertEqual(1, force.wait(60))
        p.still_works()


@unittest.skipIf(why_no_mount(), why_no_mount())
class Names(Case):
    NAMES = (b"a b.c", b"new\nline.c", b"\xff\xfe.c", b"per%cent.c", b"-dash.c", b"quote'\".c")

    def test_names_with_any_bytes_are_inferred_and_forced(self):
        p = self.p
        work = os.fsencode(p.work)
        for i, name in enumerate(self.NAMES):
            with open(os.path.join(work, name), "wb") as f:
                f.write(b"int f%d(void) { return %d; }\n" % (i, i))
        p.write("main.c", "int f0(void), f1(void), f2(void), f3(void), f4(void), f5(void);\n"
                          "int main(void) { return f0() + f1() + f2() + f3() + f4() + f5(); }\n")
        p.mount()
        objects = []
        for name in (*self.NAMES, b"main.c"):
            out = b"./" + name[:-2] + b".o"
            p.ok("infer", "-q", "--", "gcc", "-c", b"./" + name, "-o", out)
            objects.append(out)
        p.ok("infer", "-q", "--", "gcc", "-o", "prog", *objects)
        self.assertEqual(0, p.functions_run())
        self.assertEqual(15, p.run("./prog").returncode)
        p.json("status")

    def test_an_output_through_a_link_out_of_the_tree_is_made_for_real(self):
        p = self.p
        outside = os.path.join(p.base, "outside")
        os.mkdir(outside)
        os.symlink(outside, p.path("out"))
        p.write("x.c", "int x;\n")
        p.mount()
        p.ok("infer", "-q", "--", "gcc", "-c", "x.c", "-o", "out/x.o")
        with open(os.path.join(outside, "x.o"), "rb") as f:
            self.assertEqual(b"\x7fELF", f.read(4))

    def test_an_input_through_a_link_out_of_the_tree_is_content_like_any(self):
        p = self.p
        outside = os.path.join(p.base, "outside.h")
        with open(outside, "w", encoding="ascii") as f:
            f.write("#define VALUE 3\n")
        os.symlink(outside, p.path("in.h"))
        p.write("x.c", '#include "in.h"\nint main(void) { return VALUE; }\n')
        p.mount()
        p.ok("infer", "-q", "--", "sh", "-c", "gcc -c x.c && gcc -o x x.o")
        os.unlink(outside)  # what was recorded is what counts
        self.assertEqual(3, p.run("./x").returncode)


if __name__ == "__main__":
    tap.main()
