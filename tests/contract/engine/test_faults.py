#!/usr/bin/python3
"""test_faults.py BENCH_REMOTE GGFS_LAMBDA_LOCAL: the lambda engine against our own Lambda that fails in
every way it can, by seeds: every function is answered, none is lost, and little fails."""
import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "lib"))
import lambda_local  # noqa: E402
import tap  # noqa: E402

BENCH, LAMBDA = sys.argv[1:3]
KINDS = ["throttle", "500", "502", "503", "504", "cut-before", "cut-middle", "cut-after", "unhandled",
         "oom", "timeout", "slow", "wrong-digest", "other-thunk"]
SEEDS, FUNCTIONS, AT_ONCE = 5, 200, 64


def run(seed, faults):
    """(bench_remote's answer, the server's counters) of one run."""
    with lambda_local.LambdaLocal(LAMBDA, "--emulate", 20, "--slow-ms", 300, "--seed", seed,
                                  "--fault", faults) as server:
        env = dict(os.environ, AWS_ACCESS_KEY_ID=lambda_local.ACCESS_KEY, HOME="/nonexistent",
                   AWS_SECRET_ACCESS_KEY=lambda_local.SECRET_KEY, AWS_REGION=lambda_local.REGION)
        done = subprocess.run([BENCH, server.endpoint, str(AT_ONCE), str(FUNCTIONS), "0"], env=env,
                              check=True, timeout=200, capture_output=True, text=True)
        return json.loads(done.stdout), done.stderr


class Faults(unittest.TestCase):
    def expect(self, seed, faults, failures):
        result, said = run(seed, faults)
        self.assertEqual(result["lost"], 0, (seed, faults, said))
        self.assertLessEqual(result["failed"], failures, (seed, faults, said))
        self.assertEqual(result["in_flight"], 0, (seed, faults))

    def test_each_kind_of_fault_alone_is_outlived(self):
        for kind in KINDS:
            # Out of memory, and too late, three times in a row: that is the function's own.
            self.expect(1, f"{kind}=0.2", 10 if kind in ("oom", "timeout") else 0)

    def test_all_kinds_at_once_lose_nothing(self):
        for seed in range(1, SEEDS + 1):
            self.expect(seed, ",".join(f"{kind}=0.04" for kind in KINDS), 10)


if __name__ == "__main__":
    sys.argv[1:] = []
    sys.exit(tap.main())
