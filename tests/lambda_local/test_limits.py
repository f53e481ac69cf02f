#!/usr/bin/python3
"""Lambda's limits: sizes, memory, time, how many at once and how fast more of them."""
import base64
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from case import PROGRAM, Case, tap  # noqa: E402

REQUEST_MAX, ANSWER_MAX, EVENT_MAX = 6291456, 6291556, 1 << 20


def sized(size):
    return b'"' + b"x" * (size - 2) + b'"'


class Sizes(Case):
    def test_a_request_of_6_mib_is_taken_and_one_byte_more_is_413(self):
        _, client = self.with_function("return len(event) + 2", settings={"MemorySize": 512})
        self.assertEqual(client.invoke("f", sized(REQUEST_MAX)).json(), REQUEST_MAX)
        self.assertRefused(client.invoke("f", sized(REQUEST_MAX + 1)), 413, "RequestTooLargeException")
        self.assertRefused(client.invoke("f", sized(EVENT_MAX + 1), x_amz_invocation_type="Event"), 413,
                           "RequestTooLargeException")

    def test_an_answer_may_be_somewhat_larger_and_no_more(self):
        _, client = self.with_function("return b'\"' + b'x' * (event - 2) + b'\"'",
                                       settings={"MemorySize": 512})
        self.assertEqual(len(client.invoke("f", ANSWER_MAX).body), ANSWER_MAX)
        for size in (ANSWER_MAX + 1, 3 * ANSWER_MAX):
            self.assertFunctionError(client.invoke("f", size), "Function.ResponseSizeTooLarge")
        self.assertEqual(len(client.invoke("f", 100).body), 100)


class Memory(Case):
    def test_a_function_over_its_memory_is_killed(self):
        server, client = self.with_function(
            "if event: globals()['hoard'] = b'x' * (300 << 20); time.sleep(5)\nreturn count",
            settings={"MemorySize": 128, "Timeout": 20})
        self.assertEqual(client.invoke("f", 0).json(), 1)
        answer = client.invoke("f", 1)
        self.assertFunctionError(answer, "Runtime.ExitError")
        self.assertIn("signal: killed", answer.json()["errorMessage"])
        self.assertEqual(client.invoke("f", 0).json(), 1)
        self.assertEqual(server.counters()["out_of_memory"], 1)

    def test_what_its_children_have_counts(self):
        body = """
subprocess.run([sys.executable, "-c", "x = b'x' * (300 << 20); import time; time.sleep(5)"])
return 1
"""
        _, client = self.with_function(body, settings={"MemorySize": 128, "Timeout": 20})
        self.assertFunctionError(client.invoke("f", 0), "Runtime.ExitError")

    def test_the_report_tells_how_much_was_used(self):
        log = os.path.join(self.directory(), "log")
        _, client = self.with_function("globals()['hoard'] = b'x' * (100 << 20); return 1", "--log", log,
                                       settings={"MemorySize": 512})
        client.invoke("f", 0)
        with open(log, encoding="utf-8") as f:
            used = json.loads(f.readline())["memory_used_mib"]
        self.assertTrue(100 <= used < 200, used)


class Time(Case):
    def test_a_function_over_its_time_is_killed_and_the_next_one_is_new(self):
        server, client = self.with_function("time.sleep(event); return count", settings={"Timeout": 1})
        self.assertEqual(client.invoke("f", 0).json(), 1)
        answer = client.invoke("f", 60, x_amz_log_type="Tail")
        self.assertFunctionError(answer, "Sandbox.Timedout")
        self.assertIn("Task timed out after 1.00 seconds", answer.json()["errorMessage"])
        self.assertIn("Task timed out after 1.00 seconds", answer.log())
        self.assertEqual(client.invoke("f", 0).json(), 1)
        self.assertEqual(server.counters()["timed_out"], 1)

    def test_cold_starts_and_latency_are_added(self):
        log = os.path.join(self.directory(), "log")
        _, client = self.with_function("return 1", "--cold-start-ms", 300, "--latency-ms", 100, "--log", log)
        for _ in range(2):
            client.invoke("f", 0)
        with open(log, encoding="utf-8") as f:
            waited = [json.loads(line)["waited_us"] for line in f]
        self.assertGreaterEqual(waited[0], 390000)
        self.assertGreaterEqual(waited[1], 90000)


class Concurrency(Case):
    def occupy(self, server, count, seconds=2):
        """So many invocations under way; returns the pool and their futures."""
        pool = concurrent.futures.ThreadPoolExecutor(count)
        self.addCleanup(pool.shutdown)
        before = server.counters()["in_flight"]
        busy = [pool.submit(server.client().invoke, "f", seconds) for _ in range(count)]
        self.until(lambda: server.counters()["in_flight"] == before + count)
        return busy

    def test_one_more_than_the_limit_is_429_and_says_why(self):
        server, client = self.with_function("time.sleep(event); return 1", "--concurrency", 3,
                                            settings={"Timeout": 30})
        busy = self.occupy(server, 3)
        answer = client.invoke("f", 0)
        self.assertRefused(answer, 429, "TooManyRequestsException")
        self.assertEqual(answer.json()["Reason"], "ConcurrentInvocationLimitExceeded")
        self.assertTrue(answer.headers["retry-after"].isdigit())
        self.assertEqual([future.result().json() for future in busy], [1, 1, 1])
        self.assertEqual(client.invoke("f", 0).json(), 1)

    def test_what_is_reserved_is_a_limit_and_is_taken_from_the_others(self):
        server, client = self.with_function("time.sleep(event); return 1", "--concurrency", 2,
                                            settings={"Timeout": 30})
        client.request("PUT", "/2017-10-31/functions/f/concurrency",
                       json.dumps({"ReservedConcurrentExecutions": 1}).encode())
        self.occupy(server, 1)
        answer = client.invoke("f", 0)
        self.assertEqual(answer.json()["Reason"], "ReservedFunctionConcurrentInvocationLimitExceeded")
        client.request("PUT", "/2017-10-31/functions/f/concurrency",
                       json.dumps({"ReservedConcurrentExecutions": 2}).encode())
        other = self.other_function(client)
        self.assertEqual(client.invoke(other, 0).json()["Reason"], "ConcurrentInvocationLimitExceeded")
        self.assertEqual(client.invoke("f", 0).json(), 1)

    def other_function(self, client):
        from lambda_local import python_function
        self.assertEqual(client.create("g", python_function("return 1")).status, 201)
        return "g"

    def test_new_instances_are_had_no_faster_than_the_scaling_rate(self):
        server, client = self.with_function("time.sleep(event); return 1", "--scaling", 2,
                                            settings={"Timeout": 30})
        self.occupy(server, 2, seconds=1)
        refused_at = time.monotonic()
        self.assertRefused(client.invoke("f", 0), 429, "TooManyRequestsException")
        while client.invoke("f", 0).status == 429:
            self.assertLess(time.monotonic(), refused_at + 20)
            time.sleep(0.1)
        self.assertEqual(server.counters()["invocations"], 3)


THUNK = b"""ggfs-thunk 1
program bin/x
arg x
output file a/one
output file two
timeout 60
"""


class ManyAtOnce(Case):
    def ask(self, request):
        client = self.server("--emulate", 1, signed=False).client(access_key=None)
        return client.invoke("ggfs-worker", request)

    def request(self, **more):
        version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
        digest = hashlib.blake2b(THUNK, digest_size=32).hexdigest()
        blob = {"digest": digest, "bytes": base64.b64encode(THUNK).decode()}
        return digest, {"protocol": 1, "version": version.split()[1], "thunks": [digest], "blobs": [blob], **more}

    def test_an_emulated_worker_writes_the_thunks_digest_to_each_output(self):
        digest, request = self.request()
        answer = self.ask(request).json()
        [result], [blob] = answer["results"], answer["blobs"]
        self.assertEqual((result["thunk"], result["outcome"]), (digest, "done"))
        text = (digest + "\n").encode()
        self.assertEqual(base64.b64decode(blob["bytes"]), text)
        self.assertEqual(blob["digest"], hashlib.blake2b(text, digest_size=32).hexdigest())
        for path in ("a/one", "two"):
            self.assertIn(f"output blob {blob['digest']} 65 {path}\n", result["memo"])

    def test_an_emulated_worker_refuses_what_a_worker_would(self):
        _, request = self.request()
        self.assertTrue(self.ask({**request, "version": "0.0.0"}).json()["wrong_version"])
        self.assertTrue(self.ask({**request, "protocol": 99}).json()["wrong_version"])
        self.assertIn("reason", self.ask({}).json())
        self.assertEqual(self.ask({**request, "blobs": []}).json()["results"][0]["outcome"], "bad input")

    def test_emulated_ones_take_no_processes_and_thousands_may_wait(self):
        server = self.server("--emulate", 500, "--concurrency", 4000, "--scaling", 4000, signed=False)
        connections = [server.client(access_key=None) for _ in range(1000)]
        path = "/2015-03-31/functions/ggfs-worker/invocations"
        for c in connections:
            c.connection.request("POST", path, b"{}")
        for c in connections:
            answer = c.connection.getresponse()
            body = json.loads(answer.read())
            self.assertEqual(answer.status, 200)
            self.assertEqual(body["worker"], "emulated")
            c.connection.close()
        counters = server.counters()
        self.assertEqual((counters["invocations"], counters["function_errors"]), (1000, 0))


if __name__ == "__main__":
    tap.main()
