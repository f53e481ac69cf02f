"""A command on a terminal of its own: what it wrote, and its keyboard."""
import os
import pty
import select
import signal
import time

import place


class Terminal:
    def __init__(self, p, *argv):
        self.text = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(p.work)
            os.execvpe(argv[0], argv, p.env)
        self.waited_for = p.terminals
        self.waited_for.append(self.pid)

    def _read(self, timeout):
        if not select.select([self.fd], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += data
        return bool(data)

    def until(self, word):
        end = time.monotonic() + place.DEADLINE_S
        while word not in self.text:
            if not self._read(0.1) or time.monotonic() > end:
                raise AssertionError(f"{word!r} did not come: {self.text!r}")

    def type(self, keys):
        os.write(self.fd, keys)

    def end(self):
        """Its exit status, as waitpid() has it."""
        end = time.monotonic() + place.DEADLINE_S
        while self._read(0.1):
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self.waited_for.remove(self.pid)
        os.close(self.fd)
        return status
