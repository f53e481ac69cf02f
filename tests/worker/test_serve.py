#!/usr/bin/python3
"""ggfs-worker serve: the HTTP server in front of the jobs' processes."""
import http.client
import json
import os
import shutil
import signal
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
TOKEN = "a token of the test's"


class Serve(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="ggfs-worker-")
        self.world = World()
        self.process = None

    def tearDown(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.process.wait(DEADLINE_S), 0)
            self.process.stdout.close()
        self.assertEqual(leftovers(self.base), [])
        shutil.rmtree(self.base)

    def start(self, *options, env=None, before=()):
        token = os.path.join(self.base, "token")
        with open(token, "w", encoding="ascii") as f:
            f.write(TOKEN + "\n")
        self.process = subprocess.Popen(
            [*before, WORKER, "serve", "--port", "0", "--address", "127.0.0.1", "--cache", os.path.join(self.base, "cache"),
             "--token-file", token, *options],
            stdout=subprocess.PIPE, text=True, env={**os.environ, **(env or {})})
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def call(self, method, path, body=None, headers=None, port=None):
        c = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=DEADLINE_S)
        c.request(method, path, body, {"Authorization": "Bearer " + TOKEN, **(headers or {})})
        response = c.getresponse()
        data = response.read()
        c.close()
        return response.status, data

    def run_thunks(self, *thunks, **kwargs):
        status, data = self.call("POST", "/run", self.world.request(*thunks), **kwargs)
        self.assertEqual(status, 200, data)
        return json.loads(data)

    def test_a_request_is_answered(self):
        self.start("--jobs", "1")
        answer = self.run_thunks(self.world.sh("echo made >out"))
        self.assertEqual(answer["results"][0]["outcome"], "done", answer)
        self.assertEqual(output(answer), b"made\n")
        self.assertEqual(self.call("POST", "/", self.world.request(self.world.sh("exit 3")))[0], 200)

    def test_health_needs_no_token(self):
        self.start("--jobs", "1")
        self.assertEqual(self.call("GET", "/healthz", headers={"Authorization": ""})[0], 200)

    def test_only_who_has_the_token_is_served(self):
        self.start("--jobs", "1")
        request = b'{"protocol":1}'
        for sent in ("", "Bearer", "Bearer ", "Bearer x" + TOKEN, "Bearer " + TOKEN[:-1], "Basic " + TOKEN, TOKEN):
            self.assertEqual(self.call("POST", "/", request, {"Authorization": sent})[0], 401, sent)
        self.assertEqual(self.call("POST", "/", request, {"Authorization": "bearer " + TOKEN})[0], 200)

    def test_without_a_token_it_does_not_start(self):
        done = subprocess.run([WORKER, "serve", "--port", "0", "--cache", self.base + "/c"], capture_output=True,
                              text=True, timeout=DEADLINE_S, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("--token-file", done.stderr)

    def test_other_requests_are_refused(self):
        self.start("--jobs", "1")
        self.assertEqual(self.call("GET", "/")[0], 405)
        self.assertEqual(self.call("POST", "/nothing", b"{}")[0], 404)
        status, data = self.call("POST", "/", b"nonsense")
        self.assertEqual((status, json.loads(data)["results"]), (200, []))
        status, _ = self.call("POST", "/", b" " * ((32 << 20) + 1))
        self.assertEqual(status, 413)
        status, data = self.call("POST", "/", b'{"protocol":1,"version":"0.0.0","thunks":["' + b"0" * 64 + b'"]}')
        self.assertTrue(json.loads(data)["wrong_version"])

    def test_jobs_run_side_by_side(self):
        self.start("--jobs", "2")
        answers = []

        def ask(thunk):
            answers.append(self.run_thunks(thunk))
        self.run_thunks(self.world.sh("echo >out"))
        # Made before any thread begins: a world is one thread's.
        thunks = [self.world.sh(f"sleep 2; echo {name} >out", timeout=30) for name in "ab"]
        threads = [threading.Thread(target=ask, args=(thunk,)) for thunk in thunks]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual([a["results"][0]["outcome"] for a in answers], ["done", "done"])
        self.assertEqual(len({a["worker"] for a in answers}), 2)

    def test_what_runs_is_finished_at_the_end(self):
        self.start("--jobs", "1")
        answers = []
        slow = self.world.sh("echo started >&2; sleep 2; echo done >out")
        asking = threading.Thread(target=lambda: answers.append(self.run_thunks(slow)))
        asking.start()
        limit = time.monotonic() + DEADLINE_S
        while not leftovers("sleep 2; echo done") and time.monotonic() < limit:
            time.sleep(0.01)
        self.process.send_signal(signal.SIGTERM)
        asking.join()
        self.assertEqual(output(answers[0]), b"done\n")

    def begin(self, script, marker):
        """Asks for a thunk that takes long, and waits until it runs."""
        def ask():
            try:
                self.run_thunks(self.world.sh(script))
            except (OSError, http.client.HTTPException, AssertionError):
                pass  # nobody answers in the end
        asking = threading.Thread(target=ask)
        asking.start()
        self.addCleanup(asking.join)
        self.wait_for(lambda: leftovers(marker))

    def wait_for(self, condition):
        limit = time.monotonic() + DEADLINE_S
        while not condition():
            self.assertLess(time.monotonic(), limit)
            time.sleep(0.01)

    def test_told_to_end_twice_it_ends_what_runs(self):
        self.start("--jobs", "2")
        self.begin("sleep 777.25", "777.25")
        self.process.send_signal(signal.SIGTERM)
        self.wait_for(lambda: not self.listens())
        self.process.send_signal(signal.SIGTERM)
        self.assertEqual(self.process.wait(DEADLINE_S), 0)
        self.assertEqual(leftovers("777.25"), [])

    def listens(self):
        try:
            return self.call("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def test_what_runs_ends_when_the_server_is_killed(self):
        self.start("--jobs", "2")
        self.begin("sleep 777.125", "777.125")
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.wait_for(lambda: not leftovers("777.125") and not leftovers(self.base))
        self.process.stdout.close()
        self.process = None

    def test_a_job_that_dies_is_replaced(self):
        self.start("--jobs", "1")
        self.run_thunks(self.world.sh("echo >out"))
        job = [p for p in leftovers(self.base + "/cache/0")]
        self.assertEqual(len(job), 1)
        os.kill(int(job[0]), signal.SIGKILL)
        status, _ = self.call("POST", "/", self.world.request(self.world.sh("echo 1 >out")))
        self.assertIn(status, (200, 500))
        self.assertEqual(output(self.run_thunks(self.world.sh("echo 2 >out"))), b"2\n")

    def test_a_function_that_kills_its_keeper_does_not_escape(self):
        self.start("--jobs", "1")
        w = self.world
        answer = self.run_thunks(w.sh("sleep 777.5 & kill -9 $PPID; sleep 777.5"), w.sh("echo next >out"))
        self.assertEqual([r["outcome"] for r in answer["results"]], ["lost", "done"])
        self.assertEqual(leftovers("777.5"), [])

    def test_a_functions_environment_has_no_secret(self):
        self.start("--jobs", "1", env={"AWS_SECRET_ACCESS_KEY": "hidden-secret", "GGFS_WORKER_TOKEN": "hidden-token"})
        script = "env >out; for p in /proc/self /proc/$PPID /proc/1; do cat $p/environ >>out; done 2>/dev/null; :"
        answer = self.run_thunks(self.world.sh(script))
        self.assertNotIn(b"hidden", output(answer))

    def test_the_clients_time_is_kept(self):
        self.start("--jobs", "1")
        self.run_thunks(self.world.sh("echo >out"))
        begin = time.monotonic()
        answer = self.run_thunks(self.world.sh("sleep 1000"), headers={"Ggfs-Timeout-Ms": "3000"})
        self.assertLess(time.monotonic() - begin, DEADLINE_S)
        self.assertEqual(answer["results"][0]["outcome"], "refused")

    def test_the_time_that_a_request_waits_for_a_job_counts(self):
        self.start("--jobs", "1")
        self.run_thunks(self.world.sh("echo >out"))
        slow = self.world.sh("echo; sleep 3; echo >out")
        asking = threading.Thread(target=lambda: self.run_thunks(slow))
        asking.start()
        limit = time.monotonic() + DEADLINE_S
        while not leftovers("echo; sleep 3") and time.monotonic() < limit:
            time.sleep(0.01)
        begin = time.monotonic()
        answer = self.run_thunks(self.world.sh("sleep 1000"), headers={"Ggfs-Timeout-Ms": "5000"})
        self.assertLess(time.monotonic() - begin, 7)  # and not 8
        # Another worker would have the time that this one did not.
        self.assertEqual(answer["results"][0]["outcome"], "lost")
        asking.join()

    def test_one_bad_thunk_after_another_harms_none(self):
        self.start("--jobs", "1")
        w = self.world
        bad = ["exit 1", "kill -9 $$", "sleep 999.25 & sleep 999.25 & :", "kill -STOP $$", "echo x >/usr/bin/cat",
               "chmod 0 / /usr /w /tmp", "while :; do echo 0123456789; done >&2", "exec 3</usr/bin/sh; exit 5"]
        answer = self.run_thunks(*(w.sh(b, timeout=2) for b in bad))
        self.assertEqual([r["outcome"] == "done" for r in answer["results"]], [False] * len(bad))
        self.assertEqual(leftovers("999.25"), [])
        w.put(b"in")
        good = self.run_thunks(w.sh("cat /usr/bin/cat >out", timeout=60))
        with open("/bin/cat", "rb") as f:
            wanted = f.read()
        self.assertEqual(good["results"][0]["outcome"], "done")
        self.assertIn(str(len(wanted)), good["results"][0]["memo"])

    def test_a_full_disk_is_no_room_and_works_again(self):
        cache = os.path.join(self.base, "cache")
        os.mkdir(cache)
        before = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c",
                  'mount -t tmpfs -o size=16m none "$0" && exec "$@"', cache]
        if subprocess.run([*before, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no mount namespace can be had")
        self.start("--jobs", "1", before=before)
        w = self.world
        fill = "x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10; do x=$x$x; done; while echo $x; do :; done >out"
        answer = self.run_thunks(w.sh("echo 1 >out"), w.sh(fill), w.sh(fill + " 2>&1; exit 1"), w.sh("echo 2 >out"))
        self.assertEqual([r["outcome"] for r in answer["results"]], ["done", "no room", "no room", "done"])
        self.assertEqual(output(answer, 3), b"2\n")
        large = self.world.put(os.urandom(15 << 20))
        answer = self.run_thunks(w.sh("echo 3 >out", inputs=[f"file 0644 blob {large} w/large"]))
        self.assertEqual(answer["results"][0]["outcome"], "no room")
        del w.blobs[large.split()[0]]
        self.assertEqual(output(self.run_thunks(w.sh("echo 4 >out"))), b"4\n")

    def test_memory_is_bounded_by_the_hint(self):
        self.start("--jobs", "1")
        script = 'x=0123456789; while :; do x=$x$x; done'
        answer = self.run_thunks(self.world.sh(script, memory=8), self.world.sh("echo >out", memory=64))
        self.assertEqual([r["outcome"] for r in answer["results"]], ["failed", "done"])


if __name__ == "__main__":
    tap.main()
