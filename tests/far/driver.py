"""The far-driver program, and what the far store's tests say often."""
import errno
import hashlib
import html
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import s3  # noqa: E402

DRIVER = os.environ["GGFS_FAR_DRIVER"]
ENDPOINT = os.environ.get("GGFS_TEST_S3_ENDPOINT")
BUCKET = os.environ.get("GGFS_TEST_S3_BUCKET", "ggfs-test")
MISSING = "needs an S3 server: apt-get install radosgw ceph-mon ceph-osd uuid-runtime"


def digest_of(data):
    return hashlib.blake2b(data, digest_size=32).hexdigest()


class Answer:
    def __init__(self, line):
        self.code, self.rest = line.rstrip("\n").split(" ", 1)
        self.code = int(self.code)

    def __repr__(self):
        name = errno.errorcode.get(-self.code, "0")
        return f"{name} {self.rest}"


class Driver:
    """One process with a near and a far store; near: a directory, made if absent."""

    def __init__(self, near, url, endpoint, access=None, secret=None, region="us-east-1", under=None, **settings):
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env.update({"AWS_ACCESS_KEY_ID": access or os.environ.get("GGFS_TEST_S3_ACCESS_KEY", "KEY"),
                    "AWS_SECRET_ACCESS_KEY": secret or os.environ.get("GGFS_TEST_S3_SECRET_KEY", "SECRET"),
                    "AWS_REGION": region, "AWS_CONFIG_FILE": "/nonexistent",
                    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true"})
        arguments = [f"{name}={value}" for name, value in settings.items()]
        self.process = subprocess.Popen([*(under or []), DRIVER, near, url, endpoint, *arguments], env=env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.opened = Answer(self.process.stdout.readline())

    def say(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def hear(self):
        return Answer(self.process.stdout.readline())

    def ask(self, *words):
        self.say(*words)
        return self.hear()

    def usage(self):
        return {k: int(v) for k, v in (pair.split("=") for pair in self.ask("usage").rest.split())}

    def close(self):
        """A driver that does not end well (a sanitizer's report) is a failed test."""
        self.process.stdin.close()
        status = self.process.wait(timeout=60)
        self.process.stdout.close()
        if status != 0:
            raise AssertionError(f"the driver ended with {status}")


class FarCase(unittest.TestCase):
    """A prefix and a directory of its own for each test."""

    def setUp(self):
        if ENDPOINT is None:
            self.skipTest(MISSING)
        self.directory = tempfile.mkdtemp(prefix="ggfs-far-")
        self.addCleanup(shutil.rmtree, self.directory)
        self.prefix = "far/" + os.path.basename(self.directory)
        self.url = f"s3://{BUCKET}/{self.prefix}"
        self.s3 = s3.S3(ENDPOINT, os.environ["GGFS_TEST_S3_ACCESS_KEY"],
                        os.environ["GGFS_TEST_S3_SECRET_KEY"])

        self.addCleanup(self.empty)

    def empty(self):
        """The gateway has its objects in memory."""
        for _ in range(10):
            _, _, page = self.s3.request("GET", f"/{BUCKET}", query={"list-type": "2", "prefix": self.prefix + "/",
                                                                     "encoding-type": "url"})
            keys = re.findall(rb"<Key>([^<]*)</Key>", page)
            for key in keys:
                self.s3.request("DELETE", f"/{BUCKET}/{urllib.parse.unquote(html.unescape(key.decode()))}")
            if not keys:
                return
        self.fail(f"{self.prefix} is not to be emptied: {keys[:3]}")

    def driver(self, name="near", endpoint=ENDPOINT, url=None, **settings):
        driver = Driver(os.path.join(self.directory, name), url or self.url, endpoint, **settings)
        self.addCleanup(self.end, driver)
        self.assertEqual(driver.opened.code, 0, driver.opened)
        return driver

    def end(self, driver):
        if driver.process.returncode is None:
            driver.close()

    def key(self, digest, kind="objects", prefix=None):
        return f"/{BUCKET}/{prefix or self.prefix}/{kind}/{digest[:2]}/{digest[2:]}"

    def file(self, data, name="file"):
        path = os.path.join(self.directory, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    def put(self, driver, data):
        """A blob in the near store; its digest."""
        answer = self.succeed(driver, "put", self.file(data))
        self.assertEqual(answer.rest, f"{digest_of(data)} {len(data)}")
        return digest_of(data)

    def random(self, driver, seed, size):
        return self.succeed(driver, "random", str(seed), str(size)).rest.split()[0]

    def succeed(self, driver, *words):
        answer = driver.ask(*words)
        self.assertEqual(answer.code, 0, f"{words}: {answer}")
        return answer

    def fail_with(self, driver, code, *words):
        answer = driver.ask(*words)
        self.assertEqual(answer.code, -code, f"{words}: {answer}")
        return answer.rest
