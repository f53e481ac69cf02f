"""A source tree that is built twice at one path: plainly, then through a mount by `ggfs infer`.

    tree = Tree("lua")                     # temporary; close() undoes everything
    tree.sources(fill)                     # fill(path) writes the sources
    plain = tree.build_plainly(["make"])   # {path: File}; the tree is as it was afterwards
    tree.mount()
    tree.infer(["make"])
"""
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import ggfs_log  # noqa: E402

COMMAND_TIMEOUT_S = 1500
# Written by the build about itself: times, process numbers.
LOGS = ("config.log", "CMakeOutput.log", "CMakeError.log", ".ninja_log", ".ninja_deps")


class Failed(Exception):
    """A command ended badly; its output is the message."""


def ggfs_directory():
    """Where the build put the programs; meson sets it."""
    return os.environ.get("GGFS_TOOLS") or os.path.join(TOP, "build", "tools")


def fetch(package, destination):
    """The upstream tree of a Debian source package; False when it cannot be had here."""
    answer = subprocess.run([os.path.join(TOP, "tests", "lib", "fetch-source"), package,
                             destination], capture_output=True, text=True, check=False,
                            timeout=COMMAND_TIMEOUT_S)
    if answer.returncode:
        print("# " + answer.stderr.replace("\n", "\n# "), flush=True)
    return answer.returncode == 0


def snapshot(top):
    """{path: (digest, executable?) or link target} of everything below, directories left out."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in files + [f for f in folders if os.path.islink(os.path.join(folder, f))]:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, top)
            if name in LOGS:
                continue
            if os.path.islink(path):
                found[relative] = "-> " + os.readlink(path)
                continue
            with open(path, "rb") as f:
                digest = hashlib.blake2b(f.read(), digest_size=32).hexdigest()
            found[relative] = (digest, bool(os.stat(path).st_mode & 0o100))
    return found


class Tree:
    def __init__(self, name):
        self.work = tempfile.mkdtemp(prefix="ggfs-build-")
        self.path = os.path.join(self.work, name)
        self.pristine = os.path.join(self.work, "pristine")
        self.mounted = False
        self.env = {k: v for k, v in os.environ.items()
                    if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "CC", "CXX", "CFLAGS",
                                 "MALLOC_PERTURB_")}
        self.env.update(GGFS_STORE=os.path.join(self.work, "store"), LC_ALL="C.UTF-8",
                        SOURCE_DATE_EPOCH="1700000000",
                        PATH=ggfs_directory() + ":" + os.environ["PATH"])
        self.original = {}

    # --- running things -----------------------------------------------------------------------

    def run(self, command, check=True, cwd=None):
        """Runs a command in the tree; its output and exit status. Raises Failed if check."""
        # A file, not a pipe: a service started on the way may hold a pipe open.
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(command, cwd=cwd or self.path, env=self.env, stdout=out,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                       start_new_session=True)
            try:
                process.wait(timeout=COMMAND_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            out.seek(0)
            text = out.read().decode(errors="replace")
        if check and process.returncode:
            raise Failed(f"{' '.join(command)}: exit {process.returncode}\n{text[-6000:]}")
        return subprocess.CompletedProcess(command, process.returncode, text)

    def ggfs(self, *arguments, check=True):
        # Not from within the tree, so that no verb keeps the mount busy.
        return self.run(["ggfs", *arguments], check=check, cwd=self.work)

    # --- the tree -------------------------------------------------------------------------------

    def sources(self, fill):
        fill(self.pristine)
        self.reset()
        self.original = snapshot(self.path)

    def reset(self):
        """The sources as they were at first, times included. Not while mounted."""
        assert not self.mounted
        shutil.rmtree(self.path, ignore_errors=True)
        subprocess.run(["cp", "-a", self.pristine, self.path], check=True)

    def outputs(self):
        """What differs from the sources; reading all of it, so forcing what is lazy."""
        return {path: what for path, what in snapshot(self.path).items()
                if self.original.get(path) != what}

    def build_plainly(self, *commands):
        for command in commands:
            self.run(command)
        made = self.outputs()
        self.reset()
        return made

    def mount(self):
        self.ggfs("mount", self.path)
        self.mounted = True

    def umount(self):
        self.ggfs("umount", self.path)
        self.mounted = False

    def infer(self, command, check=True):
        return self.run(["ggfs", "infer", *command], check=check)

    def state(self, path):
        """unforced, forcing, ready, failed, or ordinary."""
        try:
            return os.getxattr(os.path.join(self.path, path), "user.ggfs.state").decode().strip()
        except OSError:
            return "ordinary"

    def lazy(self):
        """The paths that are lazy, whatever their state."""
        found = []
        for folder, _, files in os.walk(self.path):
            for name in files:
                relative = os.path.relpath(os.path.join(folder, name), self.path)
                if not os.path.islink(os.path.join(folder, name)) \
                        and self.state(relative) != "ordinary":
                    found.append(relative)
        return sorted(found)

    # --- what ran -------------------------------------------------------------------------------

    def log(self):
        return ggfs_log.records(self.ggfs("log", "--json", "--number", "1000000").stdout)

    def ran(self):
        """The functions that really ran so far: the last component of each one's first output."""
        return [os.path.basename(r["label"]) for r in self.log() if not r.get("memoised")]

    def ran_during(self, action):
        """What action made run, sorted."""
        before = len(self.ran())
        action()
        return sorted(self.ran()[before:])

    def force_everything(self):
        self.ggfs("force", self.path)

    def replace(self, path, old, new):
        """Edits a file as an editor does; it must hold old. make must see it as newer."""
        full = os.path.join(self.path, path)
        with open(full, encoding="utf-8") as f:
            text = f.read()
        assert old in text, f"{path} has no {old!r}"
        with open(full, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new, 1))
        newest = max(os.lstat(os.path.join(folder, name)).st_mtime_ns
                     for folder, _, files in os.walk(self.path) for name in files)
        os.utime(full, ns=(newest + 1_000_000, newest + 1_000_000))

    def append(self, path, text):
        with open(os.path.join(self.path, path), encoding="utf-8") as f:
            old = f.read()
        self.replace(path, old, old + text)

    def close(self):
        if self.mounted:
            if self.ggfs("umount", self.path, check=False).returncode:
                subprocess.run(["fusermount3", "-u", "-z", self.path], check=False)
        self.ggfs("stop", check=False)
        subprocess.run(["chmod", "-R", "u+w", self.work], check=False)
        shutil.rmtree(self.work, ignore_errors=True)


def why_no_mount():
    """Why nothing can be mounted here, or None."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as fault:
        return f"/dev/fuse: {fault.strerror}"
    return None


def difference(plain, ours):
    """What a person needs to see of two builds that should be equal; "" when they are."""
    lines = [f"not made: {path}" for path in sorted(set(plain) - set(ours))]
    lines += [f"made only by us: {path}" for path in sorted(set(ours) - set(plain))]
    lines += [f"differs: {path}: {plain[path]} {ours[path]}"
              for path in sorted(set(plain) & set(ours)) if plain[path] != ours[path]]
    return "\n".join(lines)
