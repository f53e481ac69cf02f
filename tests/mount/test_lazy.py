#!/usr/bin/python3
"""Lazy files do what docs/lazy-files.md says, operation by operation."""
import errno
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402
from cases import Case, Reader, read, xattr  # noqa: E402
from mounts import DEADLINE_S, PLACEHOLDER_SIZE, digest, placeholder, run  # noqa: E402


class Lazy(Case):
    def test_looking_forces_nothing_and_shows_no_blocks(self):
        self.mount.lazy("a")
        run("ls", "-l", self.mount.directory)
        run("find", self.mount.directory, "-type", "f")
        os.access(self.p("a"), os.R_OK)
        os.close(os.open(self.p("a"), os.O_PATH))
        st = os.stat(self.p("a"))
        self.assertEqual((st.st_size, st.st_blocks), (4096, 0))
        self.assertEqual(self.mount.count("force"), 0)

    def test_du_shows_what_is_here_and_ls_what_will_be(self):
        thunk = self.mount.lazy("a")
        self.mount.say(f"guess {thunk} 10000000")
        self.mount.say(f"settled {thunk}")
        self.mount.sync()
        self.assertEqual(os.stat(self.p("a")).st_size, 10000000)
        kilobytes = int(run("du", "-sk", self.p("a")).stdout.split()[0])
        self.assertEqual(kilobytes, 0)

    def test_first_open_forces_and_reads_the_result(self):
        self.mount.lazy("a")
        before = os.stat(self.p("a"))
        reader = Reader(self.p("a"))
        force = self.mount.event("force")
        self.mount.answer(force, b"result" * 1000)
        self.assertEqual(reader.content(), b"result" * 1000)
        after = os.stat(self.p("a"))
        self.assertEqual(after.st_size, 6000)
        self.assertGreater(after.st_blocks, 0)
        self.assertEqual((before.st_ino, before.st_mtime_ns, before.st_mode, before.st_nlink),
                         (after.st_ino, after.st_mtime_ns, after.st_mode, after.st_nlink))
        self.assertEqual(read(self.p("a")), b"result" * 1000)
        self.assertEqual(self.mount.count("force"), 0)

    def test_the_record_names_who_asked(self):
        self.mount.lazy("a")
        child = subprocess.Popen(["cat", self.p("a")], stdout=subprocess.PIPE)
        force = self.mount.event("force")
        self.assertEqual(force[2], f"cat[{child.pid}]")
        self.mount.answer(force, b"x")
        self.assertEqual(child.communicate()[0], b"x")

    def test_a_known_result_is_shown_and_read_without_a_force(self):
        self.mount.lazy("a", b"known")
        self.assertEqual(os.stat(self.p("a")).st_size, 5)
        self.assertEqual(read(self.p("a")), b"known")
        self.assertEqual(self.mount.count("force"), 0)

    def test_a_result_larger_or_smaller_than_the_guess_is_read_whole(self):
        for i, size in enumerate((1, 100, 2029, 4096, 4097, 1_000_000)):
            self.mount.lazy(f"a{i}")
            os.stat(self.p(f"a{i}"))
            reader = Reader(self.p(f"a{i}"))
            self.mount.answer(self.mount.event("force"), bytes([i]) * size)
            self.assertEqual(reader.content(), bytes([i]) * size)
            self.assertEqual(os.stat(self.p(f"a{i}")).st_size, size)

    def test_an_empty_result_is_an_empty_file(self):
        self.mount.lazy("a")
        reader = Reader(self.p("a"))
        self.mount.answer(self.mount.event("force"), b"")
        self.assertEqual(reader.content(), b"")
        self.assertEqual(os.stat(self.p("a")).st_size, 0)

    def test_a_program_is_forced_by_being_executed(self):
        self.mount.lazy("prog")
        program = read(shutil.which("ls"))
        child = subprocess.Popen(["sh", "-c", 'exec "$0" -d /', self.p("prog")],
                                 stdout=subprocess.PIPE)
        self.mount.answer(self.mount.event("force"), program)
        self.assertEqual(child.communicate(timeout=DEADLINE_S)[0], b"/\n")

    def test_python_maps_what_was_forced(self):
        self.mount.lazy("a", os.urandom(100_000))
        with open(self.p("a"), "rb") as f:
            m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
            self.assertEqual(len(m), 100_000)
            self.assertEqual(digest(m[:]), xattr(self.p("a"), "digest"))
            m.close()

    def test_ordinary_tools_read_lazy_files_right(self):
        data = os.urandom(50_000)
        self.mount.lazy("a", data)
        out = os.path.join(self.mount.base, "out")
        for argv in (("cp", self.p("a"), out), ("rsync", self.p("a"), out),
                     ("sh", "-c", f"cat {self.p('a')} > {out}"),
                     ("dd", f"if={self.p('a')}", f"of={out}", "bs=1k")):
            run(*argv)
            self.assertEqual(read(out), data, argv)
            os.unlink(out)
        run("tar", "-C", self.mount.directory, "-cf", out, "a")
        self.assertEqual(run("tar", "-xOf", out, "a").stdout, data)

    def test_gcc_links_lazy_objects(self):
        with open(self.p("a.c"), "w") as f:
            f.write("int main(void){return 3;}\n")
        run("gcc", "-c", "-o", self.p("real.o"), self.p("a.c"))
        self.mount.lazy("a.o", read(self.p("real.o")))
        run("gcc", "-o", self.p("prog"), self.p("a.o"))
        self.assertEqual(run(self.p("prog"), check=False).returncode, 3)

    def test_copies_of_placeholders_by_rename_and_link_stay_lazy(self):
        self.mount.lazy("a")
        os.rename(self.p("a"), self.p("b"))
        os.link(self.p("b"), self.p("c"))
        os.chmod(self.p("c"), 0o600)
        os.utime(self.p("c"), ns=(10**18, 10**18))
        self.assertEqual(os.stat(self.p("b")).st_mtime_ns, 10**18)
        self.assertEqual(xattr(self.p("b"), "state"), "unforced")
        self.assertEqual(self.mount.count("force"), 0)
        os.unlink(self.p("b"))
        os.unlink(self.p("c"))

    def test_an_open_handle_keeps_its_object_when_the_name_is_taken(self):
        self.mount.lazy("a", b"old")
        self.mount.lazy("b", b"new")
        with open(self.p("a"), "rb") as f:
            os.rename(self.p("b"), self.p("a"))
            self.assertEqual(f.read(), b"old")
        self.assertEqual(read(self.p("a")), b"new")

    def test_bytes_that_become_a_placeholder_are_lazy_at_the_close(self):
        thunk = self.mount.thunk()
        content = b"content" * 999
        self.mount.ready(thunk, content)
        fd = os.open(self.p("a"), os.O_RDWR | os.O_CREAT, 0o644)
        os.write(fd, placeholder(f"thunk {thunk} a"))
        self.assertEqual(os.fstat(fd).st_size, PLACEHOLDER_SIZE)
        os.close(fd)
        self.assertEqual(os.stat(self.p("a")).st_size, len(content))
        self.assertEqual(read(self.p("a")), content)

    def test_emptying_forces_nothing(self):
        for i, empty in enumerate((lambda p: os.truncate(p, 0),
                                   lambda p: os.close(os.open(p, os.O_WRONLY | os.O_TRUNC)),
                                   lambda p: open(p, "wb").close())):
            self.mount.lazy(f"a{i}")
            ino = os.stat(self.p(f"a{i}")).st_ino
            empty(self.p(f"a{i}"))
            st = os.stat(self.p(f"a{i}"))
            self.assertEqual((st.st_size, st.st_ino), (0, ino))
            self.assertEqual(xattr(self.p(f"a{i}"), "state"), "ordinary")
            with open(self.p(f"a{i}"), "wb") as f:
                f.write(b"mine")
            self.assertEqual(read(self.p(f"a{i}")), b"mine")
        self.assertEqual(self.mount.count("force"), 0)

    def test_writing_copies_the_result_into_the_same_inode_first(self):
        content = b"0123456789" * 5000
        thunk = self.mount.lazy("a")
        os.link(self.p("a"), self.p("other"))
        ino = os.stat(self.p("a")).st_ino
        writer = Reader(self.p("a"), os.O_RDWR)
        self.mount.answer(self.mount.event("force"), content)
        writer.done()
        self.assertIsNone(writer.errno)
        os.pwrite(writer.fd, b"XX", 3)
        os.close(writer.fd)
        expected = content[:3] + b"XX" + content[5:]
        self.assertEqual(read(self.p("a")), expected)
        self.assertEqual(read(self.p("other")), expected)
        st = os.stat(self.p("a"))
        self.assertEqual((st.st_ino, st.st_size, st.st_nlink), (ino, len(content), 2))
        self.assertEqual(xattr(self.p("a"), "state"), "ordinary")
        stored = os.path.join(self.mount.store, "objects", digest(content)[:2],
                              digest(content)[2:])
        self.assertEqual(read(stored), content)
        self.assertNotEqual(thunk, None)
        self.mount.unmount()
        self.assertEqual(sorted(os.listdir(self.mount.directory)), ["a", "other"])
        self.assertEqual(read(self.p("a")), expected)

    def test_appending_and_truncating_to_a_length_keep_what_was_there(self):
        self.mount.lazy("a", b"head")
        with open(self.p("a"), "ab") as f:
            f.write(b"tail")
        self.assertEqual(read(self.p("a")), b"headtail")
        self.mount.lazy("b", b"0123456789")
        os.truncate(self.p("b"), 4)
        self.assertEqual(read(self.p("b")), b"0123")

    def test_a_reader_of_the_object_is_not_disturbed_by_a_writer(self):
        self.mount.lazy("a", b"object" * 1000)
        with open(self.p("a"), "rb") as f:
            first = f.read(6)
            with open(self.p("a"), "r+b") as g:
                g.write(b"CHANGE")
            with open(self.p("a"), "rb") as g:
                self.assertEqual(g.read(6), b"CHANGE")
            self.assertEqual(first + f.read(), b"object" * 1000)
        self.assertEqual(read(self.p("a"))[:12], b"CHANGEobject")

    def test_what_is_mapped_after_a_change_is_new_while_old_handles_are_open(self):
        for name, change in (("a", lambda p: open(p, "wb")), ("b", lambda p: open(p, "r+b"))):
            self.mount.lazy(name, b"o" * 5000)
            os.link(self.p(name), self.p(name + "2"))
            with open(self.p(name), "rb") as old, open(self.p(name + "2"), "rb") as old2:
                with change(self.p(name)) as f:
                    f.write(b"n" * 5000)
                for path in (self.p(name), self.p(name + "2")):
                    with open(path, "rb") as f:
                        m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
                        self.assertEqual(m[:], b"n" * 5000)
                        m.close()
                self.assertEqual(old.read(), b"o" * 5000)
                self.assertEqual(old2.read(), b"o" * 5000)

    def test_emptying_by_truncate_while_somebody_reads_the_object(self):
        self.mount.lazy("a", b"o" * 5000)
        with open(self.p("a"), "rb") as old:
            os.truncate(self.p("a"), 0)
            self.assertEqual(os.stat(self.p("a")).st_size, 0)
            self.assertEqual(read(self.p("a")), b"")
            self.assertEqual(old.read(), b"o" * 5000)

    def test_two_writers_wait_for_one_copy(self):
        self.mount.lazy("a")
        writers = [Reader(self.p("a"), os.O_RDWR) for _ in range(3)]
        forces = [self.mount.event("force") for _ in range(3)]
        for force in forces:
            self.mount.answer(force, b"x" * 100_000)
        for w in writers:
            self.assertIsNone(w.done().errno)
            os.close(w.fd)
        self.assertEqual(read(self.p("a")), b"x" * 100_000)

    def test_xattrs_tell_the_state_and_are_read_only(self):
        thunk = self.mount.lazy("a")
        path = self.p("a")
        self.assertEqual(xattr(path, "state"), "unforced")
        self.assertEqual(xattr(path, "thunk"), thunk)
        self.assertEqual(xattr(path, "output"), "out/a")
        self.fails(errno.ENODATA, xattr, path, "digest")
        os.setxattr(path, "user.mine", b"1")
        self.assertEqual(sorted(os.listxattr(path)),
                         ["user.ggfs.output", "user.ggfs.state", "user.ggfs.thunk", "user.mine"])
        self.fails(errno.EPERM, os.setxattr, path, "user.ggfs.state", b"x")
        self.fails(errno.EPERM, os.removexattr, path, "user.ggfs.state")
        reader = Reader(path)
        self.mount.answer(self.mount.event("force"), b"data")
        reader.content()
        self.assertEqual(xattr(path, "state"), "ready")
        self.assertEqual(xattr(path, "digest"), digest(b"data"))

    def test_engine_and_cost_come_from_the_memo(self):
        thunk = self.mount.lazy("a", b"data")
        directory = os.path.join(self.mount.store, "memo", thunk[:2])
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, thunk[2:]), "w") as f:
            f.write(f"ggfs-memo 1\nthunk {thunk}\noutput blob {digest(b'data')} 4 out/a\n"
                    "engine local\nmicros 1500000\ncost 2500000\n")
        self.assertEqual(xattr(self.p("a"), "engine"), "local")
        self.assertEqual(xattr(self.p("a"), "seconds"), "1.500000")
        self.assertEqual(xattr(self.p("a"), "cost_usd"), "0.002500000")

    def test_a_failure_gives_its_errno_and_the_reason_is_there_before(self):
        for code in (errno.EREMOTEIO, errno.ETIMEDOUT, errno.ENETDOWN, errno.EACCES, errno.EDQUOT,
                     errno.ENOSPC, errno.ECANCELED, errno.EIO):
            name = f"a{code}"
            self.mount.lazy(name)
            reader = Reader(self.p(name))
            self.mount.fail(self.mount.event("force"), code, f"reason {code} of it")
            self.assertEqual(reader.done().errno, code)
            self.assertEqual(xattr(self.p(name), "error"), f"reason {code} of it")
            st = os.stat(self.p(name))
            self.assertEqual((st.st_size, st.st_blocks), (4096, 0))

    def test_no_failure_of_ours_looks_like_absence_or_an_interrupt(self):
        for code in (errno.ENOENT, errno.EINTR, errno.EAGAIN, errno.EBADMSG):
            name = f"a{code}"
            self.mount.lazy(name)
            reader = Reader(self.p(name))
            self.mount.fail(self.mount.event("force"), code, "odd")
            self.assertEqual(reader.done().errno, errno.EIO)

    def test_retry_forgets_a_failure(self):
        thunk = self.mount.lazy("a")
        self.mount.say(f"failed {thunk} {errno.EREMOTEIO} it broke")
        self.mount.say(f"settled {thunk}")
        self.mount.sync()
        self.fails(errno.EREMOTEIO, read, self.p("a"))
        self.assertEqual(xattr(self.p("a"), "state"), "failed")
        self.assertEqual(xattr(self.p("a"), "error"), "it broke")
        os.setxattr(self.p("a"), "user.ggfs.retry", b"")
        self.assertEqual(self.mount.event("retry")[1], thunk)

    def test_a_damaged_placeholder_is_eio_with_the_reason_and_can_be_replaced(self):
        text = placeholder("thunk nonsense")
        for name in ("a", "b", "c"):
            with open(self.p(name), "wb") as f:
                f.write(text)
            self.fails(errno.EIO, read, self.p(name))
            self.fails(errno.EIO, os.open, self.p(name), os.O_RDWR)
            self.assertEqual(xattr(self.p(name), "state"), "failed")
            self.assertIn("damaged", xattr(self.p(name), "error"))
        os.unlink(self.p("a"))
        os.rename(self.p("b"), self.p("a"))
        with open(self.p("c"), "wb") as f:
            f.write(b"good")
        self.assertEqual(read(self.p("c")), b"good")

    def test_a_placeholder_that_names_a_blob_is_opened_like_any(self):
        content = b"blob" * 2000
        self.mount.write_placeholder("a", f"blob {digest(content)} {len(content)}")
        reader = Reader(self.p("a"))
        self.mount.answer(self.mount.event("force"), content)
        self.assertEqual(reader.content(), content)
        self.assertEqual(xattr(self.p("a"), "digest"), digest(content))

    def test_an_object_lost_from_the_store_is_forced_again(self):
        thunk = self.mount.lazy("a", b"lost")
        self.assertEqual(os.stat(self.p("a")).st_size, 4)
        os.unlink(os.path.join(self.mount.store, "objects", digest(b"lost")[:2],
                               digest(b"lost")[2:]))
        self.mount.say(f"guess {thunk} 4")
        reader = Reader(self.p("a"))
        self.mount.answer(self.mount.event("force"), b"lost")
        self.assertEqual(reader.content(), b"lost")

    def test_an_interrupted_reader_leaves_at_once_and_its_force_is_withdrawn(self):
        self.mount.lazy("a")
        child = subprocess.Popen(["cat", self.p("a")])
        force = self.mount.event("force")
        started = time.monotonic()
        child.send_signal(signal.SIGINT)
        child.wait(DEADLINE_S)
        took = time.monotonic() - started
        self.assertEqual(self.mount.event("cancel")[1], force[1])
        self.assertLess(took, 5)
        reader = Reader(self.p("a"))
        self.mount.answer(self.mount.event("force"), b"fine")
        self.assertEqual(reader.content(), b"fine")

    def test_a_killed_reader_leaves_at_once(self):
        self.mount.lazy("a")
        child = subprocess.Popen(["cat", self.p("a")])
        self.mount.event("force")
        child.kill()
        child.wait(DEADLINE_S)
        self.mount.event("cancel")

    def test_interrupts_and_answers_at_once_answer_each_reader_once(self):
        for i in range(60):
            self.mount.lazy(f"a{i}")
            child = subprocess.Popen(["cat", self.p(f"a{i}")], stdout=subprocess.DEVNULL)
            force = self.mount.event("force")
            if i % 2:
                child.send_signal(signal.SIGINT)
                self.mount.answer(force, b"x")
            else:
                self.mount.answer(force, b"x")
                child.send_signal(signal.SIGINT)
            child.wait(DEADLINE_S)
        self.mount.sync()
        self.assertEqual(len(os.listdir(self.mount.directory)), 60)

    def test_sixty_four_parked_opens_do_not_hinder_anybody(self):
        for i in range(64):
            self.mount.lazy(f"a{i:02}")
        readers = [Reader(self.p(f"a{i:02}")) for i in range(64)]
        forces = [self.mount.event("force") for _ in range(64)]
        run("ls", "-l", self.mount.directory, timeout=10)
        with open(self.p("plain"), "wb") as f:
            f.write(b"ordinary")
        self.assertEqual(read(self.p("plain")), b"ordinary")
        os.mkdir(self.p("d"))
        for force in forces:
            self.mount.answer(force, b"content")
        for r in readers:
            self.assertEqual(r.content(), b"content")

    def test_one_readers_failure_to_wait_is_not_anothers(self):
        self.mount.lazy("a")
        child = subprocess.Popen(["cat", self.p("a")])
        first = self.mount.event("force")
        reader = Reader(self.p("a"))
        second = self.mount.event("force")
        child.kill()
        child.wait()
        self.assertEqual(self.mount.event("cancel")[1], first[1])
        self.mount.answer(second, b"kept")
        self.assertEqual(reader.content(), b"kept")

    def test_while_the_service_is_away_looking_goes_on(self):
        self.mount.lazy("a")
        self.mount.say("away on")
        self.mount.sync()
        st = os.stat(self.p("a"))
        self.assertEqual((st.st_size, st.st_blocks), (4096, 0))
        self.assertEqual(xattr(self.p("a"), "state"), "unforced")

    def test_a_service_that_hangs_delays_a_look_but_not_for_ever(self):
        self.mount.lazy("a")
        self.mount.say("mute on")
        self.mount.sync()
        self.assertEqual(os.stat(self.p("a")).st_size, 4096)

    def test_o_nonblock_waits_all_the_same(self):
        self.mount.lazy("a")
        reader = Reader(self.p("a"), os.O_RDONLY | os.O_NONBLOCK)
        self.mount.answer(self.mount.event("force"), b"tar does this")
        self.assertEqual(reader.content(), b"tar does this")

    def test_the_environment_of_a_reader_can_forbid_forcing(self):
        thunk = self.mount.lazy("a")
        env = {**os.environ, "GGFS_FORCE": "off"}
        started = run("cat", self.p("a"), env=env, check=False)
        self.assertIn(b"deadlock", started.stderr)
        self.assertIn("GGFS_FORCE", xattr(self.p("a"), "error"))
        self.assertEqual(self.mount.count("force"), 0)
        content = b"known by now"
        self.mount.ready(thunk, content)
        self.assertEqual(run("cat", self.p("a"), env=env).stdout, content)
        with open(self.p("a"), "r+b") as f:
            f.write(b"K")
        self.assertEqual(read(self.p("a")), b"Known by now")

    def test_placeholders_outlive_the_mount_and_are_lazy_in_the_next(self):
        thunk = self.mount.lazy("a")
        reader = Reader(self.p("a"))
        self.mount.answer(self.mount.event("force"), b"result")
        reader.content()
        with open(self.p("plain"), "wb") as f:
            f.write(b"plain")
        before = os.stat(self.p("a"))
        self.mount.unmount()
        self.assertEqual(sorted(os.listdir(self.mount.directory)), ["a", "plain"])
        self.assertEqual(read(self.p("a")), placeholder(f"thunk {thunk} out/a"))
        self.mount.start()
        self.mount.ready(thunk, b"result")
        after = os.stat(self.p("a"))
        self.assertEqual((after.st_ino, after.st_mtime_ns, after.st_size),
                         (before.st_ino, before.st_mtime_ns, 6))
        self.assertEqual(read(self.p("a")), b"result")

    def test_tar_and_rsync_of_the_backing_directory_carry_lazy_files(self):
        thunk = self.mount.lazy("a")
        self.mount.unmount()
        archive = run("tar", "-C", self.mount.directory, "-cf", "-", "a").stdout
        self.mount.start()
        run("tar", "-C", self.mount.directory, "--transform=s/a/b/", "-xf", "-", input=archive)
        self.assertEqual(xattr(self.p("b"), "thunk"), thunk)

    def test_unmounting_releases_parked_readers(self):
        self.mount.lazy("a")
        reader = Reader(self.p("a"))
        self.mount.event("force")
        self.mount.process.terminate()
        self.mount.ended()
        self.assertIn(reader.done().errno, (errno.ENOTCONN, errno.ECONNABORTED))


class LazyWithoutPassthrough(Lazy):
    options = ("no-passthrough",)


class StatForces(Case):
    options = ("stat=force",)

    def test_stat_forces_and_shows_the_exact_size(self):
        self.mount.lazy("a")
        child = subprocess.Popen(["stat", "-c", "%s", self.p("a")], stdout=subprocess.PIPE)
        self.mount.answer(self.mount.event("force"), b"twelve bytes")
        self.assertEqual(child.communicate()[0], b"12\n")


class Deadline(Case):
    options = ("deadline=100",)

    def test_a_deadline_is_etimedout(self):
        self.mount.lazy("a")
        self.fails(errno.ETIMEDOUT, read, self.p("a"))


class Crashes(Case):
    def copy_cut_short(self, torn):
        """What a kill -9 leaves that came while a result was copied into a lazy file."""
        content = os.urandom(300_000)
        thunk = self.mount.lazy("a", content)
        os.utime(self.p("a"), ns=(3 * 10**9, 3 * 10**9))
        self.mount.kill()
        run("umount", "-l", self.mount.directory)
        os.mkdir(self.p(".ggfs-intent"))
        name = f"{digest(content)}.{len(content)}.3.0.{os.stat(self.p('a')).st_ino}"
        os.link(self.p("a"), self.p(".ggfs-intent/" + name))
        os.rename(self.p("a"), self.p("moved"))
        if torn:
            with open(self.p("moved"), "r+b") as f:
                f.truncate(0)
                f.write(content[:100_000])
        return content, thunk

    def test_a_copy_cut_short_is_completed_by_the_next_mount(self):
        content, _ = self.copy_cut_short(torn=True)
        self.mount.start()
        self.assertEqual(read(self.p("moved")), content)
        st = os.stat(self.p("moved"))
        self.assertEqual((st.st_mtime_ns, st.st_nlink), (3 * 10**9, 1))
        self.mount.unmount()
        self.assertEqual(os.listdir(self.mount.directory), ["moved"])

    def test_a_copy_not_begun_leaves_the_file_lazy(self):
        _, thunk = self.copy_cut_short(torn=False)
        self.mount.start()
        self.assertEqual(xattr(self.p("moved"), "thunk"), thunk)

    def test_a_copy_whose_object_is_gone_leaves_a_placeholder_for_it(self):
        content, _ = self.copy_cut_short(torn=True)
        shutil.rmtree(os.path.join(self.mount.store, "objects", digest(content)[:2]))
        self.mount.start()
        self.assertEqual(xattr(self.p("moved"), "digest"), digest(content))
        reader = Reader(self.p("moved"))
        self.mount.answer(self.mount.event("force"), content)
        self.assertEqual(reader.content(), content)

    def test_kill_while_copying_leaves_old_or_new(self):
        content = os.urandom(60 << 20)
        thunk = self.mount.lazy("a", content)
        for delay in (0, 0.01, 0.03):
            writer = Reader(self.p("a"), os.O_RDWR)
            self.mount.event("force")
            time.sleep(delay)  # the invariant holds whenever the kill comes
            self.mount.kill()
            writer.done()
            if writer.fd is not None:
                self.fails(errno.ENOTCONN, os.close, writer.fd)
            self.mount.start()
            self.mount.ready(thunk, content)
            self.assertEqual(digest(read(self.p("a"))), digest(content))
            self.assertFalse(os.path.exists(self.p(".ggfs-intent")))
            self.mount.lazy("a", content)

    def test_a_stale_mount_is_healed_by_mounting(self):
        thunk = self.mount.lazy("a", b"result")
        parked = Reader(self.p("a"))
        parked.content()
        with open(self.p("plain"), "wb") as f:
            f.write(b"plain")
        self.mount.kill()
        self.fails(errno.ENOTCONN, os.listdir, self.mount.directory)
        listed = [m for m in run(os.environ["GGFS_MOUNT_DRIVER"], "--list").stdout.decode()
                  .splitlines() if m.startswith(self.mount.directory + "\t")]
        self.assertEqual([m.split("\t")[3] for m in listed], ["1"])
        self.mount.start()
        self.assertEqual(read(self.p("plain")), b"plain")
        self.assertEqual(xattr(self.p("a"), "thunk"), thunk)

    def test_passthrough_descriptors_outlive_the_mount_process(self):
        fd = os.open(self.p("plain"), os.O_RDWR | os.O_CREAT)
        os.write(fd, b"before")
        self.mount.kill()
        try:
            os.write(fd, b" and after")
        except OSError as e:
            self.skipTest(f"no passthrough here: {e}")
        finally:
            self.fails(errno.ENOTCONN, os.close, fd)  # closed all the same
        self.mount.start()
        self.assertEqual(read(self.p("plain")), b"before and after")

    def test_a_parked_reader_is_released_when_the_mount_process_dies(self):
        self.mount.lazy("a")
        reader = Reader(self.p("a"))
        self.mount.event("force")
        self.mount.kill()
        self.assertIn(reader.done().errno, (errno.ENOTCONN, errno.ECONNABORTED))


if __name__ == "__main__":
    tap.main()
