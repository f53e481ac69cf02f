"""Mounts for tests: the driver, the scripted link, placeholders and objects as files.

    with Mount() as m:
        thunk = m.lazy("prog", content=b"...")     # ready as soon as somebody asks
        open(m.path("prog")).read()
"""
import hashlib
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

DRIVER = os.environ["GGFS_MOUNT_DRIVER"]
PLACEHOLDER_SIZE = 2029
DEADLINE_S = 20  # for what must happen at all; no test passes by it


def digest(data):
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def placeholder(ref):
    text = f"#!/usr/bin/env ggfs-force\nggfs-placeholder 1\n{ref}\n".encode()
    return text + b" " * (PLACEHOLDER_SIZE - len(text) - 1) + b"\n"


def wait_for(condition, what="the condition"):
    """Polls until condition() is true; fails after DEADLINE_S."""
    until = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come true")
        time.sleep(0.005)


def run(*argv, check=True, **kwargs):
    kwargs.setdefault("timeout", 60)
    done = subprocess.run(argv, capture_output=True, **kwargs)
    if check and done.returncode:
        raise AssertionError(f"{argv}: exit {done.returncode}: {done.stderr.decode()}")
    return done


def is_mounted(directory):
    done = run(DRIVER, "--list")
    return any(line.split("\t")[0] == directory for line in done.stdout.decode().splitlines())


class Mount:
    """A backing directory, a store, and the driver that mounts the one with the other."""

    def __init__(self, *options, base=None, prefix=(), start=True):
        self.base = os.path.realpath(base or tempfile.mkdtemp(prefix="ggfs-mount-"))
        self.owns_base = base is None
        self.directory = os.path.join(self.base, "tree")
        self.store = os.path.join(self.base, "store")
        os.makedirs(self.directory, exist_ok=True)
        self.options = options
        self.prefix = list(prefix)
        self.process = None
        self.thunks = 0
        if start:
            self.start()

    # --- life ---

    def start(self):
        path = os.path.join(self.base, "link")
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(1)
        self.log = open(os.path.join(self.base, "log"), "a+b")
        self.process = subprocess.Popen(
            [*self.prefix, DRIVER, self.directory, self.store, *self.options],
            stdout=subprocess.PIPE, stderr=self.log,
            env={**os.environ, "GGFS_FAKE_LINK": path, "GGFS_LOG": "warning"})
        if not self.process.stdout.read(1):
            self.process.wait()
            listener.close()
            raise AssertionError("no mount: " + self.messages())
        listener.settimeout(DEADLINE_S)
        self.link, _ = listener.accept()
        listener.close()
        self.received = b""
        self.events = []

    def messages(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def unmount(self, lazy=False):
        run(DRIVER, "--unmount", self.directory, *(["--lazy"] if lazy else []))
        self.ended()

    def ended(self):
        """The driver must end by itself, and with 0."""
        code = self.process.wait(DEADLINE_S)
        self.process.stdout.close()
        self.link.close()
        self.process = None
        if code:
            raise AssertionError(f"mount process: exit {code}: {self.messages()}")

    def kill(self):
        """As a crash does; descriptors stay, the mount is stale."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.link.close()
        self.process = None

    def close(self):
        if self.process:
            self.process.terminate()
            try:
                self.ended()
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the mount process did not end: " + self.messages())
        while is_mounted(self.directory):
            run(DRIVER, "--unmount", self.directory, "--lazy")
        messages = self.messages() if hasattr(self, "log") else ""
        if hasattr(self, "log"):
            self.log.close()
        if self.owns_base:
            shutil.rmtree(self.base)
        for suspicious in ("AddressSanitizer", "runtime error", "LeakSanitizer"):
            if suspicious in messages:
                raise AssertionError(messages)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    # --- the link ---

    def say(self, line):
        self.link.sendall(line.encode() + b"\n")

    def sync(self):
        """All that was said is in force when this returns."""
        self.say("sync")
        self.event("synced")

    def _receive(self, timeout):
        if not select.select([self.link], [], [], timeout)[0]:
            return False
        data = self.link.recv(65536)
        self.received += data
        while b"\n" in self.received:
            line, self.received = self.received.split(b"\n", 1)
            self.events.append(line.decode().split(" "))
        return bool(data)

    def event(self, word):
        """The next event of that kind, waited for and taken."""
        until = time.monotonic() + DEADLINE_S
        while True:
            for i, e in enumerate(self.events):
                if e[0] == word:
                    return self.events.pop(i)
            if time.monotonic() > until:
                raise AssertionError(f"no {word} came; {self.events}")
            self._receive(0.1)

    def count(self, word):
        """How many such events have come by now."""
        self.sync()
        return sum(1 for e in self.events if e[0] == word)

    # --- lazy files ---

    def put(self, content):
        """An object of the store."""
        name = digest(content)
        directory = os.path.join(self.store, "objects", name[:2])
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, name[2:])
        if not os.path.exists(path):
            with open(path, "wb") as f:
                f.write(content)
            os.chmod(path, 0o444)
        return name

    def thunk(self):
        self.thunks += 1
        return digest(b"thunk %d" % self.thunks)

    def write_placeholder(self, name, ref, mode=0o755):
        """As stand-ins do: written beside it, through the mount, and renamed over."""
        path = self.path(name)
        temporary = path + ".tmp"
        with open(temporary, "wb") as f:
            f.write(placeholder(ref))
        os.chmod(temporary, mode)
        os.rename(temporary, path)

    def lazy(self, name, content=None, mode=0o755):
        """A lazy file; with content its force succeeds at once. Returns its thunk."""
        thunk = self.thunk()
        self.write_placeholder(name, f"thunk {thunk} out/{os.path.basename(name)}", mode)
        if content is not None:
            self.ready(thunk, content)
        return thunk

    def ready(self, thunk, content):
        """The service has the thunk's result from now on."""
        self.say(f"ready {thunk} {self.put(content)} {len(content)}")
        self.say(f"settled {thunk}")
        self.sync()

    # --- lazy directories ---

    def thunk_with_tree(self, output):
        """A thunk, in the store, whose output is a directory."""
        self.thunks += 1
        return self.put(f"ggfs-thunk 1\nprogram bin/f\narg f{self.thunks}\n"
                        f"output tree {output}\ntimeout 60\n".encode())

    def manifest(self, entries):
        """Stores a directory's list: {path: bytes | ("link", target) | None | "ref text"}."""
        lines = ["ggfs-manifest 1"]
        for path, what in sorted(entries.items()):
            if what is None:
                lines.append(f"dir {path}")
            elif isinstance(what, tuple):
                lines.append(f"link {what[1]} {path}")
            elif isinstance(what, str):
                lines.append(f"file 0644 {what} {path}")
            else:
                mode = "0755" if path.endswith(".sh") else "0644"
                lines.append(f"file {mode} blob {self.put(what)} {len(what)} {path}")
        text = "".join(line + "\n" for line in lines).encode()
        return self.put(text), len(text)

    def lazy_directory(self, name, entries=None, mode=0o755):
        """With entries its force succeeds at once. Returns its thunk."""
        thunk = self.thunk_with_tree(name)
        self.write_placeholder(name, f"thunk {thunk} {name}", mode)
        if entries is not None:
            self.ready_directory(thunk, entries)
        return thunk

    def ready_directory(self, thunk, entries):
        """Its files are ready, too."""
        listed, size = self.manifest(entries)
        self.say(f"readytree {thunk} {listed} {size}")
        self.files_are_ready(thunk, entries)
        self.sync()

    def files_are_ready(self, thunk, entries):
        for path, content in entries.items():
            if isinstance(content, bytes):
                self.say(f"ready {thunk}/{path} {self.put(content)} {len(content)}")
        self.say(f"settled {thunk}")

    def answer_tree(self, force, entries):
        """Ends the force of a directory, whose files are ready then."""
        listed, size = self.manifest(entries)
        self.files_are_ready(force[3], entries)
        self.say(f"tree {force[1]} {listed} {size}")

    def answer(self, force, content):
        """Ends the force whose event this is: its result is in the store."""
        self.say(f"done {force[1]} {self.put(content)} {len(content)}")

    def fail(self, force, code, reason):
        self.say(f"fail {force[1]} {code} {reason}")
