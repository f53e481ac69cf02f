#!/usr/bin/python3
"""Ordinary files in a mount are ordinary files, with passthrough and without."""
import ctypes
import errno
import fcntl
import mmap
import os
import stat
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402
from mounts import Mount, run  # noqa: E402

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
libc = ctypes.CDLL(None, use_errno=True)


def renameat2(old, new, flags):
    if libc.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Ordinary:
    """Run by the classes below, each with other options."""
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.mount = Mount(*cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.mount.close()

    def setUp(self):
        self.dir = self.mount.path(self._testMethodName)
        os.mkdir(self.dir)

    def p(self, name):
        return os.path.join(self.dir, name)

    def backing_names(self):
        return sorted(os.listdir(self.dir))

    def fails(self, code, call, *args):
        with self.assertRaises(OSError) as caught:
            call(*args)
        self.assertEqual(caught.exception.errno, code)

    def test_written_is_read_back_and_size_and_mtime_are_right_at_once(self):
        write(self.p("a"), b"one")
        os.utime(self.p("a"), ns=(10**18, 10**18))
        with open(self.p("a"), "ab") as f:
            f.write(b"two")
        st = os.stat(self.p("a"))
        self.assertEqual(st.st_size, 6)
        self.assertNotEqual(st.st_mtime_ns, 10**18)
        self.assertEqual(read(self.p("a")), b"onetwo")

    def test_append_by_two_writers_interleaves_whole_writes(self):
        a = os.open(self.p("a"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        b = os.open(self.p("a"), os.O_WRONLY | os.O_APPEND)
        for i in range(50):
            os.write(a, b"a\n")
            os.write(b, b"b\n")
        os.close(a)
        os.close(b)
        self.assertEqual(read(self.p("a")), b"a\nb\n" * 50)

    def test_create_obeys_umask_and_mode(self):
        old = os.umask(0o027)
        try:
            os.close(os.open(self.p("a"), os.O_CREAT | os.O_WRONLY, 0o666))
            os.mkdir(self.p("d"), 0o777)
        finally:
            os.umask(old)
        self.assertEqual(stat.S_IMODE(os.stat(self.p("a")).st_mode), 0o640)
        self.assertEqual(stat.S_IMODE(os.stat(self.p("d")).st_mode), 0o750)

    def test_a_file_created_without_write_permission_can_be_written_by_its_creator(self):
        fd = os.open(self.p("a"), os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o400)
        os.write(fd, b"x")
        os.close(fd)
        self.assertEqual(read(self.p("a")), b"x")

    def test_excl_create_of_an_existing_file_is_eexist(self):
        write(self.p("a"), b"")
        self.fails(errno.EEXIST, os.open, self.p("a"), os.O_CREAT | os.O_EXCL | os.O_RDWR)

    def test_rename_replaces_exchanges_or_refuses_as_its_flags_say(self):
        write(self.p("a"), b"a")
        write(self.p("b"), b"b")
        self.fails(errno.EEXIST, renameat2, self.p("a"), self.p("b"), RENAME_NOREPLACE)
        renameat2(self.p("a"), self.p("b"), RENAME_EXCHANGE)
        self.assertEqual((read(self.p("a")), read(self.p("b"))), (b"b", b"a"))
        os.rename(self.p("a"), self.p("b"))
        self.assertEqual(read(self.p("b")), b"b")
        self.assertEqual(self.backing_names(), ["b"])
        self.fails(errno.ENOENT, os.stat, self.p("a"))

    def test_a_renamed_directory_keeps_its_open_files(self):
        os.mkdir(self.p("d"))
        with open(self.p("d/f"), "w+b") as f:
            os.rename(self.p("d"), self.p("e"))
            f.write(b"x")
        self.assertEqual(read(self.p("e/f")), b"x")

    def test_hard_links_are_one_file(self):
        write(self.p("a"), b"1")
        os.link(self.p("a"), self.p("b"))
        self.assertEqual(os.stat(self.p("a")).st_nlink, 2)
        self.assertEqual(os.stat(self.p("a")).st_ino, os.stat(self.p("b")).st_ino)
        with open(self.p("b"), "ab") as f:
            f.write(b"2")
        self.assertEqual(read(self.p("a")), b"12")
        os.unlink(self.p("a"))
        self.assertEqual(os.stat(self.p("b")).st_nlink, 1)

    def test_symbolic_links_are_made_read_followed_and_linked(self):
        write(self.p("a"), b"1")
        os.symlink("a", self.p("s"))
        self.assertEqual(os.readlink(self.p("s")), "a")
        self.assertEqual(read(self.p("s")), b"1")
        os.link(self.p("s"), self.p("t"), follow_symlinks=False)
        self.assertTrue(os.path.islink(self.p("t")))
        os.utime(self.p("s"), ns=(5, 7 * 10**9), follow_symlinks=False)
        self.assertEqual(os.lstat(self.p("s")).st_mtime_ns, 7 * 10**9)

    def test_fifo_and_socket_nodes_are_made(self):
        os.mkfifo(self.p("f"), 0o600)
        self.assertTrue(stat.S_ISFIFO(os.stat(self.p("f")).st_mode))

    def test_removed_while_open_stays_readable_and_writable(self):
        with open(self.p("a"), "w+b") as f:
            f.write(b"x")
            f.flush()
            os.unlink(self.p("a"))
            f.write(b"y")
            f.seek(0)
            self.assertEqual(f.read(), b"xy")
            self.assertEqual(os.fstat(f.fileno()).st_nlink, 0)
            os.ftruncate(f.fileno(), 1)
            self.assertEqual(os.fstat(f.fileno()).st_size, 1)
        self.assertEqual(self.backing_names(), [])

    def test_truncate_shortens_lengthens_and_empties(self):
        write(self.p("a"), b"12345")
        os.truncate(self.p("a"), 2)
        self.assertEqual(read(self.p("a")), b"12")
        os.truncate(self.p("a"), 4)
        self.assertEqual(read(self.p("a")), b"12\0\0")
        os.close(os.open(self.p("a"), os.O_WRONLY | os.O_TRUNC))
        self.assertEqual(os.stat(self.p("a")).st_size, 0)

    def test_chmod_chown_and_times_are_kept(self):
        write(self.p("a"), b"")
        os.chmod(self.p("a"), 0o4711)
        self.assertEqual(stat.S_IMODE(os.stat(self.p("a")).st_mode), 0o4711)
        if os.getuid() == 0:
            os.chown(self.p("a"), 12, 34)
            self.assertEqual((os.stat(self.p("a")).st_uid, os.stat(self.p("a")).st_gid), (12, 34))
        os.utime(self.p("a"), ns=(1_000_000_001, 2_000_000_002))
        st = os.stat(self.p("a"))
        self.assertEqual((st.st_atime_ns, st.st_mtime_ns), (1_000_000_001, 2_000_000_002))
        os.utime(self.p("a"))
        self.assertGreater(os.stat(self.p("a")).st_mtime, 10**9)

    def test_user_xattrs_are_set_listed_and_removed(self):
        write(self.p("a"), b"")
        os.setxattr(self.p("a"), "user.x", b"value")
        self.assertEqual(os.getxattr(self.p("a"), "user.x"), b"value")
        self.assertEqual(os.listxattr(self.p("a")), ["user.x"])
        self.fails(errno.EEXIST, os.setxattr, self.p("a"), "user.x", b"", os.XATTR_CREATE)
        os.removexattr(self.p("a"), "user.x")
        self.fails(errno.ENODATA, os.getxattr, self.p("a"), "user.x")
        self.assertEqual(os.getxattr(self.p("a"), "user.ggfs.state"), b"ordinary")

    def test_fallocate_and_holes(self):
        fd = os.open(self.p("a"), os.O_RDWR | os.O_CREAT)
        os.posix_fallocate(fd, 0, 8192)
        self.assertEqual(os.fstat(fd).st_size, 8192)
        os.ftruncate(fd, 1 << 20)
        os.pwrite(fd, b"x", (1 << 20) - 1)
        hole = os.lseek(fd, 0, os.SEEK_HOLE)
        self.assertLess(hole, (1 << 20) - 1)
        self.assertGreater(os.lseek(fd, hole, os.SEEK_DATA), hole)
        os.close(fd)

    def test_copy_file_range_copies(self):
        data = os.urandom(300_000)
        write(self.p("a"), data)
        a = os.open(self.p("a"), os.O_RDONLY)
        b = os.open(self.p("b"), os.O_WRONLY | os.O_CREAT)
        copied = 0
        while copied < len(data):
            n = os.copy_file_range(a, b, len(data) - copied)
            self.assertGreater(n, 0)
            copied += n
        os.close(a)
        os.close(b)
        self.assertEqual(read(self.p("b")), data)

    def test_locks_exclude_and_are_released(self):
        write(self.p("a"), b"")
        child = ("import fcntl,sys\n"
                 "f=open(sys.argv[1],'r+b')\n"
                 "try: getattr(fcntl,sys.argv[2])(f,fcntl.LOCK_EX|fcntl.LOCK_NB)\n"
                 "except BlockingIOError: sys.exit(7)\n")
        for kind in ("flock", "lockf"):
            with open(self.p("a"), "r+b") as f:
                getattr(fcntl, kind)(f, fcntl.LOCK_EX)
                held = run(sys.executable, "-c", child, self.p("a"), kind, check=False)
                self.assertEqual(held.returncode, 7, held.stderr)
            run(sys.executable, "-c", child, self.p("a"), kind)

    def test_shared_mmap_writes_reach_the_file(self):
        write(self.p("a"), b"\0" * 10000)
        with open(self.p("a"), "r+b") as f:
            m = mmap.mmap(f.fileno(), 10000)
            m[5000:5005] = b"hello"
            m.flush()
            m.close()
        self.assertEqual(read(self.p("a"))[5000:5005], b"hello")
        self.assertEqual(os.stat(self.p("a")).st_size, 10000)

    def test_a_mapping_that_outlives_its_descriptor_is_no_obstacle_to_new_opens(self):
        write(self.p("a"), b"x" * 5000)
        with open(self.p("a"), "rb") as f:
            m = mmap.mmap(f.fileno(), 5000, prot=mmap.PROT_READ)
        with open(self.p("a"), "r+b") as f:
            f.write(b"y")
        self.assertEqual(read(self.p("a"))[:2], b"yx")
        self.assertEqual(m[4999], ord("x"))
        m.close()

    def test_readers_and_writers_at_once_in_any_order_of_opening(self):
        write(self.p("a"), b"0" * 10)
        for first, second in ((os.O_RDONLY, os.O_RDWR), (os.O_WRONLY, os.O_RDONLY),
                              (os.O_RDWR, os.O_WRONLY | os.O_TRUNC)):
            a = os.open(self.p("a"), first)
            b = os.open(self.p("a"), second)
            writer = b if first == os.O_RDONLY else a
            os.pwrite(writer, b"zz", 0)
            self.assertEqual(read(self.p("a"))[:2], b"zz")
            os.close(a)
            os.close(b)

    def test_fsync_of_files_and_directories(self):
        with open(self.p("a"), "wb") as f:
            f.write(b"x")
            f.flush()
            os.fsync(f.fileno())
            os.fdatasync(f.fileno())
        fd = os.open(self.dir, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)

    def test_statfs_is_the_backing_filesystems(self):
        st = os.statvfs(self.dir)
        self.assertEqual(st.f_blocks, os.statvfs(self.mount.base).f_blocks)

    def test_a_large_directory_lists_every_name_once_while_it_is_being_emptied(self):
        names = {f"file-{i:05}" for i in range(3000)}
        for name in names:
            write(self.p(name), b"")
        self.assertEqual(sorted(os.listdir(self.dir)), sorted(names))
        self.assertEqual({e.name for e in os.scandir(self.dir) if e.stat().st_size == 0}, names)
        run("rm", "-rf", self.dir)
        self.assertFalse(os.path.exists(self.dir))

    def test_names_of_any_bytes(self):
        names = [b"\xff\xfe", b"with\nnewline", b"a b", b"\\", "ü".encode(), b"n" * 255]
        for name in names:
            write(os.path.join(os.fsencode(self.dir), name), name)
        self.assertEqual(sorted(os.listdir(os.fsencode(self.dir))), sorted(names))
        for name in names:
            self.assertEqual(read(os.path.join(os.fsencode(self.dir), name)), name)
        self.fails(errno.ENAMETOOLONG, write, os.path.join(os.fsencode(self.dir), b"n" * 256), b"")

    def test_a_name_that_was_looked_for_in_vain_appears_when_it_is_made(self):
        for make in (lambda p: write(p, b""), os.mkdir, lambda p: os.symlink("x", p)):
            self.assertFalse(os.path.lexists(self.p("n")))
            make(self.p("n"))
            self.assertTrue(os.path.lexists(self.p("n")))
            run("rm", "-rf", self.p("n"))
            self.assertFalse(os.path.lexists(self.p("n")))

    def test_files_without_a_name(self):
        try:
            fd = os.open(self.dir, os.O_TMPFILE | os.O_RDWR, 0o600)
        except OSError as e:
            self.assertEqual(e.errno, errno.EOPNOTSUPP)  # libfuse before 3.17
            return
        os.write(fd, b"x")
        at_symlink_follow = 0x400
        self.assertEqual(libc.linkat(-100, f"/proc/self/fd/{fd}".encode(), -100,
                                     os.fsencode(self.p("a")), at_symlink_follow), 0)
        os.close(fd)
        self.assertEqual(read(self.p("a")), b"x")

    def test_tar_rsync_and_cp_give_the_same_tree_back(self):
        source = self.p("source")
        os.mkdir(source)
        for i in range(40):
            write(os.path.join(source, f"f{i}"), os.urandom(i * 777))
        os.symlink("f1", os.path.join(source, "link"))
        os.link(os.path.join(source, "f2"), os.path.join(source, "hard"))
        os.chmod(os.path.join(source, "f3"), 0o751)
        run("cp", "-a", source, self.p("cp"))
        run("rsync", "-aHX", source + "/", self.p("rsync") + "/")
        os.mkdir(self.p("tar"))
        archive = run("tar", "-C", source, "-cf", "-", ".").stdout
        run("tar", "-C", self.p("tar"), "-xf", "-", input=archive)
        for copy in ("cp", "rsync", "tar"):
            run("diff", "-r", "--no-dereference", source, self.p(copy))
            self.assertEqual(os.stat(self.p(copy + "/f3")).st_mode, os.stat(source + "/f3").st_mode)

    def test_gcc_builds_and_the_program_runs(self):
        write(self.p("a.c"), b"#include <stdio.h>\nint main(void){puts(\"hi\");return 0;}\n")
        run("gcc", "-o", self.p("a"), self.p("a.c"), cwd=self.dir)
        self.assertEqual(run(self.p("a")).stdout, b"hi\n")
        with open(self.p("a"), "rb") as busy:
            self.assertEqual(run(self.p("a")).stdout, b"hi\n")
            self.assertEqual(busy.read(4), b"\x7fELF")

    def test_git_works(self):
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": self.dir}
        write(self.p("a"), b"x\n")
        for argv in (("init", "-q"), ("add", "a"),
                     ("-c", "user.name=n", "-c", "user.email=e", "commit", "-qm", "m")):
            run("git", *argv, cwd=self.dir, env=env)
        self.assertEqual(run("git", "status", "--short", cwd=self.dir, env=env).stdout, b"")

    def test_large_writes_and_direct_io(self):
        data = os.urandom(5 << 20)
        write(self.p("a"), data)
        self.assertEqual(read(self.p("a")), data)
        buffer = mmap.mmap(-1, 4096)
        try:
            fd = os.open(self.p("a"), os.O_RDONLY | os.O_DIRECT)
        except OSError:
            return
        self.assertEqual(os.preadv(fd, [buffer], 4096), 4096)
        os.close(fd)
        self.assertEqual(buffer[:], data[4096:8192])

    def test_the_intent_directory_cannot_be_made_or_seen(self):
        path = self.mount.path(".ggfs-intent")
        self.fails(errno.EPERM, os.mkdir, path)
        self.assertFalse(os.path.lexists(path))


class WithPassthrough(Ordinary, unittest.TestCase):
    pass


class WithoutPassthrough(Ordinary, unittest.TestCase):
    options = ("no-passthrough",)


if __name__ == "__main__":
    tap.main()
