#!/usr/bin/python3
"""Calls of tools, plain and inferred then forced: every file must be the same.

    test_commands.py MODEL_TOOL [Commands.test_NAME...]

No mount and no service: model-tool asks the models in its own process.
"""
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../lib"))
sys.path.insert(0, os.path.dirname(__file__))
import cases  # noqa: E402
import tap  # noqa: E402

TOOL_PATH = "/usr/local/bin:/usr/bin:/bin"
PLACEHOLDER = b"#!/usr/bin/env ggfs-force\n"
model_tool = None


def lay_out(directory, files):
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    for name, text in files.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if text.startswith("-> "):
            os.symlink(text[3:], path)
        else:
            with open(path, "w", newline="") as f:
                f.write(text)


def snapshot(directory):
    found = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(parent, name)
            st = os.lstat(path)
            if stat.S_ISREG(st.st_mode):
                with open(path, "rb") as f:
                    found[os.path.relpath(path, directory)] = (oct(st.st_mode & 0o777), f.read())
    return found


def split_command(command, directory):
    """-> (variables, argv with the tool's absolute path first)"""
    words = shlex.split(command.replace("@DIR@", directory))
    variables = {}
    while "=" in words[0]:
        name, value = words.pop(0).split("=", 1)
        variables[name] = value
    words[0] = shutil.which(words[0], path=TOOL_PATH)
    return variables, words


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = os.path.realpath(tempfile.mkdtemp(prefix="ggfs-model-"))
        cls.store = os.path.join(cls.top, "store")
        cls.directory = os.path.join(cls.top, "tree")

    @classmethod
    def tearDownClass(cls):
        subprocess.run(["chmod", "-R", "u+w", cls.top], check=False)
        shutil.rmtree(cls.top, ignore_errors=True)

    def run_in_tree(self, argv, variables):
        env = {"PATH": TOOL_PATH, "LC_ALL": "C", "HOME": "/", "PWD": self.directory, **variables}
        return subprocess.run(argv, cwd=self.directory, env=env, capture_output=True, text=True,
                              errors="replace", stdin=subprocess.DEVNULL, check=False)

    def lay_out_and_set_up(self, files, setup):
        lay_out(self.directory, files)
        for command in setup:
            variables, argv = split_command(command, self.directory)
            self.assertEqual(self.run_in_tree(argv, variables).returncode, 0, command)

    def run_plain(self, files, setup, steps):
        self.lay_out_and_set_up(files, setup)
        codes = []
        for _, command in steps:
            variables, argv = split_command(command, self.directory)
            codes.append(self.run_in_tree(argv, variables).returncode)
        return codes, snapshot(self.directory)

    def force_all(self):
        paths = [p for p, (_, text) in snapshot(self.directory).items()
                 if text.startswith(PLACEHOLDER)]
        if paths:
            done = self.run_in_tree([model_tool, "force", self.store, *sorted(paths)], {})
            self.assertEqual(done.returncode, 0, done.stderr)

    def check(self, steps, extra_files, setup):
        files = {**cases.FILES, **extra_files}
        codes, wanted = self.run_plain(files, setup, steps)
        self.lay_out_and_set_up(files, setup)
        for (expected, command), code in zip(steps, codes):
            if expected != "lazy":
                self.force_all()  # nothing does it for the real tool: there is no mount
            variables, argv = split_command(command, self.directory)
            done = self.run_in_tree([model_tool, "infer", self.store, self.directory, *argv], variables)
            kind, _, why = expected.partition(" ")
            answer = done.stdout.splitlines()[0] if done.stdout else done.stderr
            self.assertTrue(answer.startswith(kind), f"{command}: {answer}, not {expected}")
            if why:
                self.assertIn(why, answer, command)
            self.assertEqual(done.returncode, code, command + ": " + done.stderr)
        before = snapshot(self.directory)
        self.force_all()
        got = snapshot(self.directory)
        self.assertEqual(sorted(got), sorted(wanted))
        for path, (mode, text) in wanted.items():
            self.assertEqual(before[path][0], mode, f"mode of {path} while lazy")
            self.assertEqual(got[path][0], mode, f"mode of {path}")
            if not path.endswith(cases.UNSTABLE):
                self.assertTrue(got[path][1] == text, f"{path} has other bytes")


def add_tests():
    for name, steps, files, setup in cases.cases():
        def test(self, steps=steps, files=files, setup=setup):
            self.check(steps, files, setup)
        setattr(Commands, "test_" + name, test)


if __name__ == "__main__":
    model_tool = os.path.abspath(sys.argv.pop(1))
    add_tests()
    tap.main()
