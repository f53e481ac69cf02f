"""The command line under test: a store, a work directory, ggfs as a person calls it.

    with Place() as p:
        thunk = p.thunk("--output", "o", "--tool", "sh", "--", "sh", "-c", "echo hi >o")
        p.ok("force", thunk)
"""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.realpath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))

# nohup, and `&` in a script, have these ignored, by all that is started here as well.
for _ in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(_, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

DEADLINE_S = 60  # for what must happen at all; no test passes by it
PLACEHOLDER_SIZE = 2029

VERBS = ("init", "mount", "umount", "mounts", "infer", "force", "status", "why", "describe", "graph",
         "thunk", "hash", "cat", "log", "retry", "cancel", "stop", "doctor", "noforce", "allow",
         "service", "config", "lambda", "cost")

# Of the caller's environment, what would make a build or ggfs itself behave otherwise.
DROPPED = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "CXX", "CFLAGS", "MALLOC_PERTURB_", "PWD", "OLDPWD")


def tools_directory():
    """Where the build put the programs; meson sets it."""
    return os.environ.get("GGFS_TOOLS") or os.path.join(TOP, "build", "tools")


def wait_for(condition, what="the condition"):
    """Polls until condition() is true, and returns what it gave."""
    until = time.monotonic() + DEADLINE_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come true")
        time.sleep(0.01)


def why_no_mount():
    """Why nothing can be mounted here, or None."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as fault:
        return f"/dev/fuse: {fault.strerror}"
    return None


def parent_of(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", "rb") as f:
        return int(f.read().rpartition(b")")[2].split()[1])
    return None


class Place:
    def __init__(self, tools=None):
        self.base = os.path.realpath(tempfile.mkdtemp(prefix="ggfs-cli-"))
        self.store = os.path.join(self.base, "store")
        self.work = os.path.join(self.base, "work")
        os.mkdir(self.work)
        self.stores = [self.store]
        self.started = []
        self.terminals = []  # processes not waited for yet
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("GGFS_") and k not in DROPPED}
        self.env.update(GGFS_STORE=self.store, LC_ALL="C.UTF-8",
                        PATH=(tools or tools_directory()) + ":" + os.environ["PATH"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for pid in self.terminals:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for mount in self.mounts():
            self.run("ggfs", "umount", "--lazy", mount["directory"], cwd=self.base)
            if not mount["pid"]:
                continue  # left by a crash
            # A namespace that somebody else made meanwhile may keep it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(mount["pid"], signal.SIGTERM)
        wait_for(lambda: not self.serving(), "the end of the mounts")
        # Again, for a mount may have been about to start one when it was ended.
        wait_for(self.stop_services, "the end of the service")
        subprocess.run(["chmod", "-R", "u+w", self.base], check=False)
        shutil.rmtree(self.base)

    # --- running ---

    def run(self, *argv, **kwargs):
        """Runs a command to its end; bytes. Files, not pipes: what it starts may keep those."""
        kwargs.setdefault("cwd", self.work)
        kwargs.setdefault("env", self.env)
        given = kwargs.pop("input", None)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, \
                tempfile.TemporaryFile() as feed:
            feed.write(given or b"")
            feed.seek(0)
            kwargs.setdefault("stdin", feed)
            kwargs.setdefault("stdout", out)
            kwargs.setdefault("stderr", err)
            process = subprocess.Popen(argv, start_new_session=True, **kwargs)
            try:
                process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise AssertionError(f"{argv} does not end") from None
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(argv, process.returncode, out.read(), err.read())

    def ggfs(self, *arguments, **kwargs):
        return self.run("ggfs", *arguments, **kwargs)

    def ok(self, *arguments, **kwargs):
        """Runs ggfs, which must succeed; its standard output as text."""
        done = self.ggfs(*arguments, **kwargs)
        if done.returncode:
            raise AssertionError(f"ggfs {arguments}: exit {done.returncode}: {done.stderr.decode()}")
        return done.stdout.decode(errors="replace")

    def refused(self, code, *arguments, **kwargs):
        """Runs ggfs, which must end with code and say why; its standard error as text."""
        done = self.ggfs(*arguments, **kwargs)
        if done.returncode != code or not done.stderr.strip():
            raise AssertionError(f"ggfs {arguments}: exit {done.returncode}, not {code}: "
                                 f"{done.stdout!r} {done.stderr!r}")
        return done.stderr.decode(errors="replace")

    def start(self, *argv, **kwargs):
        """Starts a command in a group of its own, silent; the caller waits for it."""
        kwargs.setdefault("cwd", self.work)
        kwargs.setdefault("env", self.env)
        for stream in ("stdin", "stdout", "stderr"):
            kwargs.setdefault(stream, subprocess.DEVNULL)
        self.started.append(subprocess.Popen(argv, start_new_session=True, **kwargs))
        return self.started[-1]

    def json(self, *arguments, **kwargs):
        return json.loads(self.ok(*arguments, "--json", **kwargs))

    # --- things ---

    def path(self, *names):
        return os.path.join(self.work, *names)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def thunk(self, *arguments):
        return self.ok("thunk", *arguments).strip()

    def shell_thunk(self, script, *options, output="o"):
        """A thunk that runs a line of shell."""
        return self.thunk("--output", output, "--tool", "sleep", "--tool", "cp", *options, "--", "sh",
                          "-c", script)

    def placeholder(self, script, name="o", mode=0o755):
        """A lazy file in the work directory, made by a line of shell; its thunk."""
        thunk = self.shell_thunk(script, "--placeholders", output=name)
        os.chmod(self.path(name), mode)
        return thunk

    def endless(self, name="o"):
        """A lazy file whose function does not end by itself. name makes it another thunk."""
        return self.placeholder(f"echo {name}; exec sleep 100000", name)

    def state(self, target):
        return self.json("why", target)[0]["state"]

    def forcing(self, target):
        wait_for(lambda: self.state(target) == "forcing", f"the force of {target}")

    def mounts(self):
        done = self.run("ggfs", "mounts", "--json", cwd=self.base)
        return [m for m in json.loads(done.stdout or b"[]")
                if m["directory"].startswith(self.base + "/")]

    def mount(self, *options):
        return self.ok("mount", *options, self.work, cwd=self.base)

    def umount(self):
        self.ok("umount", self.work, cwd=self.base)

    def is_placeholder(self, name):
        with open(self.path(name), "rb") as f:
            return f.read(25) == b"#!/usr/bin/env ggfs-force"

    def processes(self):
        """Processes that work for this place: their command lines name its directory."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    words = f.read()
                if self.base.encode() in words:
                    found.append((int(pid), words))
        return found

    def stop_services(self):
        for store in self.stores:
            self.run("ggfs", "stop", "--store", store, cwd=self.base)
        return not self.services()

    def serving(self):
        return [pid for pid, words in self.processes() if b"ggfs\0mount\0" in words]

    def services(self):
        """Without what they have just forked, which is called as they are until it is executed."""
        found = [pid for pid, words in self.processes() if b"\0service\0" in words]
        return [pid for pid in found if parent_of(pid) not in found]
