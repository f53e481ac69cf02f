"""Runs unittest cases and speaks TAP, so that meson counts each test by its name.

    if __name__ == "__main__":
        tap.main()

A skipped test fails when GGFS_MUST_WORK=1 (as CI sets it): a skip says loudly that
something was not tried.
"""
import os
import sys
import traceback
import unittest


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0

    def _line(self, ok, test, note=""):
        self.number += 1
        name = test.id()
        if " (" not in name:  # not "setUpClass (__main__.Class)"
            name = name.split(".", 1)[-1]
        name = name.replace("#", "")
        print(f"{'ok' if ok else 'not ok'} {self.number} - {name}{note}", flush=True)

    def _explain(self, error):
        for line in "".join(traceback.format_exception(*error)).splitlines():
            print(f"# {line}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._line(True, test)

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self._line(False, test)
        self._explain(error)

    def addError(self, test, error):
        super().addError(test, error)
        self._line(False, test)
        self._explain(error)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        must_work = os.environ.get("GGFS_MUST_WORK") == "1"
        self._line(not must_work, test, f" # SKIP {reason}" if not must_work else "")
        if must_work:
            self.failures.append((test, reason))
            print(f"# skipped where skips are forbidden: {reason}", flush=True)


def main():
    """Runs the cases of the calling script; argv may name some of them (Class.test)."""
    loader = unittest.TestLoader()
    module = sys.modules["__main__"]
    suite = loader.loadTestsFromNames(sys.argv[1:], module) if sys.argv[1:] \
        else loader.loadTestsFromModule(module)
    result = TapResult()
    suite.run(result)
    print(f"1..{result.number}", flush=True)
    sys.exit(not result.wasSuccessful())
