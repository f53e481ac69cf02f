#!/usr/bin/python3
"""What compilers and binutils make on a worker, without namespaces, chroot or mount: every file must
be what the plain tools make, debug paths included.

    test_relocated.py MODEL_TOOL WORKER_TOOL AS_USER [Relocated.test_NAME...]

The calls are those of the models' own suite; it is the worker that runs what they record. It does
so where no namespace can be had, on a read-only root, with the machine's compiler, headers,
libraries of the compiler and all of /usr/bin hidden.
"""
import functools
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../build/model"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import cases  # noqa: E402
import tap  # noqa: E402
import test_commands  # noqa: E402
from test_commands import PLACEHOLDER, snapshot  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
BARE = os.path.join(HERE, "bare")
worker_tool = as_user = None


class Relocated(unittest.TestCase):
    setUpClass = classmethod(test_commands.Commands.setUpClass.__func__)
    tearDownClass = classmethod(test_commands.Commands.tearDownClass.__func__)
    run_in_tree = test_commands.Commands.run_in_tree
    lay_out_and_set_up = test_commands.Commands.lay_out_and_set_up
    run_plain = test_commands.Commands.run_plain
    check = test_commands.Commands.check

    def force_all(self):
        paths = [p for p, (_, text) in snapshot(self.directory).items()
                 if text.startswith(PLACEHOLDER)]
        if paths:
            cache = os.path.join(self.top, "cache")
            done = self.run_in_tree([*self.confined(), worker_tool, self.store, cache, *sorted(paths)],
                                    {"TMPDIR": self.top})
            self.assertEqual(done.returncode, 0, done.stderr)

    def confined(self):
        return [BARE, self.top, as_user, "user-without"] if can_confine() else []

    def test_the_machine_is_hidden(self):
        """Or the others would prove less than they seem to."""
        if not can_confine():
            self.skipTest("no mount namespace can be had")
        for path in ("/usr/bin/gcc", "/usr/bin/sh", "/usr/include/stdio.h"):
            done = subprocess.run([BARE, self.top, model_tool_path(), "infer", self.store, self.top, path],
                                  capture_output=True, text=True, check=False)
            self.assertNotEqual(done.returncode, 0, path)
            self.assertNotIn("lazy", done.stdout)


def model_tool_path():
    return test_commands.model_tool


@functools.lru_cache(None)
def can_confine():
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([BARE, directory, as_user, "user-without", worker_tool],
                              env={**os.environ, "TMPDIR": directory}, capture_output=True, check=False)
    return done.returncode == 98  # worker-tool's: it was reached


# What writes down where it is, or how it was called, in every way there is.
SOURCES = {"w.c": '#include <assert.h>\n#include "h/a.h"\nconst char *f = __FILE__;\n'
                  'int g(int i) { assert(i == A); return i; }\nint main(int c, char **v)'
                  ' { (void)v; return g(c); }\n',
           "q.cc": '#include <map>\n#include <string>\n#include <cassert>\n#include <stdexcept>\n'
                   'std::map<std::string, int> m;\nint main(int c, char **v) { assert(c); try { m.at(v[0]); }'
                   ' catch (std::out_of_range &) { return 0; } return m.size(); }\n'}
TRACES = [
    ("an_absolute_source", [("lazy", "gcc -g -O2 -c @DIR@/w.c -o @DIR@/out/w.o")]),
    ("absolute_includes", [("lazy", "gcc -g3 -I@DIR@ -I@DIR@/h/.. -include @DIR@/h/b.h -c w.c")]),
    ("recorded_switches", [("lazy", "gcc -g -O2 -frecord-gcc-switches -fPIC -c w.c -I@DIR@/h")]),
    ("prefix_maps", [("lazy", "gcc -g -ffile-prefix-map=@DIR@=/src -fdebug-prefix-map=/src=x -c @DIR@/w.c")]),
    ("cxx_with_all", [("lazy", "g++ -g3 -O2 -fPIC -D_FORTIFY_SOURCE=2 -fstack-protector-strong -std=c++17 -c q.cc"),
                      ("lazy", "g++ -g -pie q.o -o q -Wl,-rpath,/opt/x -Wl,-rpath,@DIR@/out -Wl,--build-id=sha1")]),
    ("a_build_id_and_a_map", [("lazy", "gcc -g -O2 -c w.c -o w.o"),
                              ("lazy", "gcc -g w.o -o w -Wl,--build-id,-z,relro,--as-needed -L@DIR@/out -lm")]),
    ("debug_split_off", [("lazy", "gcc -g -O2 -c w.c -o w.o"), ("lazy", "gcc -g w.o -o w"),
                         ("lazy", "objcopy --only-keep-debug w w.debug"), ("lazy", "strip w -o w.bare")]),
    ("an_archive_by_absolute_paths", [("lazy", "gcc -g -c x.c"), ("lazy", "ar rcs @DIR@/out/l.a @DIR@/x.o"),
                                      ("lazy", "ranlib out/l.a")]),
    ("temporary_names", [("lazy", "gcc -g -pipe -c w.c -o p.o"), ("lazy", "gcc -S -g w.c")]),
    ("link_time_optimisation", [("lazy", "gcc -g -flto -frandom-seed=@DIR@/w.o -O2 -c w.c"),
                                ("lazy", "gcc -g -flto -O2 w.o -o w -Wl,--build-id")]),
    # Without a seed gcc draws names of sections, anew each time; what is linked of them is the same.
    ("sections_named_at_random", [("lazy", "gcc -flto -O2 -c w.c -o w.random.o"),
                                  ("lazy", "gcc -flto -O2 w.random.o -o w -Wl,--build-id")]),
    ("sanitized", [("lazy", "gcc -g -O1 -fsanitize=undefined -c w.c")]),
]


def add_tests():
    for name, steps in TRACES:
        def trace(self, steps=steps):
            self.check(steps, SOURCES, [])
        setattr(Relocated, "test_traces_of_" + name, trace)
    for name, steps, files, setup in cases.cases():
        def test(self, steps=steps, files=files, setup=setup):
            self.check(steps, files, setup)
        setattr(Relocated, "test_" + name, test)


if __name__ == "__main__":
    test_commands.model_tool = os.path.abspath(sys.argv.pop(1))
    worker_tool = os.path.abspath(sys.argv.pop(1))
    as_user = os.path.abspath(sys.argv.pop(1))
    add_tests()
    tap.main()
