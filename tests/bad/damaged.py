"""A place (tests/cli/place.py) whose store can be written to behind ggfs's back."""
import hashlib
import os
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
import place  # noqa: E402
from place import PLACEHOLDER_SIZE, Place, wait_for, why_no_mount  # noqa: E402,F401

FIRST_LINE = b"#!/usr/bin/env ggfs-force\n"


def digest(data):
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def placeholder(ref):
    """The text of a placeholder, right or wrong."""
    text = FIRST_LINE + b"ggfs-placeholder 1\n" + ref + b"\n"
    return text + b" " * (PLACEHOLDER_SIZE - 1 - len(text)) + b"\n"


class DamagedPlace(Place):
    def object(self, name):
        """Where the store keeps the blob of this digest."""
        return os.path.join(self.store, "objects", name[:2], name[2:])

    def put(self, data):
        """Puts bytes as a blob, as if a service had; the digest."""
        self.ok("init")
        name = digest(data)
        os.makedirs(os.path.dirname(self.object(name)), exist_ok=True)
        with open(self.object(name), "wb") as f:
            f.write(data)
        return name

    def put_thunk(self, *lines):
        return self.put(b"ggfs-thunk 1\n" + b"".join(line.encode() + b"\n" for line in lines))

    def damage(self, name, data):
        os.chmod(self.object(name), 0o644)
        with open(self.object(name), "wb") as f:
            f.write(data)

    def functions_run(self):
        return sum(not r["memoised"] for r in self.json("log", "-n", "100000"))

    def still_works(self):
        """Another thunk is made and read: nothing else was lost."""
        self.placeholder("echo fine >after", "after")
        self.ok("force", "after")
        assert self.read("after") == b"fine\n"
