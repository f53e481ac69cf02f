#!/usr/bin/python3
"""Everything that Lambda may do, seeded, and nothing lost: right bytes, or an error that says what happened."""
import errno
import json
import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import cloud  # noqa: E402
from cloud import Cloud  # noqa: E402
import place  # noqa: E402
import tap  # noqa: E402

WHY_NOT = cloud.why_not()
KINDS = ("throttle", "500", "502", "503", "504", "cut-before", "cut-middle", "cut-after", "unhandled", "oom",
         "timeout", "slow", "wrong-digest", "other-thunk")
SEEDS = 10  # of each mixture
FILES = 8
# What a force may come to when all tries are spent (docs/lazy-files.md).
MAY_FAIL = {errno.ENETDOWN, errno.ETIMEDOUT, errno.EREMOTEIO}


def mixture(whole):
    """All kinds at once, as often as one another."""
    return ",".join(f"{kind}={whole / len(KINDS):.6f}" for kind in KINDS)


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Trouble(unittest.TestCase):
    def force_under(self, faults, seed):
        """Forces some files; (how many were made, the errnos of the others)."""
        c = Cloud("--fault", faults, "--seed", str(seed), "--slow-ms", "200")
        try:
            for i in range(FILES):
                c.placeholder(f"echo {seed} {i} >o{i}", name=f"o{i}")
            names = [f"o{i}" for i in range(FILES)]
            done = json.loads(c.ggfs("force", "--json", "--keep-going", "--engine", "lambda=8", *names).stdout)
            made = 0
            for i, target in enumerate(done["targets"]):
                if target["ok"]:
                    made += 1
                    with open(c.path(f"o{i}"), "rb") as f:
                        self.assertEqual(f.read(), f"{seed} {i}\n".encode())
                else:
                    self.assertIn(target["errno"], MAY_FAIL, target)
                    self.assertTrue(target["reason"])
                    self.assertTrue(c.is_placeholder(f"o{i}"))
            self.assertEqual(len(done["targets"]), FILES)
            # Nothing is left in flight, here or there, and every invocation is on the bill.
            place.wait_for(lambda: c.counters()["in_flight"] == 0, "the end of all invocations")
            self.assertEqual(c.bill()["in_flight_usd"], 0)
            return made
        finally:
            c.close()

    def test_a_killed_service_goes_unnoticed_and_what_had_ended_is_not_paid_twice(self):
        c = Cloud()
        self.addCleanup(c.close)
        # Too large to come along with the answer: it is in the far store, and so is its memo.
        first = c.shell_thunk("head -c 40000 /dev/zero >o1", "--tool", "head", "--placeholders", output="o1")
        c.shell_thunk("sleep 3; { cat o1; echo end; } >o2", "--input", "o1=o1", "--tool", "cat", "--placeholders", output="o2")
        # o1 for its own sake as well: the two are no row then, which would be one invocation.
        force = c.start("ggfs", "force", "--engine", "lambda", "o1", "o2")
        place.wait_for(lambda: c.counters()["invocations"] == 2, "the second function's begin")
        [service] = c.services()
        killed_ns = time.time_ns()
        os.kill(service, signal.SIGKILL)
        self.assertEqual(force.wait(place.DEADLINE_S), 0)
        with open(c.path("o2"), "rb") as f:
            self.assertEqual(f.read(), b"\0" * 40000 + b"end\n")
        self.assertNotEqual(c.services(), [service])
        # The one that ran when the service died may run again; the one that had ended may not.
        self.assertLessEqual(c.counters()["invocations"], 3)
        self.assertNotIn(first, [r["thunk"] for r in json.loads(c.ok("log", "--json"))
                                 if not r["memoised"] and r["when_ns"] > killed_ns])

    def test_a_fifth_of_all_invocations_fail_in_every_way_there_is(self):
        made = sum(self.force_under(mixture(0.2), seed) for seed in range(1, SEEDS + 1))
        self.assertGreater(made, SEEDS * FILES * 9 // 10)

    def test_most_invocations_fail_in_every_way_there_is(self):
        made = sum(self.force_under(mixture(0.7), seed) for seed in range(101, 101 + SEEDS))
        self.assertGreater(made, SEEDS * FILES // 2)


if __name__ == "__main__":
    tap.main()
