#!/usr/bin/python3
"""AWS's SDK for JavaScript reads what we wrote, and we what it wrote. Needs npm and the network."""
import hashlib
import json
import os
import shutil
import subprocess
import sys

from driver import BUCKET, FarCase, digest_of

import tap  # of tests/lib

SDK = "@aws-sdk/client-s3@3.1175.0"
HERE = os.path.dirname(os.path.abspath(__file__))


class Sdk(FarCase):
    def setUp(self):
        super().setUp()
        if not shutil.which("npm") or not shutil.which("node"):
            self.skipTest("needs node and npm")
        self.place = os.path.join(self.directory, "sdk")
        os.mkdir(self.place)
        shutil.copy(os.path.join(HERE, "sdk.mjs"), self.place)
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", SDK],
                              cwd=self.place, env={**os.environ, "npm_config_cache": self.place + "/cache"},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=300, text=True)
        if done.returncode != 0:
            self.skipTest(f"{SDK} cannot be had: {done.stdout[-300:]}")

    def sdk(self, command, key, *rest):
        env = {**os.environ, "AWS_ACCESS_KEY_ID": os.environ["GGFS_TEST_S3_ACCESS_KEY"],
               "AWS_SECRET_ACCESS_KEY": os.environ["GGFS_TEST_S3_SECRET_KEY"]}
        done = subprocess.run(["node", "sdk.mjs", command, BUCKET, key, *rest], cwd=self.place, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def object(self, digest):
        return self.key(digest).split("/", 2)[2]

    def test_each_reads_what_the_other_wrote(self):
        driver = self.driver()
        plain, packed = os.urandom(5000), b"packed " * 50000
        large = self.random(driver, 1, 70 << 20)
        digests = [self.put(driver, plain), self.put(driver, packed), large]
        self.succeed(driver, "push", *digests)
        got = self.sdk("get", self.object(digests[0]))
        self.assertEqual(got, {"encoding": None, "metadata": {"ggfs-size": "5000"}, "length": 5000,
                               "sha256": hashlib.sha256(plain).hexdigest()})
        got = self.sdk("get", self.object(digests[1]))
        self.assertEqual((got["encoding"], got["metadata"]), ("zstd", {"ggfs-size": str(len(packed))}))
        self.assertLess(got["length"], len(packed) // 10)
        self.assertEqual(self.sdk("head", self.object(large)), 70 << 20)
        self.assertEqual(self.sdk("list", self.prefix + "/"), sorted(map(self.object, digests)))

        theirs = digest_of(b"theirs")
        self.assertEqual(self.sdk("put", self.object(theirs), "theirs"), 200)
        self.succeed(driver, "pull", theirs)
        self.assertEqual(self.sdk("put-if-absent", self.object(digests[0]), "x"), "PreconditionFailed")
        mine = self.put(driver, b"mine")
        self.assertEqual(self.sdk("put-if-absent", self.object(mine), "mine"), "put")
        self.succeed(driver, "push", mine)
        self.assertEqual(self.sdk("head", self.object(mine)), 4)


if __name__ == "__main__":
    sys.exit(tap.main())
