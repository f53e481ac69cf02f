#!/usr/bin/python3
"""ggfs-worker as AWS Lambda's custom runtime, before a Runtime API (2018-06-01) of the test's own."""
import http.server
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402
from world import World, leftovers, output  # noqa: E402

WORKER = os.path.join(os.environ["GGFS_TOOLS"], "ggfs-worker")
DEADLINE_S = 60


class RuntimeApi(http.server.ThreadingHTTPServer):
    """Hands out what is in `invocations` (id, body, seconds left); puts into `said` what is posted."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.invocations, self.said = queue.Queue(), queue.Queue()
        self.status = 202
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        """A worker that was killed leaves a connection; that is how each test ends."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"{}", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        assert self.path == "/2018-06-01/runtime/invocation/next", self.path
        name, body, left = self.server.invocations.get()
        self.answer(200, body, [("Lambda-Runtime-Aws-Request-Id", name),
                                ("Lambda-Runtime-Deadline-Ms", str(int((time.time() + left) * 1000))),
                                ("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:x:1:function:f"),
                                ("Lambda-Runtime-Trace-Id", "Root=1")])

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.said.put((self.path, dict(self.headers), body))
        self.answer(self.server.status)


class Runtime(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="ggfs-runtime-")
        self.world = World()
        self.api = RuntimeApi()
        self.process = None

    def tearDown(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.api.shutdown()
        self.api.server_close()
        shutil.rmtree(self.base)

    def start(self, cache=None, **env):
        self.process = subprocess.Popen(
            [WORKER, "bootstrap"], stdin=subprocess.DEVNULL,
            env={"AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.api.server_address[1]}",
                 "GGFS_WORKER_CACHE": cache or os.path.join(self.base, "cache"),
                 "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "hidden-secret", "AWS_SESSION_TOKEN": "hidden-token",
                 "AWS_LAMBDA_LOG_STREAM_NAME": "2026/[1]abc", "PATH": os.environ["PATH"], **env})

    def invoke(self, body, name="id-1", left=DEADLINE_S):
        self.api.invocations.put((name, body, left))
        return self.api.said.get(timeout=DEADLINE_S)

    def test_invocations_are_answered_one_after_another(self):
        self.start()
        for i in range(3):
            path, _, body = self.invoke(self.world.request(self.world.sh(f"echo {i} >out")), f"id-{i}")
            answer = json.loads(body)
            self.assertEqual(path, f"/2018-06-01/runtime/invocation/id-{i}/response")
            self.assertEqual(output(answer), b"%d\n" % i)
            self.assertEqual(answer["results"][0]["usage"].get("cold", False), i == 0)
            self.assertEqual(answer["worker"], "2026/[1]abc")
            self.assertIn("engine lambda\n", answer["results"][0]["memo"])

    def test_a_proxy_is_not_asked_for_the_runtime_api(self):
        proxy = "http://127.0.0.1:1"  # nobody listens there
        self.start(http_proxy=proxy, https_proxy=proxy, ALL_PROXY=proxy)
        path, _, body = self.invoke(self.world.request(self.world.sh("echo made >out")))
        self.assertEqual(path, "/2018-06-01/runtime/invocation/id-1/response")
        self.assertEqual(output(json.loads(body)), b"made\n")

    def test_the_answer_comes_before_the_deadline(self):
        self.start()
        self.invoke(self.world.request(self.world.sh("echo >out")))
        begin = time.monotonic()
        path, _, body = self.invoke(self.world.request(self.world.sh("sleep 1234.5")), left=4)
        self.assertLess(time.monotonic() - begin, 4)
        self.assertTrue(path.endswith("/response"))
        self.assertEqual(json.loads(body)["results"][0]["outcome"], "refused")
        self.assertEqual(leftovers("1234.5"), [])
        _, _, body = self.invoke(self.world.request(self.world.sh("echo next >out")))
        self.assertEqual(output(json.loads(body)), b"next\n")

    def test_nonsense_is_answered(self):
        self.start()
        path, _, body = self.invoke(b'{"key": "value"}')
        self.assertTrue(path.endswith("/response"))
        self.assertIn("protocol", json.loads(body)["reason"])

    def test_results_that_are_too_large_for_an_answer_are_refused(self):
        self.start()
        w = self.world
        script = "x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do x=$x$x; done; " \
                 "echo $x >out"
        _, _, body = self.invoke(w.request(w.sh(script)))
        self.assertLess(len(body), 6 << 20)
        self.assertEqual(json.loads(body)["results"][0]["outcome"], "refused")

    def test_an_answer_that_is_not_taken_is_an_error(self):
        self.start()
        self.api.status = 413
        self.invoke(self.world.request(self.world.sh("echo >out")))
        path, headers, body = self.api.said.get(timeout=DEADLINE_S)
        self.assertEqual(path, "/2018-06-01/runtime/invocation/id-1/error")
        self.assertEqual(headers["Lambda-Runtime-Function-Error-Type"], "Worker.Failed")
        self.assertIn("errorMessage", json.loads(body))

    def test_what_keeps_it_from_starting_is_told(self):
        cache = os.path.join(self.base, "file")
        with open(cache, "w", encoding="ascii") as f:
            f.write("no directory")
        self.start(cache=cache)
        path, _, body = self.api.said.get(timeout=DEADLINE_S)
        self.assertEqual(path, "/2018-06-01/runtime/init/error")
        self.assertIn(cache, json.loads(body)["errorMessage"])
        self.assertEqual(self.process.wait(DEADLINE_S), 1)

    def test_credentials_are_not_the_functions(self):
        self.start()
        _, _, body = self.invoke(self.world.request(self.world.sh("env >out")))
        self.assertEqual(output(json.loads(body)), b"PATH=/usr/bin\nPWD=/w\nTZ=UTC0\n")
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            self.assertIn("VmRSS", f.read())
        self.assertEqual(os.stat(f"/proc/{self.process.pid}/environ").st_uid, 0)


if __name__ == "__main__":
    tap.main()
