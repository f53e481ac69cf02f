#!/usr/bin/python3
"""Lazy directories: shown as directories, expanded when they are looked into, and not before."""
import errno
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402
from cases import Case, Reader, read, xattr  # noqa: E402
from mounts import DEADLINE_S, digest, placeholder, run, wait_for  # noqa: E402

TREE = {
    "a.h": b"#define A 1\n",
    "sub/b.h": b"#define B 2\n" * 1000,
    "sub/deep/run.sh": b"#!/bin/sh\necho ran\n",
    "link": ("link", "sub/b.h"),
    "empty": None,
}


class Directory(Case):
    def facts(self, name):
        st = os.lstat(self.p(name))
        return (st.st_ino, st.st_mtime_ns, st.st_mode, st.st_uid, st.st_gid)

    def test_it_is_a_directory_to_all_who_only_look_and_nothing_is_forced(self):
        self.mount.lazy_directory("d")
        self.mount.write_placeholder("t", f"tree {digest(b'x')} 1")
        self.mount.lazy("f")
        for name in ("d", "t"):
            self.assertTrue(stat.S_ISDIR(os.lstat(self.p(name)).st_mode))
            self.assertEqual(stat.S_IMODE(os.lstat(self.p(name)).st_mode), 0o755)
            os.close(os.open(self.p(name), os.O_PATH | os.O_DIRECTORY))
            self.assertTrue(os.access(self.p(name), os.R_OK | os.X_OK))
        run("ls", "-l", self.mount.directory)
        types = {e.name: e.is_dir() for e in os.scandir(self.mount.directory)}
        self.assertEqual(types, {"d": True, "t": True, "f": False})
        self.assertEqual(run("sh", "-c", 'cd "$1/d" && pwd', "sh", self.mount.directory).stdout,
                         (self.p("d") + "\n").encode())
        self.assertEqual(self.mount.count("force"), 0)

    def test_what_cannot_be_known_without_a_force_turns_into_a_directory_by_it(self):
        thunk = self.mount.thunk()  # its text is not in the store
        self.mount.write_placeholder("d", f"thunk {thunk} d")
        self.assertTrue(stat.S_ISREG(os.stat(self.p("d")).st_mode))
        reader = Reader(self.p("d"))
        self.mount.answer_tree(self.mount.event("force"), TREE)  # it was opened as a file
        self.mount.answer_tree(self.mount.event("force"), TREE)
        self.assertIsNone(reader.done().errno)
        self.assertTrue(stat.S_ISDIR(os.fstat(reader.fd).st_mode))
        os.close(reader.fd)
        self.assertEqual(sorted(os.listdir(self.p("d"))), ["a.h", "empty", "link", "sub"])

    def test_listing_forces_and_shows_what_is_in_it(self):
        self.mount.lazy_directory("d")
        child = subprocess.Popen(["ls", self.p("d")], stdout=subprocess.PIPE)
        force = self.mount.event("force")
        self.assertEqual(force[2], f"ls[{child.pid}]")
        self.mount.answer_tree(force, TREE)
        self.assertEqual(child.communicate()[0], b"a.h\nempty\nlink\nsub\n")
        self.assertEqual(sorted(os.listdir(self.p("d/sub"))), ["b.h", "deep"])
        self.assertEqual(os.listdir(self.p("d/empty")), [])
        self.assertEqual(os.readlink(self.p("d/link")), "sub/b.h")
        self.assertEqual(self.mount.count("force"), 0)

    def test_a_lookup_inside_forces_the_directory_and_not_the_file(self):
        self.mount.lazy_directory("d")
        child = subprocess.Popen(["stat", "-c", "%F", self.p("d/sub/b.h")],
                                 stdout=subprocess.PIPE)
        force = self.mount.event("force")
        listed, size = self.mount.manifest(TREE)
        self.mount.say(f"tree {force[1]} {listed} {size}")
        self.assertEqual(child.communicate()[0], b"regular file\n")
        self.assertEqual(self.mount.count("force"), 0)
        self.assertEqual(xattr(self.p("d/sub/b.h"), "state"), "unforced")
        self.fails(errno.ENOENT, os.stat, self.p("d/none"))

    def test_files_in_it_are_selections_that_are_forced_when_read(self):
        thunk = self.mount.lazy_directory("d")
        reader = Reader(self.p("d/a.h"))
        force = self.mount.event("force")
        self.mount.say("tree {} {} {}".format(force[1], *self.mount.manifest(TREE)))
        force = self.mount.event("force")
        self.assertEqual(force[3], f"{thunk}/a.h")
        self.mount.answer(force, TREE["a.h"])
        self.assertEqual(reader.content(), TREE["a.h"])
        self.assertEqual(xattr(self.p("d/a.h"), "output"), "d/a.h")
        self.assertEqual(xattr(self.p("d/a.h"), "thunk"), thunk)

    def test_a_tree_that_is_a_digest_holds_blobs_read_without_asking_anybody(self):
        listed, size = self.mount.manifest(TREE)
        self.mount.write_placeholder("t", f"tree {listed} {size}")
        reader = Reader(self.p("t/a.h"))
        self.mount.answer_tree(self.mount.event("force"), TREE)
        self.assertEqual(reader.content(), TREE["a.h"])
        self.assertEqual(os.stat(self.p("t/sub/b.h")).st_size, len(TREE["sub/b.h"]))
        self.assertEqual(read(self.p("t/link")), TREE["sub/b.h"])
        self.assertEqual(run(self.p("t/sub/deep/run.sh")).stdout, b"ran\n")
        self.assertEqual(self.mount.count("force"), 0)

    def test_directories_within_it_may_be_lazy_again(self):
        inner = self.mount.thunk_with_tree("out/inner")
        listed, size = self.mount.manifest({"x": b"in a tree"})
        self.mount.lazy_directory("d", {"inner": f"thunk {inner} out/inner",
                                        "made": f"tree {listed} {size}", "plain": b"p"})
        self.assertEqual({e.name: e.is_dir() for e in os.scandir(self.p("d"))},
                         {"inner": True, "made": True, "plain": False})
        self.mount.event("force")
        self.assertEqual(self.mount.count("force"), 0)
        self.mount.ready_directory(inner, {"y": b"deeper"})
        self.assertEqual(read(self.p("d/inner/y")), b"deeper")
        self.assertEqual(xattr(self.p("d/inner/y"), "output"), "out/inner/y")

    def test_inode_times_and_mode_of_it_and_of_its_parent_stay(self):
        os.mkdir(self.p("up"))
        self.mount.lazy_directory("up/d", mode=0o640)
        os.utime(self.p("up/d"), ns=(10**18, 10**18 + 7))
        os.utime(self.p("up"), ns=(10**18, 10**18 + 5))
        before, above = self.facts("up/d"), self.facts("up")
        fd = os.open(self.p("up/d"), os.O_PATH)
        child = subprocess.Popen(["ls", self.p("up/d")], stdout=subprocess.DEVNULL)
        self.mount.answer_tree(self.mount.event("force"), TREE)
        child.wait()
        self.assertEqual((self.facts("up/d"), self.facts("up")), (before, above))
        self.assertEqual(os.fstat(fd).st_ino, before[0])
        os.close(fd)
        for name in ("a.h", "sub", "sub/deep/run.sh", "link"):
            self.assertEqual(os.lstat(self.p("up/d/" + name)).st_mtime_ns, 10**18 + 7, name)
        run("find", self.mount.directory)
        self.mount.unmount()
        self.assertEqual(os.lstat(self.p("up/d")).st_mtime_ns, 10**18 + 7)

    def test_renaming_it_before_and_while_it_is_forced_takes_it_along(self):
        os.mkdir(self.p("up"))
        self.mount.lazy_directory("d")
        os.setxattr(self.p("d"), "user.mine", b"kept")
        os.rename(self.p("d"), self.p("e"))
        child = subprocess.Popen(["ls", self.p("e")], stdout=subprocess.PIPE)
        force = self.mount.event("force")
        os.rename(self.p("e"), self.p("up/f"))
        os.rename(self.p("up"), self.p("down"))
        self.mount.answer_tree(force, TREE)
        self.assertEqual(child.communicate()[0], b"a.h\nempty\nlink\nsub\n")
        self.assertEqual(os.listdir(self.mount.directory), ["down"])
        self.assertEqual(os.getxattr(self.p("down/f"), "user.mine"), b"kept")
        self.assertEqual(read(self.p("down/f/a.h")), TREE["a.h"])

    def test_renaming_over_it_and_over_what_is_empty(self):
        self.mount.lazy_directory("d")
        new = self.mount.lazy_directory("e")
        os.rename(self.p("e"), self.p("d"))
        self.assertEqual(xattr(self.p("d"), "thunk"), new)
        os.mkdir(self.p("empty"))
        os.rename(self.p("d"), self.p("empty"))
        self.assertEqual(xattr(self.p("empty"), "thunk"), new)
        os.mkdir(self.p("full"))
        os.mkdir(self.p("full/x"))
        self.fails(errno.ENOTEMPTY, os.rename, self.p("empty"), self.p("full"))
        self.fails(errno.ENOTEMPTY, os.rename, self.p("full"), self.p("empty"))
        self.assertEqual(sorted(os.listdir(self.mount.directory)), ["empty", "full"])
        self.assertEqual(self.mount.count("force"), 0)

    def test_rmdir_removes_it_unforced_and_rm_needs_only_its_names(self):
        self.mount.lazy_directory("d")
        os.rmdir(self.p("d"))
        self.assertFalse(os.path.lexists(self.p("d")))
        self.assertEqual(self.mount.count("force"), 0)
        self.mount.lazy_directory("e")
        child = subprocess.Popen(["rm", "-rf", self.p("e")])
        self.mount.answer_tree(self.mount.event("force"), TREE)
        self.assertEqual(child.wait(DEADLINE_S), 0)
        self.assertEqual(os.listdir(self.mount.directory), [])
        self.assertEqual(self.mount.count("force"), 0)

    def test_what_cannot_be_made_can_be_removed(self):
        thunk = self.mount.lazy_directory("d")
        self.mount.say(f"failed {thunk} {errno.EREMOTEIO} it broke")
        run("rm", "-rf", self.p("d"))
        self.assertEqual(os.listdir(self.mount.directory), [])

    def test_removed_while_it_is_forced_it_is_gone(self):
        self.mount.lazy_directory("d")
        reader = Reader(self.p("d"), os.O_RDONLY | os.O_DIRECTORY)
        force = self.mount.event("force")
        os.rmdir(self.p("d"))
        self.mount.answer_tree(force, TREE)
        self.assertEqual(reader.done().errno, errno.ENOENT)
        self.assertEqual(os.listdir(self.mount.directory), [])

    def test_directories_are_written_while_one_is_removed_that_somebody_looks_into(self):
        self.mount.lazy_directory("d")
        looker = subprocess.Popen(["cat", self.p("d/a.h")], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        force = self.mount.event("force")
        files = []
        for i in range(4):
            thunk = self.mount.thunk_with_tree("x")
            files.append(open(self.p(f"w{i}"), "wb"))
            files[-1].write(placeholder(f"thunk {thunk} x"))
        remover = subprocess.Popen(["rmdir", self.p("d")], stderr=subprocess.DEVNULL)
        closers = [threading.Thread(target=f.close, daemon=True) for f in files]
        wait_for(lambda: "rmdir" in read(f"/proc/{remover.pid}/wchan").decode(), "the rmdir")
        for closer in closers:
            closer.start()
        time.sleep(0.2)  # for the closes to be under way; what follows has to hold in any case
        self.mount.answer_tree(force, TREE)
        for closer in closers:
            closer.join(DEADLINE_S)
            self.assertFalse(closer.is_alive())
        self.assertNotEqual(remover.wait(DEADLINE_S), None)
        looker.kill()
        looker.wait()

    def test_xattrs_tell_of_it_what_they_tell_of_files(self):
        thunk = self.mount.lazy_directory("d")
        self.assertEqual(xattr(self.p("d"), "state"), "unforced")
        self.assertEqual((xattr(self.p("d"), "thunk"), xattr(self.p("d"), "output")), (thunk, "d"))
        self.fails(errno.EPERM, os.setxattr, self.p("d"), "user.ggfs.state", b"x")
        self.mount.ready_directory(thunk, TREE)
        self.assertEqual(xattr(self.p("d"), "state"), "ready")
        listed, size = self.mount.manifest(TREE)
        self.assertEqual((xattr(self.p("d"), "digest"), xattr(self.p("d"), "size")),
                         (listed, str(size)))
        self.mount.write_placeholder("t", f"tree {listed} {size}")
        self.assertEqual(xattr(self.p("t"), "size"), str(size))
        os.listdir(self.p("d"))
        self.fails(errno.ENODATA, xattr, self.p("d"), "thunk")
        self.assertEqual([n for n in os.listxattr(self.p("d")) if n.startswith("user.ggfs")], [])

    def test_a_failure_gives_its_errno_its_reason_and_another_try(self):
        thunk = self.mount.lazy_directory("d")
        for call in (os.listdir, lambda p: os.stat(p + "/a.h")):
            reader = Reader(self.p("d"), os.O_RDONLY | os.O_DIRECTORY)
            self.mount.fail(self.mount.event("force"), errno.EREMOTEIO, "it broke")
            self.assertEqual(reader.done().errno, errno.EREMOTEIO)
            self.assertEqual(xattr(self.p("d"), "error"), "it broke")
        self.mount.ready_directory(thunk, TREE)
        self.assertEqual(read(self.p("d/a.h")), TREE["a.h"])

    def test_a_damaged_or_missing_list_is_eio_with_the_reason(self):
        self.mount.lazy_directory("d")
        for what, text in (("damaged", b"ggfs-manifest 1\nfile 0644 nonsense x\n"),
                           ("not in the store", None)):
            reader = Reader(self.p("d"), os.O_RDONLY | os.O_DIRECTORY)
            force = self.mount.event("force")
            name = self.mount.put(text) if text else digest(b"nobody has this")
            self.mount.say(f"tree {force[1]} {name} {len(text or b'')}")
            self.assertEqual(reader.done().errno, errno.EIO)
            self.assertIn(what, xattr(self.p("d"), "error"))
        self.assertTrue(stat.S_ISDIR(os.stat(self.p("d")).st_mode))

    def test_a_list_longer_than_a_mount_takes_is_efbig_and_nothing_is_left(self):
        thunk = self.mount.lazy_directory("d")
        reader = Reader(self.p("d"), os.O_RDONLY | os.O_DIRECTORY)
        force = self.mount.event("force")
        text = b"ggfs-manifest 1\n" + b"".join(b"dir %07d\n" % i for i in range(200_001))
        self.mount.say(f"tree {force[1]} {self.mount.put(text)} {len(text)}")
        self.assertEqual(reader.done().errno, errno.EFBIG)
        self.assertIn("ggfs force", xattr(self.p("d"), "error"))
        # The service has nothing to say against it, and that does not take the reason away.
        self.mount.say(f"readytree {thunk} {self.mount.put(text)} {len(text)}")
        self.mount.say(f"settled {thunk}")
        self.mount.sync()
        self.assertEqual(xattr(self.p("d"), "state"), "ready")
        self.assertIn("ggfs force", xattr(self.p("d"), "error"))
        self.fails(errno.EFBIG, os.listdir, self.p("d"))
        self.mount.unmount()
        self.assertEqual(os.listdir(self.mount.directory), ["d"])
        self.assertEqual(os.stat(self.p("d")).st_size, 2029)

    def test_an_interrupted_listing_leaves_at_once_and_its_force_is_withdrawn(self):
        self.mount.lazy_directory("d")
        for argv in (["ls", self.p("d")], ["cat", self.p("d/a.h")]):
            child = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
            force = self.mount.event("force")
            child.send_signal(signal.SIGINT)
            child.wait(DEADLINE_S)
            self.assertEqual(self.mount.event("cancel")[1], force[1])
        self.assertTrue(stat.S_ISDIR(os.stat(self.p("d")).st_mode))

    def test_a_child_that_ends_while_sigchld_is_blocked_interrupts_another_thread(self):
        # A signal that nobody handles is dropped where it is sent, but not while the thread that
        # it is for blocks it, as one does that starts a child with vfork. Then the kernel wakes a
        # thread that does not block it, and interrupts what that one asked for.
        self.mount.lazy_directory("d")
        outcome = []

        def look():  # not open, which python tries again
            try:
                outcome.append(os.listdir(self.p("d")))
            except OSError as e:
                outcome.append(e.errno)

        looker = threading.Thread(target=look, daemon=True)
        looker.start()
        force = self.mount.event("force")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        self.addCleanup(signal.pthread_sigmask, signal.SIG_UNBLOCK, [signal.SIGCHLD])
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        looker.join(DEADLINE_S)
        self.assertEqual(outcome, [errno.EINTR])
        self.assertEqual(self.mount.event("cancel")[1], force[1])

    def test_without_a_signal_nobody_is_interrupted_whatever_races(self):
        thunks = [self.mount.lazy_directory(f"x{i}", {f"f{k}": b"x" for k in range(100)})
                  for i in range(4)]
        until = time.monotonic() + 3
        outcomes = set()

        def go_on(step):
            turn = 0
            while time.monotonic() < until:
                turn += 1
                try:
                    step(turn)
                    outcomes.add(0)
                except OSError as e:
                    outcomes.add(e.errno)

        def make(turn):
            name = f"{threading.get_native_id()}.{turn}"
            which = turn % len(thunks)
            self.mount.write_placeholder(name, f"thunk {thunks[which]} x{which}")
            try:
                os.rename(self.p(name), self.p(f"d{turn % 5}"))
            except OSError:
                os.rmdir(self.p(name))

        def look(turn):
            os.listdir(self.p(f"d{turn % 5}"))

        def move(turn):
            os.rename(self.p(f"d{turn % 5}"), self.p(f"d{(turn + 2) % 5}"))

        def remove(turn):
            shutil.rmtree(self.p(f"d{turn % 5}"))

        def stat_in_it(turn):
            os.stat(self.p(f"d{turn % 5}/f1"))

        threads = [threading.Thread(target=go_on, args=(step,), daemon=True)
                   for step in (make, make, look, look, move, remove, stat_in_it)]
        for thread in threads:
            thread.start()
        while time.monotonic() < until:
            self.mount._receive(0.05)
            self.mount.events.clear()
        for thread in threads:
            thread.join(DEADLINE_S)
            self.assertFalse(thread.is_alive())
        allowed = {0, errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR,
                   None}  # rmtree's own, of a directory that was exchanged meanwhile
        self.assertEqual({errno.errorcode[e] for e in outcomes - allowed}, set())
        self.assertIn(0, outcomes)

    def test_who_moves_something_into_it_can_be_interrupted_and_frees_those_who_waited(self):
        # The rename holds the lock of both directories while it looks, so the open waits for it.
        self.mount.lazy_directory("d")
        with open(self.p("x"), "wb") as f:
            f.write(b"x")
        mover = subprocess.Popen(["mv", self.p("x"), self.p("d")], stderr=subprocess.DEVNULL)
        force = self.mount.event("force")
        beside = Reader(self.p("new"), os.O_CREAT | os.O_WRONLY)
        self.assertEqual(read(self.p("x")), b"x")
        mover.send_signal(signal.SIGINT)
        mover.wait(DEADLINE_S)
        self.assertEqual(self.mount.event("cancel")[1], force[1])
        os.close(beside.done().fd)
        self.assertEqual(sorted(os.listdir(self.mount.directory)), ["d", "new", "x"])

    def test_sixteen_who_look_into_it_wait_for_one_directory_and_hinder_nobody_else(self):
        self.mount.lazy_directory("d")
        with open(self.p("plain"), "wb") as f:
            f.write(b"ordinary")
        readers = [Reader(self.p("d/a.h") if i % 2 else self.p("d")) for i in range(16)]
        forces = [self.mount.event("force")]
        run("ls", "-l", self.mount.directory, timeout=10)
        self.assertEqual(read(self.p("plain")), b"ordinary")
        os.stat(self.p("d"))
        os.mkdir(self.p("other"))
        self.mount.answer_tree(forces[0], TREE)
        while any(r.thread.is_alive() for r in readers):
            self.mount._receive(0.05)
            for force in [e for e in self.mount.events if e[0] == "force"]:
                self.mount.events.remove(force)
                if "/" in force[3]:
                    self.mount.answer(force, TREE["a.h"])
                else:
                    self.mount.answer_tree(force, TREE)
        for r in readers:
            self.assertIsNone(r.done().errno)
            os.close(r.fd)

    def test_ctrl_c_frees_all_who_look_up_the_same_name(self):
        self.mount.lazy_directory("d")
        children = [subprocess.Popen(["cat", self.p("d/a.h")], stderr=subprocess.DEVNULL)
                    for _ in range(4)]
        self.mount.event("force")
        for child in children:
            child.send_signal(signal.SIGINT)
        for child in children:
            child.wait(DEADLINE_S)

    def test_programs_that_may_not_force_get_edeadlk_and_what_is_ready(self):
        thunk = self.mount.lazy_directory("d")
        env = {**os.environ, "GGFS_FORCE": "off"}
        for argv in (("ls", self.p("d")), ("cat", self.p("d/a.h"))):
            self.assertIn(b"deadlock", run(*argv, env=env, check=False).stderr)
        self.assertIn("GGFS_FORCE", xattr(self.p("d"), "error"))
        self.assertEqual(self.mount.count("force"), 0)
        self.mount.ready_directory(thunk, TREE)
        self.assertEqual(run("ls", self.p("d"), env=env).stdout, b"a.h\nempty\nlink\nsub\n")

    def test_ordinary_tools_see_an_ordinary_directory(self):
        self.mount.lazy_directory("d", TREE)
        found = run("find", self.p("d"), "-printf", "%y %P\n").stdout.decode().splitlines()
        self.assertEqual(sorted(found), sorted(["d ", "d empty", "d sub", "d sub/deep", "f a.h",
                                                "f sub/b.h", "f sub/deep/run.sh", "l link"]))
        self.mount.lazy_directory("e", TREE)
        out = os.path.join(self.mount.base, "out")
        run("cp", "-r", self.p("e"), out)
        self.assertEqual(read(os.path.join(out, "sub/b.h")), TREE["sub/b.h"])
        self.mount.lazy_directory("f", TREE)
        archive = os.path.join(self.mount.base, "f.tar")
        run("tar", "-C", self.mount.directory, "-cf", archive, "f")
        self.assertEqual(run("tar", "-xOf", archive, "f/sub/b.h").stdout, TREE["sub/b.h"])
        self.mount.lazy_directory("g", TREE)
        run("diff", "-r", self.p("g"), out)
        run("git", "-C", self.mount.directory, "init", "-q")
        self.assertIn(b"?? d/", run("git", "-C", self.mount.directory, "status", "-s").stdout)

    def test_gcc_includes_headers_of_a_lazy_directory(self):
        self.mount.lazy_directory("inc", TREE)
        with open(self.p("a.c"), "w") as f:
            f.write('#include <a.h>\n#include "inc/sub/b.h"\nint main(void){return A + B;}\n')
        run("gcc", "-I" + self.p("inc"), "-o", self.p("prog"), self.p("a.c"))
        self.assertEqual(run(self.p("prog"), check=False).returncode, 3)

    def test_things_can_be_made_in_it_and_what_is_lazy_in_it_can_be_written(self):
        self.mount.lazy_directory("d", TREE)
        os.mkdir(self.p("d/new"))
        self.mount.lazy_directory("e", TREE)
        with open(self.p("e/file"), "wb") as f:
            f.write(b"mine")
        with open(self.p("e/a.h"), "ab") as f:
            f.write(b"more\n")
        self.assertEqual(read(self.p("e/a.h")), TREE["a.h"] + b"more\n")
        self.mount.lazy_directory("f", TREE)
        os.rename(self.p("d/new"), self.p("f/new"))
        os.unlink(self.p("f/link"))
        self.mount.unmount()
        self.assertEqual(sorted(os.listdir(self.p("f"))), ["a.h", "empty", "new", "sub"])
        self.assertEqual(sorted(os.listdir(self.mount.directory)), ["d", "e", "f"])

    def test_unmounted_it_is_a_plain_tree_of_placeholders_and_lazy_in_the_next_mount(self):
        thunk = self.mount.lazy_directory("d", TREE)
        other = self.mount.lazy_directory("e")
        os.listdir(self.p("d"))
        self.mount.unmount()
        self.assertEqual(sorted(os.listdir(self.mount.directory)), ["d", "e"])
        self.assertEqual(read(self.p("e")), placeholder(f"thunk {other} e"))
        self.assertEqual(read(self.p("d/sub/b.h")), placeholder(f"select {thunk} d sub/b.h"))
        self.assertEqual(os.readlink(self.p("d/link")), "sub/b.h")
        self.assertEqual(stat.S_IMODE(os.stat(self.p("d/sub/deep/run.sh")).st_mode), 0o755)
        self.mount.start()
        self.mount.ready_directory(thunk, TREE)
        self.assertEqual(read(self.p("d/sub/b.h")), TREE["sub/b.h"])
        self.assertTrue(stat.S_ISDIR(os.stat(self.p("e")).st_mode))

    def test_a_placeholder_written_under_another_name_is_a_directory_at_the_close(self):
        thunk = self.mount.thunk_with_tree("d")
        with open(self.p("a"), "wb") as f:
            f.write(placeholder(f"thunk {thunk} d"))
        self.assertTrue(stat.S_ISDIR(os.stat(self.p("a")).st_mode))
        self.fails(errno.EISDIR, os.open, self.p("a"), os.O_WRONLY)
        self.mount.ready_directory(thunk, TREE)
        self.assertEqual(read(self.p("a/a.h")), TREE["a.h"])

    def test_a_path_too_long_for_a_selection_is_kept_by_its_digest(self):
        path = "/".join(["%F0" * 30] * 8 + ["x" * 200] * 6)
        self.mount.lazy_directory("d", {path: b"deep"})
        where = os.path.join(os.fsencode(self.p("d")),
                             path.replace("%F0", "\udcf0").encode("utf-8", "surrogateescape"))
        self.assertEqual(os.stat(where).st_size, 4)
        self.assertEqual(read(where), b"deep")


class DirectoryWithoutPassthrough(Directory):
    options = ("no-passthrough",)


class Others(Case):
    options = ("allow-other",)

    @unittest.skipIf(os.getuid() != 0, "root gives the directory away here")
    def test_what_is_in_it_belongs_to_whom_it_belongs_to(self):
        self.mount.lazy_directory("d")
        os.chown(self.p("d"), 65534, 65534)
        child = subprocess.Popen(["ls", self.p("d")], stdout=subprocess.DEVNULL)
        self.mount.answer_tree(self.mount.event("force"), TREE)
        child.wait()
        for name in ("d", "d/a.h", "d/sub", "d/sub/deep/run.sh", "d/link"):
            st = os.lstat(self.p(name))
            self.assertEqual((st.st_uid, st.st_gid), (65534, 65534), name)
        self.assertEqual(stat.S_IMODE(os.stat(self.p("d/sub")).st_mode), 0o755)


class Crashes(Case):
    def test_killed_while_it_expands_there_is_the_old_or_the_new(self):
        listed, size = self.mount.manifest({f"s{i % 50}/f{i}": b"x" for i in range(2000)})
        for turn in range(10):
            name = f"d{turn}"
            thunk = self.mount.lazy_directory(name)
            reader = Reader(self.p(name), os.O_RDONLY | os.O_DIRECTORY)
            self.mount.say(f"tree {self.mount.event('force')[1]} {listed} {size}")
            time.sleep(turn * 0.01)  # where it is struck is left to chance; each outcome is right
            self.mount.kill()
            reader.done()
            if reader.fd is not None:
                try:
                    os.close(reader.fd)
                except OSError:
                    pass
            run("umount", "-l", self.mount.directory)
            whole = os.path.isdir(self.p(name))
            if whole:
                files = run("find", self.p(name), "-type", "f").stdout.count(b"\n")
                self.assertEqual(files, 2000)
            else:
                self.assertEqual(read(self.p(name)), placeholder(f"thunk {thunk} {name}"))
            self.mount.start()
            self.assertFalse(os.path.exists(self.p(".ggfs-intent")))
            self.mount.unmount()
            self.assertNotIn(".ggfs-intent", os.listdir(self.mount.directory))
            self.mount.start()
            self.mount.say(f"readytree {thunk} {listed} {size}")
            self.mount.sync()
            self.assertEqual(len(os.listdir(self.p(name))), 50)

    def test_what_was_half_made_is_removed_by_the_next_mount(self):
        thunk = self.mount.lazy_directory("d")
        self.mount.kill()
        run("umount", "-l", self.mount.directory)
        os.makedirs(self.p(".ggfs-intent/tree.12345/sub"))
        with open(self.p(".ggfs-intent/tree.12345/sub/f"), "w") as f:
            f.write("half")
        self.mount.start()
        self.assertEqual(xattr(self.p("d"), "thunk"), thunk)
        self.mount.unmount()
        self.assertEqual(os.listdir(self.mount.directory), ["d"])


if __name__ == "__main__":
    tap.main()
