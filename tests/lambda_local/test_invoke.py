#!/usr/bin/python3
"""Invoke, and the Runtime API that functions answer by."""
import concurrent.futures
import http.client
import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from case import Case, tap  # noqa: E402
from lambda_local import package  # noqa: E402

BASH = "#!/bin/sh\n"
MARK = 10_000_000 + os.getpid()  # seconds of sleep that are ours alone


class Answers(Case):
    def test_what_is_sent_arrives_and_what_is_answered_comes_back(self):
        _, client = self.with_function("return {'got': event}")
        answer = client.invoke("f", {"ä": [1, None, "\u2028"]})
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json(), {"got": {"ä": [1, None, "\u2028"]}})
        self.assertEqual(answer.headers["x-amz-executed-version"], "$LATEST")
        self.assertRegex(answer.headers["x-amzn-requestid"], r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
        self.assertIn("date", answer.headers)
        self.assertNotIn("x-amz-function-error", answer.headers)

    def test_an_instance_that_is_idle_is_used_again(self):
        server, client = self.with_function("return count")
        self.assertEqual([client.invoke("f", {}).json() for _ in range(20)], list(range(1, 21)))
        self.assertEqual(server.counters()["cold_starts"], 1)

    def test_invocations_at_once_have_instances_of_their_own(self):
        server, _ = self.with_function("time.sleep(0.3); return os.environ['AWS_LAMBDA_RUNTIME_API']")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: server.client().invoke("f", {}).json(), range(8)))
        self.assertEqual(len(set(answers)), 8)
        self.assertEqual(server.counters()["in_flight_max"], 8)

    def test_what_a_function_raises_is_an_error_of_its_own(self):
        server, client = self.with_function("raise ValueError('no such luck')")
        answer = client.invoke("f", {})
        self.assertFunctionError(answer, "ValueError")
        self.assertEqual(answer.json()["errorMessage"], "no such luck")
        self.assertEqual(server.counters()["function_errors"], 1)

    def test_the_log_is_its_last_4_kib_and_ends_with_the_report(self):
        _, client = self.with_function("print('x' * 9000, flush=True); return 1",
                                       settings={"MemorySize": 256})
        first = client.invoke("f", {}, x_amz_log_type="Tail")
        self.assertEqual(len(first.log()), 4096)
        self.assertRegex(first.log(), r"x\nEND RequestId: \S+\nREPORT RequestId: \S+\tDuration: [\d.]+ ms\t"
                         r"Billed Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: \d+ MB\t"
                         r"Init Duration: [\d.]+ ms\t\n$")
        again = client.invoke("f", {}, x_amz_log_type="Tail")
        self.assertNotIn("Init Duration", again.log())
        self.assertNotIn("x-amz-log-result", client.invoke("f", {}).headers)

    def test_initialisation_is_billed_with_the_first_invocation(self):
        _, client = self.with_function("return 1")
        log = client.invoke("f", {}, x_amz_log_type="Tail").log()
        duration, billed, init = (float(x) for x in re.search(
            r"\tDuration: ([\d.]+) ms\tBilled Duration: (\d+) ms.*Init Duration: ([\d.]+)", log).groups())
        self.assertGreater(init, 0)
        self.assertAlmostEqual(billed, duration + init, delta=1.1)

    def test_an_asynchronous_invocation_is_accepted_and_runs(self):
        server, client = self.with_function("return 1")
        answer = client.invoke("f", {}, x_amz_invocation_type="Event")
        self.assertEqual((answer.status, answer.body), (202, b""))
        self.until(lambda: server.counters()["billed_ms"] > 0)

    def test_asynchronous_ones_wait_for_room(self):
        server, client = self.with_function("time.sleep(0.05); return 1", "--concurrency", 1)
        for _ in range(5):
            self.assertEqual(client.invoke("f", {}, x_amz_invocation_type="Event").status, 202)
        self.until(lambda: server.counters()["invocations"] == 5 and server.counters()["in_flight"] == 0)
        self.assertEqual(server.counters()["in_flight_max"], 1)

    def test_a_dry_run_runs_nothing(self):
        server, client = self.with_function("return 1")
        self.assertEqual(client.invoke("f", {}, x_amz_invocation_type="DryRun").status, 204)
        self.assertEqual(server.counters()["invocations"], 0)

    def test_a_function_that_is_not_there_is_404_and_so_is_a_version(self):
        _, client = self.with_function("return 1")
        self.assertRefused(client.invoke("g", {}), 404, "ResourceNotFoundException")
        self.assertRefused(client.invoke("f", {}, "Qualifier=7"), 404, "ResourceNotFoundException")

    def test_a_function_may_be_named_by_its_arn_and_a_version_by_its_qualifier(self):
        _, client = self.with_function("return 1")
        client.request("POST", "/2015-03-31/functions/f/versions", b"{}")
        arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af"
        for name, query, version in ((arn, "", "$LATEST"), (arn + "%3A1", "", "1"), ("f%3A1", "", "1"),
                                     ("f", "Qualifier=1", "1"), ("f", "Qualifier=%24LATEST", "$LATEST")):
            answer = client.invoke(name, {}, query)
            self.assertEqual((answer.status, answer.headers.get("x-amz-executed-version")), (200, version))

    def test_what_is_no_json_is_refused(self):
        _, client = self.with_function("return 1")
        self.assertRefused(client.invoke("f", b"{no"), 400, "InvalidRequestContentException")

    def test_an_unknown_kind_of_invocation_is_refused(self):
        _, client = self.with_function("return 1")
        self.assertRefused(client.invoke("f", {}, x_amz_invocation_type="Later"), 400,
                           "InvalidParameterValueException")

    def test_each_invocation_is_one_line_of_the_log_file(self):
        log = os.path.join(self.directory(), "log")
        _, client = self.with_function("return event", "--log", log)
        ids = [client.invoke("f", {"n": n}).headers["x-amzn-requestid"] for n in range(3)]
        with open(log, encoding="utf-8") as f:
            lines = [json.loads(line) for line in f]
        self.assertEqual([line["request"] for line in lines], ids)
        self.assertEqual([line["cold"] for line in lines], [True, False, False])
        self.assertTrue(all(line["status"] == 200 and line["fault"] == "none" for line in lines))


class Instances(Case):
    def test_one_that_ends_is_an_error_and_the_next_invocation_has_a_new_one(self):
        _, client = self.with_function("os._exit(3) if event else None; return count")
        self.assertEqual(client.invoke("f", 0).json(), 1)
        answer = client.invoke("f", 1)
        self.assertFunctionError(answer, "Runtime.ExitError")
        self.assertIn("exit status 3", answer.json()["errorMessage"])
        self.assertEqual(client.invoke("f", 0).json(), 1)

    def test_one_that_is_killed_says_by_which_signal(self):
        _, client = self.with_function("os.kill(os.getpid(), signal.SIGSEGV); time.sleep(9)")
        answer = client.invoke("f", {})
        self.assertFunctionError(answer, "Runtime.ExitError")
        self.assertIn("signal: segmentation fault", answer.json()["errorMessage"])

    def test_one_that_never_begins_is_an_error(self):
        server = self.server()
        client = server.client()
        for name, text in (("ends", BASH + "exit 1\n"), ("absent", "#!/no/such/program\n")):
            self.assertEqual(client.create(name, package(text)).status, 201)
        self.assertFunctionError(client.invoke("ends", {}), "Runtime.ExitError")
        self.assertFunctionError(client.invoke("absent", {}), "Runtime.InvalidEntrypoint")
        self.until(lambda: server.counters()["instances"] == 0)

    def test_an_error_of_initialisation_is_the_answer(self):
        server = self.server()
        client = server.client()
        text = ("#!/usr/bin/python3\nimport http.client, os, time\n"
                "c = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])\n"
                "c.request('POST', '/2018-06-01/runtime/init/error', '{\"errorType\": \"Cannot\"}')\n"
                "assert c.getresponse().status == 202\ntime.sleep(60)\n")
        client.create("f", package(text))
        self.assertFunctionError(client.invoke("f", {}), "Cannot")
        self.until(lambda: server.counters()["instances"] == 0)

    def test_idle_ones_end_after_their_time(self):
        server, client = self.with_function("return 1", "--idle-ms", 50)
        client.invoke("f", {})
        self.until(lambda: server.counters()["instances"] == 0)
        self.assertEqual(client.invoke("f", {}).json(), 1)

    def test_recycled_ones_are_new_and_work_is_not_disturbed(self):
        server, client = self.with_function("time.sleep(event); return count")
        client.invoke("f", 0)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            busy = pool.submit(server.client().invoke, "f", 0.5)
            self.until(lambda: server.counters()["in_flight"] == 1)
            client.request("POST", "/_ggfs/recycle")
            self.assertEqual(busy.result().json(), 2)
        self.until(lambda: server.counters()["instances"] == 0)
        self.assertEqual(client.invoke("f", 0).json(), 1)

    def test_what_a_function_leaves_running_ends_with_its_instance(self):
        place = self.directory()
        os.chmod(place, 0o777)
        for options in ((), ("--no-sandbox",)):
            log = os.path.join(place, "log")
            server, client = self.with_function(
                "if event: os._exit(1)\n"
                f"p = subprocess.Popen(['sleep', '{MARK}'], start_new_session=True); return p.pid",
                *options, "--function-log", log)
            client.invoke("f", 0)
            client.invoke("f", 1)
            self.until(lambda s=server: s.counters()["instances"] == 0)
            self.assertEqual([p for p in os.listdir("/proc") if p.isdigit() and sleeps(p)], [])

    def test_all_end_with_the_server(self):
        server, client = self.with_function(f"subprocess.Popen(['sleep', '{MARK}']); return 1")
        client.invoke("f", 0)
        server.process.terminate()
        server.process.wait(timeout=30)
        self.assertEqual([p for p in os.listdir("/proc") if p.isdigit() and sleeps(p)], [])


def sleeps(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read() == f"sleep\0{MARK}\0".encode()
    except OSError:
        return False


class RuntimeApi(Case):
    def test_it_tells_the_deadline_the_arn_and_the_trace(self):
        _, client = self.with_function("return [context, time.time() * 1000]", settings={"Timeout": 30})
        context, now = client.invoke("f", {}, x_amzn_trace_id="Root=1-2-3").json()
        self.assertAlmostEqual(int(context["lambda-runtime-deadline-ms"]), now + 30000, delta=5000)
        self.assertEqual(context["lambda-runtime-invoked-function-arn"],
                         "arn:aws:lambda:us-east-1:123456789012:function:f")
        self.assertEqual(context["lambda-runtime-trace-id"], "Root=1-2-3")

    def test_what_is_not_expected_is_refused(self):
        body = """
request = context["lambda-runtime-aws-request-id"]
other = "00000000-0000-0000-0000-000000000000"
said = [call("POST", f"invocation/{other}/response", b"1"), call("POST", "init/error", b"{}"),
        call("GET", "no/such/path"), call("POST", f"invocation/{request}/nonsense", b"1")]
return [[answer.status, json.loads(text)["errorType"]] for answer, text in said]
"""
        _, client = self.with_function(body)
        self.assertEqual(client.invoke("f", {}).json(), [
            [400, "InvalidRequestID"], [403, "InvalidStateTransition"], [404, "NotFound"], [404, "NotFound"]])

    def test_a_second_answer_is_refused_and_the_first_one_counts(self):
        body = """
request = context["lambda-runtime-aws-request-id"]
if event == "again":
    return statuses
call("POST", f"invocation/{request}/response", b'"first"')
answer, _ = call("POST", f"invocation/{request}/response", b'"second"')
globals()["statuses"] = answer.status
"""
        _, client = self.with_function(body)
        self.assertEqual(client.invoke("f", {}).json(), "first")
        self.assertEqual(client.invoke("f", "again").json(), 403)

    def test_a_streamed_answer_is_taken_whole(self):
        body = """
request = context["lambda-runtime-aws-request-id"]
call("POST", f"invocation/{request}/response", iter([b'[1,', b'2]']),
     {"Lambda-Runtime-Function-Response-Mode": "streaming"})
"""
        _, client = self.with_function(body)
        self.assertEqual(client.invoke("f", {}).json(), [1, 2])

    def test_who_is_no_instance_is_refused(self):
        server, _ = self.with_function("return 1")
        connection = http.client.HTTPConnection("127.0.0.1", server.ready["runtime_port"], timeout=30)
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        self.assertEqual(connection.getresponse().status, 403)
        connection.close()


if __name__ == "__main__":
    tap.main()
