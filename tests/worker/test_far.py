#!/usr/bin/python3
"""ggfs-worker with S3 as it is spoken by a server that we did not write."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import s3  # noqa: E402
import tap  # noqa: E402
from world import World, digest, output  # noqa: E402

WORKER = os.path.join(os.environ["GGFS_TOOLS"], "ggfs-worker")
DEADLINE_S = 60
ENDPOINT = os.environ.get("GGFS_TEST_S3_ENDPOINT")
BUCKET = os.environ.get("GGFS_TEST_S3_BUCKET")


class Far(unittest.TestCase):
    def setUp(self):
        if not ENDPOINT:
            self.skipTest("no S3 gateway is installed (radosgw)")
        self.base = tempfile.mkdtemp(prefix="ggfs-worker-far-")
        self.addCleanup(shutil.rmtree, self.base)
        self.prefix = os.path.basename(self.base)
        self.keys = (os.environ["GGFS_TEST_S3_ACCESS_KEY"], os.environ["GGFS_TEST_S3_SECRET_KEY"])
        self.s3 = s3.S3(ENDPOINT, *self.keys)
        self.world = World()

    def path(self, kind, name):
        return f"/{BUCKET}/{self.prefix}/{kind}/{name[:2]}/{name[2:]}"

    def put_all(self):
        for name, data in self.world.blobs.items():
            self.assertEqual(self.s3.request("PUT", self.path("objects", name), data)[0], 200)

    def ask(self, *thunks, cache="cache", options=(), secret=None, **more):
        request = {"protocol": 1, "version": json.loads(self.world.request())["version"], "thunks": thunks,
                   "far": {"url": f"s3://{BUCKET}/{self.prefix}", "endpoint": ENDPOINT, "region": "us-east-1"},
                   "keep_results": True, "inline_max": 1 << 20, **more}
        done = subprocess.run([WORKER, "run", "--cache", os.path.join(self.base, cache), *options],
                              input=json.dumps(request).encode(), capture_output=True, timeout=DEADLINE_S,
                              env={"AWS_ACCESS_KEY_ID": self.keys[0], "HOME": self.base,
                                   "AWS_SECRET_ACCESS_KEY": secret or self.keys[1]}, check=True)
        return json.loads(done.stdout)

    def test_inputs_come_from_there_and_results_stay_there(self):
        thunk = self.world.sh("echo made >out; echo said >&2")
        self.put_all()
        answer = self.ask(thunk)
        result = answer["results"][0]
        self.assertEqual(result["outcome"], "done", result)
        self.assertTrue(result["stored"])
        self.assertEqual(output(answer), b"made\n")
        usage = result["usage"]
        self.assertEqual(usage["far_gets"], len(self.world.blobs))
        self.assertEqual(usage["far_puts"], 3)  # the output, what it said, the memo
        self.assertEqual(self.s3.request("GET", self.path("objects", digest(b"made\n")))[2], b"made\n")
        status, _, memo = self.s3.request("GET", self.path("memo", thunk))
        self.assertEqual((status, memo.decode()), (200, result["memo"]))
        again = self.ask(thunk)["results"][0]["usage"]  # from the cache of the first
        self.assertEqual(again["far_gets"], 0)

    def test_what_is_absent_or_broken_there_is_named(self):
        thunk = self.world.sh("echo made >out")
        self.put_all()
        gone = next(d for d, b in self.world.blobs.items() if b.startswith(b"\x7fELF"))
        self.s3.request("DELETE", self.path("objects", gone))
        result = self.ask(thunk)["results"][0]
        self.assertEqual((result["outcome"], result["absent"]), ("bad input", gone))
        self.s3.request("PUT", self.path("objects", gone), b"something else")
        result = self.ask(thunk)["results"][0]
        self.assertEqual((result["outcome"], result["absent"]), ("bad input", gone))
        self.s3.request("PUT", self.path("objects", gone), self.world.blobs[gone])
        self.assertEqual(self.ask(thunk)["results"][0]["outcome"], "done")

    def test_large_results_go_there_alone(self):
        script = "x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do x=$x$x; done; echo $x >out"
        thunk = self.world.sh(script)
        self.put_all()
        answer = self.ask(thunk, inline_max=1000, keep_results=False)
        self.assertEqual((answer["results"][0]["outcome"], answer["blobs"]), ("done", []))
        name = answer["results"][0]["memo"].split("output blob ")[1].split()[0]
        self.assertEqual(self.s3.request("GET", self.path("objects", name))[0], 200)

    def test_a_wrong_secret_is_nobodys_fault_but_the_workers(self):
        thunk = self.world.sh("echo made >out")
        self.put_all()
        result = self.ask(thunk, secret="wrong")["results"][0]
        self.assertEqual(result["outcome"], "lost")
        self.assertNotIn("absent", result)

    def test_only_the_far_store_that_is_allowed_is_used(self):
        answer = self.ask(self.world.sh("echo made >out"), options=("--far", "s3://another"))
        self.assertEqual(answer["results"], [])
        self.assertIn("s3://another", answer["reason"])


if __name__ == "__main__":
    tap.main()
