"""What the tests of lazy files and directories share: a mount a test, and readers in threads."""
import errno
import os
import threading
import unittest

from mounts import DEADLINE_S, Mount


def read(path):
    with open(path, "rb") as f:
        return f.read()


def xattr(path, name):
    return os.getxattr(path, "user.ggfs." + name).decode()


class Reader:
    """open(path, flags) in a thread; the outcome is the descriptor or the errno."""

    def __init__(self, path, flags=os.O_RDONLY):
        self.fd = self.errno = None
        self.thread = threading.Thread(target=self._open, args=(path, flags), daemon=True)
        self.thread.start()

    def _open(self, path, flags):
        try:
            self.fd = os.open(path, flags)
        except OSError as e:
            self.errno = e.errno

    def done(self):
        self.thread.join(DEADLINE_S)
        if self.thread.is_alive():
            raise AssertionError("the open did not return")
        return self

    def content(self):
        self.done()
        if self.errno:
            raise AssertionError(os.strerror(self.errno))
        with os.fdopen(self.fd, "rb") as f:
            return f.read()


class Case(unittest.TestCase):
    options = ()

    def setUp(self):
        self.mount = Mount(*self.options)
        self.addCleanup(self.mount.close)

    def p(self, name):
        return self.mount.path(name)

    def fails(self, code, call, *args):
        with self.assertRaises(OSError) as caught:
            call(*args)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[code])
