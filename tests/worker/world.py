"""Requests to a worker, made in Python: what the wire's own encoder does not decide is seen so.

    world = World(); world.sh("echo hi >out")   -> a request's bytes, and the thunk's digest
"""
import base64
import ctypes
import glob
import hashlib
import json
import os
import re
import subprocess

VERSION = subprocess.run([os.path.join(os.environ["GGFS_TOOLS"], "ggfs-worker"), "--version"],
                         capture_output=True, text=True, check=True).stdout.split()[1]
PROGRAMS = ("sh", "sleep", "cat", "env", "chmod")


def digest(data):
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def libraries(path):
    """The files that a dynamically linked program needs, its dynamic linker among them."""
    said = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(", said)


class World:
    def __init__(self):
        self.blobs = {}  # digest: bytes
        entries = {}
        for program in PROGRAMS:
            path = f"/bin/{program}"
            entries[f"usr/bin/{program}"] = self.entry(path, f"usr/bin/{program}")
            for library in libraries(path):
                entries[library[1:]] = self.entry(library, library[1:])
        self.toolchain = self.put(("ggfs-manifest 1\n" +
                                   "".join(v + "\n" for _, v in sorted(entries.items()))).encode())

    def put(self, data):
        self.blobs[digest(data)] = data
        return f"{digest(data)} {len(data)}"

    def entry(self, path, name, mode="0755"):
        with open(path, "rb") as f:
            return f"file {mode} blob {self.put(f.read())} {name}"

    def thunk(self, argv, program, inputs=(), outputs=("w/out",), toolchain=True, timeout=60, env=("PATH=/usr/bin",),
              yields=False, memory=None):
        def escape(text):
            return "".join(c if "!" <= c <= "~" and c != "%" else "".join(f"%{b:02X}" for b in c.encode())
                           for c in text)
        lines = ["ggfs-thunk 1", "program " + program, *("arg " + escape(a) for a in argv), "cwd w",
                 *("env " + escape(e) for e in sorted(env)), *("input " + i for i in inputs),
                 *(["toolchain " + self.toolchain] if toolchain else []),
                 *("output file " + o for o in sorted(outputs)), f"timeout {timeout}",
                 *([f"memory {memory}"] if memory else []), *(["yields"] if yields else [])]
        return self.put(("\n".join(lines) + "\n").encode()).split()[0]

    def sh(self, script, **kwargs):
        return self.thunk(["sh", "-c", script], "usr/bin/sh", **kwargs)

    def request(self, *thunks, **more):
        blobs = [{"digest": d, "bytes": base64.b64encode(b).decode()} for d, b in self.blobs.items()]
        return json.dumps({"protocol": 1, "version": VERSION, "thunks": thunks, "blobs": blobs,
                           "inline_max": 1 << 20, **more}).encode()


def output(answer, result=0, path="w/out"):
    """The bytes of an output that came in an answer."""
    memo = answer["results"][result]["memo"]
    name = re.search(rf"^output blob (\S+) \d+ {re.escape(path)}$", memo, re.M).group(1)
    for blob in answer["blobs"]:
        if blob["digest"] == name:
            return base64.b64decode(blob["bytes"]) if "bytes" in blob else decompress(blob)
    raise AssertionError(f"{path} is not in the answer")


def decompress(blob):
    """By the library itself: Python has nothing for zstd."""
    packed, out = base64.b64decode(blob["zstd"]), ctypes.create_string_buffer(blob["size"])
    zstd = ctypes.CDLL("libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    size = zstd.ZSTD_decompress(out, ctypes.c_size_t(blob["size"]), packed, ctypes.c_size_t(len(packed)))
    assert size == blob["size"], size
    return out.raw


def leftovers(marker):
    """Processes whose command line has the marker."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                if marker.encode() in f.read():
                    found.append(path.split("/")[2])
        except OSError:
            pass
    return found
