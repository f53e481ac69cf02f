#!/usr/bin/python3
"""Services that were told to stop, services that answer nothing, and mounts that do not."""
import os
import signal
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from damaged import DamagedPlace, wait_for, why_no_mount  # noqa: E402
import tap  # noqa: E402

DEADLINE_S = 60
QUIET_S = 1  # several times what a mount used to need to start a service
SAID = "does not answer"


class Case(unittest.TestCase):
    def setUp(self):
        self.p = DamagedPlace()
        self.addCleanup(self.p.close)


@unittest.skipIf(why_no_mount(), why_no_mount())
class Stopped(Case):
    def setUp(self):
        super().setUp()
        self.p.placeholder("echo needed >o")
        self.p.mount()
        self.await_registration(1)

    def await_registration(self, number):
        def registrations():
            with open(os.path.join(self.p.store, "service", "log"), encoding="utf-8") as log:
                return log.read().count(f"mount of {self.p.work}\n")
        wait_for(lambda: registrations() == number, "the mount's registration")

    def test_it_stays_so_although_a_mount_is_there(self):
        self.assertIn("stopped", self.p.ok("stop"))
        until = time.monotonic() + QUIET_S
        while time.monotonic() < until:
            self.assertEqual([], self.p.services())
            time.sleep(0.02)
        self.assertIn("no service", self.p.ok("stop"))

    def test_a_reader_in_the_mount_has_it_come_back(self):
        self.p.ok("stop")
        self.assertEqual(b"needed\n", self.p.read("o"))
        self.assertEqual(1, len(self.p.services()))

    def test_the_mount_joins_what_a_verb_has_started(self):
        self.p.ok("stop")
        self.p.ok("force", "o")
        self.await_registration(2)
        self.assertEqual(b"needed\n", self.p.read("o"))


class RawClient:
    """Speaks to a service itself: a verb would look at the path that it sends, and hang there."""
    HELLO, INPUT, ERROR, ANSWER, PROTOCOL = 1, 17, 65, 70, 2

    def __init__(self, store):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(os.path.join(store, "service", "socket"))
        assert self.ask(self.HELLO, struct.pack("<II", self.PROTOCOL, os.getpid()) + self.string("0")
                        + self.string(""))[0] == self.ANSWER

    def string(self, text):
        return struct.pack("<I", len(text.encode())) + text.encode()

    def ask(self, kind, payload):
        self.socket.sendall(struct.pack("<IHHI", len(payload) + 8, kind, 0, 1) + payload)
        received = self.socket.makefile("rb")
        length, kind, _, _ = struct.unpack("<IHHI", received.read(12))
        return kind, received.read(length - 8)


@unittest.skipIf(why_no_mount(), why_no_mount())
class MountsAway(Case):
    def test_a_new_service_never_looks_through_a_mount_that_it_does_not_know(self):
        p = self.p
        p.write("x.c", "int x;\n")
        p.mount()
        [mount] = p.serving()
        os.kill(mount, signal.SIGSTOP)
        try:
            for service in p.services():
                os.kill(service, signal.SIGKILL)
            wait_for(lambda: not p.services(), "the end of the service")
            p.ok("log", cwd=p.base)
            client = RawClient(p.store)
            kind, said = client.ask(client.INPUT, client.string(p.path("x.c")) + b"\0")
        finally:
            os.kill(mount, signal.SIGCONT)
        self.assertEqual(client.ERROR, kind)
        self.assertIn(b"not known to this service", said)
        wait_for(lambda: client.ask(client.INPUT, client.string(p.path("x.c")) + b"\0")[0] == client.ANSWER,
                 "the mount's registration")


class Deaf(Case):
    """A service under SIGSTOP: its socket lets everybody in, and nobody is answered."""

    def setUp(self):
        super().setUp()
        self.p.placeholder("echo 1 >o")
        self.p.ok("status", ".")
        [self.service] = self.p.services()
        self.addCleanup(self.go_on)

    def go_on(self):
        try:
            os.kill(self.service, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def start(self, *words):
        self.said = os.path.join(self.p.base, "said")
        with open(self.said, "wb") as out:
            return self.p.start("ggfs", *words, stderr=out)

    def what_was_said(self):
        with open(self.said, encoding="utf-8") as f:
            return f.read()

    def halt_in(self, force):
        """Once it has been greeted, which is when it waits without end."""
        self.p.forcing("o")
        os.kill(self.service, signal.SIGSTOP)
        return force

    def test_it_is_told_of_once_and_waited_for(self):
        self.p.placeholder("sleep 4; echo 1 >o")
        force = self.halt_in(self.start("force", "o"))
        wait_for(lambda: SAID in self.what_was_said(), "the warning")
        self.assertIn(f"pid {self.service}", self.what_was_said())
        self.assertIn(os.path.join(self.p.store, "service", "log"), self.what_was_said())
        self.go_on()
        self.assertEqual(0, force.wait(DEADLINE_S))
        self.assertEqual(1, self.what_was_said().count(SAID))

    def test_an_interrupt_ends_a_force(self):
        self.p.endless("o")
        force = self.halt_in(self.start("force", "o"))
        force.send_signal(signal.SIGINT)
        self.assertEqual(130, force.wait(DEADLINE_S))

    def test_one_that_is_at_work_is_not_told_of(self):
        self.p.placeholder("sleep 7; echo 1 >o")
        self.assertEqual(0, self.start("force", "--quiet", "o").wait(DEADLINE_S))
        self.assertNotIn(SAID, self.what_was_said())

    def test_an_interrupt_ends_every_verb(self):
        os.kill(self.service, signal.SIGSTOP)
        for words in (["status", "."], ["why", "o"], ["describe", "o"], ["graph", "o"], ["log"], ["retry", "o"],
                      ["cancel", "--all"], ["cat", "o"], ["force", "o"], ["cost"], ["stop"],
                      ["thunk", "-o", "x", "sh", "-c", "true"]):
            verb = self.start(*words)
            wait_for(lambda: self.waits(verb), f"{words} waiting")
            verb.send_signal(signal.SIGINT)
            self.assertEqual(-signal.SIGINT, verb.wait(DEADLINE_S), words)

    def waits(self, verb):
        """Whether it is at its service's socket, in poll."""
        self.assertIsNone(verb.poll(), "it has ended")
        with open(f"/proc/{verb.pid}/wchan", encoding="ascii") as f:
            return "poll" in f.read()


if __name__ == "__main__":
    tap.main()
