#!/usr/bin/python3
"""What compilers and binutils make on a worker, without namespaces, chroot or mount: every file must
be what the plain tools make, debug paths included.

    test_relocated.py MODEL_TOOL WORKER_TOOL [Relocated.test_NAME...]

The calls are those of the models' own suite; it is the worker that runs what they record.
"""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../build/model"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../lib"))
import cases  # noqa: E402
import tap  # noqa: E402
import test_commands  # noqa: E402
from test_commands import PLACEHOLDER, snapshot  # noqa: E402

worker_tool = None


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
            done = self.run_in_tree([worker_tool, self.store, cache, *sorted(paths)], {})
            self.assertEqual(done.returncode, 0, done.stderr)


MORE = [
    ("link_time_optimisation", [("lazy", "gcc -g -O2 -frandom-seed=1 -frecord-gcc-switches -c x.c")]),
]


def add_tests():
    for name, steps, files, setup in cases.cases():
        def test(self, steps=steps, files=files, setup=setup):
            self.check(steps, files, setup)
        setattr(Relocated, "test_" + name, test)


if __name__ == "__main__":
    test_commands.model_tool = os.path.abspath(sys.argv.pop(1))
    worker_tool = os.path.abspath(sys.argv.pop(1))
    add_tests()
    tap.main()
