#!/usr/bin/python3
"""Keeps the layers one-way, the headers self-contained and the code within the house's limits."""
import os
import re
import subprocess
import sys
import unittest

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import tap  # noqa: E402

# What each folder may include, itself aside. A folder not named here is no layer.
MAY_INCLUDE = {
    "common": [],
    "common/aws": ["common"],
    "objstore": ["common", "common/aws"],
    "engine": ["common", "objstore"],
    "engine/model": ["common", "objstore", "engine"],
    "engine/local": ["common", "objstore", "engine"],
    "engine/remote": ["common", "common/aws", "objstore", "engine"],
    "engine/worker": ["common", "common/aws", "objstore", "engine", "engine/local", "engine/remote"],
    "engine/service": ["common", "common/aws", "objstore", "engine", "engine/model", "engine/remote"],
    "fs": ["common", "objstore", "engine", "engine/service"],
    "tools": ["common", "common/aws", "objstore", "engine", "engine/model", "engine/remote", "engine/worker",
              "engine/service", "fs"],
    "tools/lambda_local": ["common", "common/aws", "objstore", "engine", "engine/remote"],
    "examples/fib": ["common", "objstore", "engine"],
}

# The headers that are for others; every other header is private to its folder.
PUBLIC = {
    "common": None,  # all of them: helpers for everybody
    "common/aws": ["client.h", "config.h", "sigv4.h"],
    "objstore": ["digest.h", "far.h", "index.h", "manifest.h", "memo.h", "pack.h", "ref.h", "s3_judge.h", "s3_place.h",
                 "store.h"],
    "engine": ["digest_map.h", "engine.h", "force.h", "lay_out.h", "placeholder.h", "price.h", "purse.h", "settings.h", "thunk.h", "yield.h"],
    "engine/model": ["infer.h", "view.h"],
    # What a worker, which lays out and runs functions too, shares with it.
    "engine/local": ["collect.h", "filter.h", "job.h", "limit.h", "plan.h", "toolchain.h", "weak.h", "world.h"],
    "engine/remote": ["bearer.h", "remote.h", "verdict.h", "wire.h"],
    "engine/worker": ["worker.h"],
    "engine/service": ["client.h", "link.h", "server.h", "wire.h"],
    "fs": ["mount.h"],
    "tools": [],
    "tools/lambda_local": [],
    "examples/fib": [],
}

# Of the engine, the mount sees placeholders and the service's client, and nothing that runs.
FS_SEES_OF_ENGINE = {"engine/placeholder.h", "engine/lay_out.h", "engine/force.h",
                     "engine/service/client.h", "engine/service/link.h"}

# Libraries that only one folder knows.
OWNED_LIBRARIES = [
    (re.compile(r"fuse[_.]|fuse3/|linux/fuse\.h"), {"fs"}),
    (re.compile(r"sqlite3"), {"objstore"}),
    (re.compile(r"curl/"), {"common"}),
    (re.compile(r"microhttpd"), {"tools", "tools/lambda_local"}),
    (re.compile(r"blake2"), {"objstore"}),
]

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
LINE_WIDTH_MAX = 110  # code is kept to 100 by clang-format; a comment may run over

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)


def tracked():
    """The project's files: what git knows, or what stands there when this is no clone."""
    answer = subprocess.run(["git", "-c", "safe.directory=*", "-C", TOP, "ls-files", "-z"],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if answer.returncode == 0 and answer.stdout:
        names = answer.stdout.decode().split("\0")
        return sorted(n for n in names if n and os.path.isfile(os.path.join(TOP, n)))
    found = []
    for folder, folders, files in os.walk(TOP):
        folders[:] = [f for f in folders if not f.startswith((".git", "build"))]
        found += [os.path.relpath(os.path.join(folder, f), TOP) for f in files]
    return sorted(found)


def text(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="surrogateescape") as f:
        return f.read()


FILES = tracked()
CODE = [f for f in FILES if f.endswith((".c", ".h")) and f.split("/")[0] != "tests"]
TEST_CODE = [f for f in FILES if f.endswith((".c", ".h")) and f.startswith("tests/")]


def header_defines(folder):
    """What a folder's meson.build defines for all its files, such as the version of an interface."""
    path = os.path.join(folder, "meson.build")
    return re.findall(r"-D[A-Z_]+=[0-9]+", text(path)) if path in FILES else []


def includes(path):
    """(quoted?, name) of each include."""
    return [(m.group(1) == '"', m.group(2)) for m in INCLUDE.finditer(text(path))]


def functions(source):
    """(name, first line, lines) of each function: the house's braces stand at column 0."""
    start = None
    lines = source.split("\n")
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            head = next((l for l in reversed(lines[max(0, start - 6):start - 1])
                         if l and not l[0].isspace()), "?")
            yield head, start, number - start - 1
            start = None


def without_comments_and_strings(source):
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda m: " " + "\n" * m.group(0).count("\n"), source)


class Layers(unittest.TestCase):
    maxDiff = None

    def assertNone(self, faults):
        self.assertFalse(faults, "\n" + "\n".join(faults))

    def test_there_is_code_to_look_at(self):
        for folder in ("common", "objstore", "engine", "fs", "tools"):
            self.assertTrue([f for f in CODE if f.startswith(folder + "/")], folder)

    def test_every_folder_with_code_is_a_known_layer(self):
        folders = {os.path.dirname(f) for f in CODE}
        self.assertNone(sorted(folders - set(MAY_INCLUDE)))

    def test_includes_go_one_way(self):
        faults = []
        for path in CODE:
            here = os.path.dirname(path)
            allowed = set(MAY_INCLUDE.get(here, [])) | {here}
            for quoted, name in includes(path):
                if quoted and os.path.dirname(name) not in allowed:
                    faults.append(f"{path} includes {name}")
        self.assertNone(faults)

    def test_includes_are_paths_from_the_top_that_exist(self):
        faults = []
        for path in CODE + TEST_CODE:
            for quoted, name in includes(path):
                # A test's helper that stands beside it needs no path.
                beside = path in TEST_CODE and "/" not in name and os.path.isfile(
                    os.path.join(TOP, os.path.dirname(path), name))
                if quoted and not beside and not os.path.isfile(os.path.join(TOP, name)):
                    faults.append(f"{path} includes {name}")
        self.assertNone(faults)

    def test_nobody_includes_another_folders_private_header(self):
        faults = []
        for path in CODE:
            for quoted, name in includes(path):
                folder, base = os.path.split(name)
                public = PUBLIC.get(folder, [])
                if quoted and folder != os.path.dirname(path) and public is not None \
                        and base not in public:
                    faults.append(f"{path} includes {name}")
        self.assertNone(faults)

    def test_public_headers_exist(self):
        self.assertNone([f"{folder}/{name}" for folder, names in PUBLIC.items()
                         for name in names or []
                         if not os.path.isfile(os.path.join(TOP, folder, name))])

    def test_the_mount_sees_only_placeholders_and_the_client_of_the_engine(self):
        faults = []
        for path in (f for f in CODE if f.startswith("fs/")):
            faults += [f"{path} includes {name}" for quoted, name in includes(path)
                       if quoted and name.startswith("engine/") and name not in FS_SEES_OF_ENGINE]
        self.assertNone(faults)

    def test_libraries_stay_in_their_folder(self):
        faults = []
        for path in CODE:
            for quoted, name in includes(path):
                for pattern, folders in OWNED_LIBRARIES:
                    if not quoted and pattern.match(name) and os.path.dirname(path) not in folders:
                        faults.append(f"{path} includes <{name}>")
        self.assertNone(faults)

    def test_every_header_compiles_alone(self):
        flags = ["-std=gnu11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-Wall", "-Wextra",
                 "-Werror", "-fsyntax-only", "-I", TOP]
        flags += subprocess.run(["pkg-config", "--cflags", "fuse3"], stdout=subprocess.PIPE,
                                check=True, text=True).stdout.split()
        faults = []
        for header in (f for f in CODE + TEST_CODE if f.endswith(".h")):
            own = header_defines(os.path.dirname(header))
            answer = subprocess.run([*os.environ.get("CC", "cc").split(), *flags, *own, "-xc", "-"],
                                    input=f'#include "{header}"\n#include "{header}"\n', text=True,
                                    capture_output=True, check=False)
            if answer.returncode:
                faults.append(f"{header}: {answer.stderr}")
        self.assertNone(faults)

    def test_every_header_says_what_it_promises(self):
        self.assertNone([f for f in CODE if f.endswith(".h")
                         and not text(f).lstrip().startswith("/*")])


class Style(unittest.TestCase):
    def assertNone(self, faults):
        self.assertFalse(faults, "\n" + "\n".join(faults))

    def test_no_file_is_longer_than_600_lines(self):
        self.assertNone([f"{f}: {n} lines" for f in CODE + TEST_CODE
                         for n in [text(f).count("\n")] if n > FILE_LINES_MAX])

    def test_no_function_is_longer_than_70_lines(self):
        self.assertNone([f"{f}:{start}: {count} lines: {head}" for f in CODE + TEST_CODE
                         for head, start, count in functions(text(f))
                         if count > FUNCTION_LINES_MAX])

    def test_no_line_is_wider_than_110_columns(self):
        faults = []
        for path in CODE + TEST_CODE:
            for number, line in enumerate(text(path).split("\n"), 1):
                if len(line.expandtabs(8)) > LINE_WIDTH_MAX:
                    faults.append(f"{path}:{number}: {len(line.expandtabs(8))} columns")
        self.assertNone(faults)

    def test_nothing_is_left_for_later(self):
        words = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"])
                           + r")\b")
        faults = []
        for path in FILES:
            if path.startswith("tests/fuzz/corpus/"):
                continue
            for number, line in enumerate(text(path).split("\n"), 1):
                if words.search(line):
                    faults.append(f"{path}:{number}: {line.strip()}")
        self.assertNone(faults)

    def test_no_structure_hides_behind_a_typedef(self):
        pattern = re.compile(r"\btypedef\s+(struct|union|enum)\b")
        self.assertNone([path for path in CODE
                         if pattern.search(without_comments_and_strings(text(path)))])

    def test_no_call_that_cannot_be_bounded(self):
        pattern = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|alloca|strtok|mktemp"
                             r"|tmpnam|system|popen)\s*\(")
        faults = []
        for path in CODE:
            for number, line in enumerate(without_comments_and_strings(text(path)).split("\n"), 1):
                if pattern.search(line):
                    faults.append(f"{path}:{number}: {line.strip()}")
        self.assertNone(faults)

    def test_below_tools_nobody_exits_and_nobody_prints(self):
        # A program of its own (a file with main) may; the log module is the one that prints.
        pattern = re.compile(r"(?<![\w.>])(exit|printf|puts|putchar|perror|vprintf"
                             r"|fprintf\s*\(\s*std(?:err|out)\b.*|err|errx|warn|warnx)\s*\(")
        faults = []
        for path in (f for f in CODE if f.endswith(".c")
                     and not f.startswith(("tools/", "examples/"))):
            code = without_comments_and_strings(text(path))
            if path == "common/log.c" or re.search(r"^int main\(", code, re.M):
                continue
            for number, line in enumerate(code.split("\n"), 1):
                if pattern.search(line):
                    faults.append(f"{path}:{number}: {line.strip()}")
        self.assertNone(faults)

    def test_no_static_local_changes(self):
        pattern = re.compile(r"^[ \t]+static (?!const\b|inline\b|atomic_)(?!.*\bconst\b)"
                             r"[^()]*[;=\[]")
        faults = []
        for path in CODE:
            for number, line in enumerate(without_comments_and_strings(text(path)).split("\n"), 1):
                if pattern.search(line):
                    faults.append(f"{path}:{number}: {line.strip()}")
        self.assertNone(faults)


class TheTestItself(unittest.TestCase):
    """What looks for faults must find one that is put before it."""

    def test_a_long_function_is_seen(self):
        source = "static int f(void)\n{\n" + "\tg();\n" * 71 + "}\n"
        self.assertEqual([("static int f(void)", 2, 71)], list(functions(source)))

    def test_an_include_is_seen_with_its_kind(self):
        found = [(m.group(1), m.group(2)) for m in
                 INCLUDE.finditer('#include "fs/mount.h"\n#  include <fuse.h>\n')]
        self.assertEqual([('"', "fs/mount.h"), ("<", "fuse.h")], found)

    def test_comments_and_strings_are_no_code(self):
        self.assertNotIn("exit(", without_comments_and_strings('/* exit(1) */ f("exit(2)"); // exit('))


if __name__ == "__main__":
    tap.main()
