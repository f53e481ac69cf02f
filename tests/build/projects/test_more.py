#!/usr/bin/python3
"""More real projects, each built plainly and through infer at one path: minutes each, so the slow suite.

Compared are programs, libraries, objects and generated sources: a configure or a cmake also writes
down where it found its tools, and those it found elsewhere.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import harness  # noqa: E402
import tap  # noqa: E402

PRODUCTS = (".o", ".lo", ".a", ".so", ".c", ".h", ".cc")


class Project:
    """What each of the classes below checks of its package."""
    package = commands = program = None

    @staticmethod
    def products(tree, made):
        def is_product(path):
            if "CMakeFiles" in path and not path.endswith(".o"):
                return False
            if path.endswith(PRODUCTS) or ".so." in path:
                return True
            try:
                with open(os.path.join(tree.path, path), "rb") as f:
                    return f.read(4) == b"\x7fELF"
            except OSError:
                return False
        return {path: what for path, what in made.items() if is_product(path)}

    def test_every_product_is_what_a_plain_build_gives(self):
        if harness.why_no_mount():
            self.skipTest(harness.why_no_mount())
        tree = harness.Tree(self.package)
        self.addCleanup(tree.close)
        if not harness.fetch(self.package, tree.pristine):
            self.skipTest(f"the sources of {self.package} cannot be fetched here")
        tree.sources(lambda path: None)
        for command in self.commands:
            tree.run(command)
        plain = self.products(tree, tree.outputs())
        self.assertIn(self.program, plain)
        tree.reset()
        tree.mount()
        for command in self.commands:
            tree.infer(command)
        self.assertEqual("unforced", tree.state(self.program))
        tree.ggfs("force", tree.path)
        self.assertEqual("", harness.difference(plain, self.products(tree, tree.outputs())))


class Zlib(Project, unittest.TestCase):
    package, program = "zlib", "libz.a"
    commands = (["./configure"], ["make", "-j2"])


class Xz(Project, unittest.TestCase):
    package, program = "xz-utils", "src/liblzma/.libs/liblzma.a"
    commands = (["./configure"], ["make", "-j2"])


class Leveldb(Project, unittest.TestCase):
    package, program = "leveldb", "build/libleveldb.a"
    commands = (["cmake", "-G", "Ninja", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=Release",
                 "-DLEVELDB_BUILD_TESTS=OFF", "-DLEVELDB_BUILD_BENCHMARKS=OFF"],
                ["ninja", "-C", "build"])


if __name__ == "__main__":
    tap.main()
