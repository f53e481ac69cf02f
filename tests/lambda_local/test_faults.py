#!/usr/bin/python3
"""Faults on order."""
import concurrent.futures
import http.client
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from case import PROGRAM, Case, tap  # noqa: E402

CUT = (http.client.RemoteDisconnected, ConnectionResetError)
BLOB = {"blobs": [{"digest": "00" * 32, "bytes": "AAAA"}]}


class Kinds(Case):
    def one(self, kind, body="return event", payload=None, **more):
        """The answer to one invocation that meets this fault for certain."""
        self.serving, client = self.with_function(body, "--fault", f"{kind}=1", "--slow-ms", 200, **more)
        return client.invoke("f", payload if payload is not None else {"a": 1})

    def ran(self):
        return self.serving.counters()["invocations"]

    def test_429_comes_for_each_reason_in_turn(self):
        _, client = self.with_function("return 1", "--fault", "throttle=1")
        answers = [client.invoke("f", {}) for _ in range(6)]
        for answer in answers:
            self.assertRefused(answer, 429, "TooManyRequestsException")
        self.assertEqual(len({answer.json()["Reason"] for answer in answers}), 6)

    def test_500_to_504_run_nothing(self):
        for kind, error in (("500", "ServiceException"), ("502", "EC2UnexpectedException"),
                            ("503", "ServiceUnavailableException"), ("504", None)):
            self.assertRefused(self.one(kind), int(kind), error)
            self.assertEqual(self.ran(), 0)

    def test_a_connection_that_is_cut_before_runs_nothing(self):
        with self.assertRaises(CUT):
            self.one("cut-before")
        self.assertEqual(self.ran(), 0)

    def test_a_connection_that_is_cut_after_has_run(self):
        with self.assertRaises(CUT):
            self.one("cut-after")
        self.assertEqual(self.ran(), 1)

    def test_a_connection_that_is_cut_in_the_middle_brings_half(self):
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.one("cut-middle", payload="x" * 998)
        self.assertEqual((len(caught.exception.partial), caught.exception.expected), (500, 500))
        # Of an answer of one byte nothing is left.
        with self.assertRaises(http.client.IncompleteRead) as caught:
            self.one("cut-middle", payload=1)
        self.assertEqual((caught.exception.partial, caught.exception.expected), (b"", 1))

    def test_a_function_that_dies_says_how(self):
        for kind, error, words in (("unhandled", "Runtime.ExitError", "exit status 1"),
                                   ("oom", "Runtime.ExitError", "signal: killed"),
                                   ("timeout", "Sandbox.Timedout", "Task timed out")):
            for body in ("time.sleep(2)", "return 1"):
                answer = self.one(kind, body)
                self.assertFunctionError(answer, error)
                self.assertIn(words, answer.json()["errorMessage"])
                self.until(lambda: self.serving.counters()["instances"] == 0)

    def test_a_slow_answer_is_right(self):
        self.assertEqual(self.one("slow").json(), {"a": 1})

    def test_a_wrong_digest_is_one_character_of_a_blob(self):
        answer = self.one("wrong-digest", payload=BLOB)
        self.assertEqual(answer.status, 200)
        blob = answer.json()["blobs"][0]
        self.assertEqual(blob["digest"], "00" * 32)
        self.assertEqual(sum(a != b for a, b in zip(blob["bytes"], "AAAA")), 1)

    def test_another_thunks_answer_is_the_one_before(self):
        _, client = self.with_function("return event", "--fault", "other-thunk=1")
        self.assertEqual([client.invoke("f", n).json() for n in range(4)], [0, 0, 1, 2])


class AllAtOnce(Case):
    KINDS = ("throttle", "500", "502", "503", "504", "cut-before", "cut-middle", "cut-after", "unhandled", "oom",
             "timeout", "slow", "wrong-digest", "other-thunk")

    def test_no_invocation_is_lost_and_no_place_is_kept(self):
        log = os.path.join(self.directory(), "log")
        plan = ",".join(f"{kind}=0.04" for kind in self.KINDS)
        server, _ = self.with_function("time.sleep(0.005); return event", "--fault", plan, "--slow-ms", 50,
                                       "--concurrency", 8, "--log", log)
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            got = [kind for kinds in pool.map(self.invoke_some, [server] * 10) for kind in kinds]
        self.assertEqual(len(got), 400)
        self.assertGreater(got.count("right"), 100)
        with open(log, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        self.assertEqual(len(lines), 400)
        self.assertEqual(len({line["request"] for line in lines}), 400)
        self.assertEqual(sum(line["status"] == 0 for line in lines), got.count("cut"))
        self.assertEqual({line["fault"] for line in lines}, {"none", *self.KINDS})
        counters = server.counters()
        self.assertEqual(counters["in_flight"], 0)
        self.assertLessEqual(counters["in_flight_max"], 8)
        server.client().request("POST", "/_ggfs/recycle")
        self.until(lambda: server.counters()["instances"] == 0)

    @staticmethod
    def invoke_some(server):
        client = server.client()
        got = []
        for n in range(40):
            try:
                answer = client.invoke("f", n)
            except TimeoutError:
                raise
            except (http.client.HTTPException, OSError):
                got.append("cut")
                client.connection.close()
                continue
            right = answer.status == 200 and answer.body == str(n).encode()
            got.append("right" if right else "wrong")
        return got


class Rates(Case):
    def kinds(self, seed):
        log = os.path.join(self.directory(), "log")
        _, client = self.with_function("return 1", "--fault", "500=0.3,throttle=0.3", "--seed", seed,
                                       "--log", log)
        for _ in range(200):
            client.invoke("f", {})
        with open(log, encoding="utf-8") as f:
            return [json.loads(line)["fault"] for line in f]

    def test_the_same_seed_brings_the_same_faults_and_another_one_others(self):
        first = self.kinds(7)
        self.assertEqual(first, self.kinds(7))
        self.assertNotEqual(first, self.kinds(8))
        self.assertEqual(len(first), 200)
        for kind, share in (("500", 0.3), ("throttle", 0.3), ("none", 0.4)):
            self.assertAlmostEqual(first.count(kind) / 200, share, delta=0.12)

    def test_faults_may_be_changed_while_it_runs(self):
        server, client = self.with_function("return 1", "--fault", "500=1")
        self.assertEqual(client.invoke("f", {}).status, 500)
        self.assertEqual(client.request("POST", "/_ggfs/faults", b"503=1").status, 204)
        self.assertEqual(client.invoke("f", {}).status, 503)
        self.assertEqual(client.request("POST", "/_ggfs/faults", b"nonsense=1").status, 400)
        self.assertEqual(client.request("POST", "/_ggfs/faults", b"").status, 204)
        self.assertEqual(client.invoke("f", {}).status, 200)
        self.assertEqual(server.counters()["faults"], {"500": 1, "503": 1})

    def test_what_is_not_understood_is_refused_at_once(self):
        for options in (["--fault", "nonsense=1"], ["--fault", "500"], ["--fault", "500=2"],
                        ["--fault", "500=0.6,502=0.6"], ["--port", "x"], ["--access-key", "a"], ["word"],
                        ["--nonsense"]):
            answer = subprocess.run([PROGRAM, *options], stdin=subprocess.DEVNULL, capture_output=True,
                                    text=True, timeout=30, check=False)
            self.assertEqual((answer.returncode, answer.stdout), (2, ""), options)
            self.assertTrue(answer.stderr.startswith("ggfs-lambda-local: "), answer.stderr)

    def test_help_names_every_kind(self):
        text = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
        for kind in ("throttle", "cut-middle", "wrong-digest", "other-thunk", "--emulate", "--with-stdin"):
            self.assertIn(kind, text)


if __name__ == "__main__":
    tap.main()
