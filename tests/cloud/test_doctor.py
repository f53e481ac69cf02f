#!/usr/bin/python3
"""`ggfs doctor --cloud`: what it says of a cloud that works, and of each thing that does not."""
import contextlib
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import cloud  # noqa: E402
from cloud import Cloud  # noqa: E402
import lambda_local  # noqa: E402
from place import Place, tools_directory  # noqa: E402
import json  # noqa: E402
import s3  # noqa: E402
import tap  # noqa: E402

WHY_NOT = cloud.why_not()
OF_FAR = ("credentials", "clock", "far store", "put", "condition", "ask", "get", "range", "absent", "hash",
          "checksum", "region", "delete")
OF_LAMBDA = ("function", "version", "size", "machine", "concurrency", "permission", "invocation", "bill",
             "worker", "store", "again", "run", "result")

ANOTHER_VERSION = """
return {"protocol": 1, "version": "0.0.1", "worker": "old", "wrong_version": True,
        "reason": "this worker is ggfs 0.0.1, not " + event["version"]}
"""


def look(place, code):
    """What it found, by subject; it must end with code. Nothing it says has a secret in it."""
    done = place.ggfs("doctor", "--cloud", "--json")
    said = (done.stdout + done.stderr).decode()
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, not {code}: {said}")
    for secret in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert not place.env.get(secret) or place.env[secret] not in said, said
    return {f["subject"]: f for f in json.loads(done.stdout)}


def verdicts(found):
    return {subject: f["verdict"] for subject, f in found.items()}


class NothingSetUp(unittest.TestCase):
    def test_nothing_is_set_up_and_it_says_so_without_asking_anybody(self):
        with Place() as p:
            found = look(p, 0)
            self.assertEqual(verdicts(found), {"cloud": "warning"})
            self.assertIn("nothing is set up", found["cloud"]["text"])
            self.assertIn("far.url", found["cloud"]["todo"])
            self.assertEqual(p.services(), [])

    def test_settings_that_cannot_be_used_are_a_failure(self):
        with Place() as p:
            p.env.update(HOME=p.base, AWS_PROFILE="of-nobody", GGFS_FAR_URL="s3://bucket")
            self.assertIn("of-nobody", look(p, 1)["settings"]["text"])

    def test_no_credentials_are_a_failure_and_nothing_more_is_asked(self):
        with Place() as p:
            p.env.update(HOME=p.base, AWS_EC2_METADATA_DISABLED="true", GGFS_FAR_URL="s3://bucket",
                         GGFS_FAR_ENDPOINT="http://127.0.0.1:1")
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                p.env.pop(name, None)
            self.assertEqual(verdicts(look(p, 1)), {"credentials": "failure"})

    def test_blobs_and_cloud_are_not_looked_at_in_one_go(self):
        with Place() as p:
            p.refused(2, "doctor", "--cloud", "--all")


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Doctor(unittest.TestCase):
    def cloud(self, *options, **more):
        c = Cloud(*options, **more)
        self.addCleanup(c.close)
        return c

    def left(self, c):
        return s3.S3(c.s3_endpoint, *c.keys).keys(c.bucket, c.prefix + "/")

    def test_all_is_well_on_the_stand_ins_and_nothing_is_left(self):
        c = self.cloud("--idle-ms", "1000000")
        found = look(c, 0)
        self.assertEqual(verdicts(found), {subject: "ok" for subject in OF_FAR + OF_LAMBDA}, found)
        self.assertIn("environment", found["credentials"]["text"])
        self.assertIn("412", found["condition"]["text"])
        self.assertIn("a new instance", found["invocation"]["text"])
        self.assertIn("an instance that was there", found["again"]["text"])
        self.assertRegex(found["bill"]["text"], r"^[1-9]\d* ms billed")
        self.assertIn(c.env["GGFS_FAR_URL"], found["store"]["text"])
        self.assertIn("its output is right", found["run"]["text"])
        self.assertIn("found and deleted", found["result"]["text"])
        self.assertEqual(self.left(c), [])
        self.assertEqual(c.counters()["invocations"], 2)

    def test_people_are_told_the_same_and_the_count(self):
        text = self.cloud().ok("doctor", "--cloud")
        self.assertTrue(text.endswith("0 failures, 0 warnings\n"), text)
        self.assertEqual(text.count("\n"), len(OF_FAR + OF_LAMBDA) + 1, text)

    def test_a_wrong_secret_is_refused_by_both(self):
        c = self.cloud()
        c.env["AWS_SECRET_ACCESS_KEY"] = "not the secret of this key"
        found = look(c, 1)
        self.assertEqual(found["far store"]["verdict"], "failure")
        self.assertIn("SignatureDoesNotMatch", found["far store"]["text"])
        self.assertIn("credentials", found["far store"]["todo"])
        self.assertNotIn("put", found)
        self.assertEqual(found["function"]["verdict"], "failure")
        self.assertIn("InvalidSignature", found["function"]["text"])
        self.assertNotIn("invocation", found)

    def test_a_missing_bucket_is_named_and_lambda_is_looked_at_all_the_same(self):
        c = self.cloud()
        c.env["GGFS_FAR_URL"] = "s3://nobodys-bucket/x"
        found = look(c, 1)
        self.assertIn("nobodys-bucket", found["far store"]["text"])
        self.assertIn("aws s3 mb", found["far store"]["todo"])
        self.assertEqual(found["worker"]["verdict"], "ok")
        # The worker meets the same.
        self.assertEqual(found["store"]["verdict"], "failure")
        self.assertIn("nobodys-bucket", found["store"]["text"])
        self.assertEqual(found["run"]["verdict"], "ok")
        self.assertEqual(found["result"]["verdict"], "failure")

    def test_a_far_store_that_is_away_is_told_within_its_limit(self):
        c = self.cloud(deploy=False)
        c.env["GGFS_FAR_ENDPOINT"] = "http://127.0.0.1:1"
        self.assertEqual(look(c, 1)["far store"]["verdict"], "failure")

    def test_a_missing_function_is_to_be_deployed(self):
        found = look(self.cloud(deploy=False), 1)
        self.assertEqual(found["delete"]["verdict"], "ok")
        self.assertEqual(found["function"]["verdict"], "failure")
        self.assertIn("ggfs lambda deploy", found["function"]["todo"])
        self.assertNotIn("invocation", found)

    def test_a_worker_of_another_version_is_to_be_deployed_anew(self):
        c = self.cloud(deploy=False)
        client = c.server.client(access_key=c.keys[0], secret_key=c.keys[1])
        made = client.create("ggfs-worker", lambda_local.python_function(ANOTHER_VERSION),
                             Description="ggfs-worker 0.0.1", MemorySize=1769, Timeout=60)
        self.assertEqual(made.status, 201, made.body)
        found = look(c, 1)
        for subject in ("version", "worker"):
            self.assertEqual(found[subject]["verdict"], "failure", found)
            self.assertIn("0.0.1", found[subject]["text"])
            self.assertEqual(found[subject]["todo"], "ggfs lambda deploy")

    def test_a_function_that_is_no_worker_and_small_is_told(self):
        c = self.cloud(deploy=False)
        client = c.server.client(access_key=c.keys[0], secret_key=c.keys[1])
        client.create("ggfs-worker", lambda_local.python_function("return 'hello'"), MemorySize=256, Timeout=3,
                      Architectures=["arm64"])
        found = look(c, 1)
        self.assertIn("no ggfs-worker", found["worker"]["text"])
        self.assertEqual(found["size"]["verdict"], "warning")
        self.assertEqual(found["machine"]["verdict"], "ok" if os.uname().machine == "aarch64" else "failure")

    def test_a_function_that_dies_is_told_with_lambdas_words(self):
        c = self.cloud(deploy=False)
        client = c.server.client(access_key=c.keys[0], secret_key=c.keys[1])
        client.create("ggfs-worker", lambda_local.python_function("os.kill(os.getpid(), 9)"), Timeout=60)
        found = look(c, 1)
        self.assertEqual(found["invocation"]["verdict"], "failure")
        self.assertIn("signal: killed", found["invocation"]["text"])
        self.assertNotIn("worker", found)

    def test_another_region_is_refused_by_lambda(self):
        c = self.cloud()
        c.env["GGFS_LAMBDA_REGION"] = "eu-west-3"
        self.assertEqual(look(c, 1)["function"]["verdict"], "failure")

    def test_a_function_that_nothing_may_run_in_is_told(self):
        c = self.cloud()
        client = c.server.client(access_key=c.keys[0], secret_key=c.keys[1])
        client.request("PUT", "/2017-10-31/functions/ggfs-worker/concurrency",
                       b'{"ReservedConcurrentExecutions": 0}')
        found = look(c, 1)
        self.assertEqual(found["concurrency"]["verdict"], "failure")
        self.assertIn("429", found["invocation"]["text"])


class HttpWorker(unittest.TestCase):
    """A worker over HTTP, alone; no other service is needed."""

    def worker(self, p, token):
        path = p.write("token", token + "\n")
        # pylint: disable=consider-using-with
        process = subprocess.Popen(
            [os.path.join(tools_directory(), "ggfs-worker"), "serve", "--port", "0", "--address", "127.0.0.1",
             "--jobs", "1", "--cache", os.path.join(p.base, "cache"), "--token-file", path],
            env=p.env, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        p.env["GGFS_HTTP_URL"] = "http://127.0.0.1:" + process.stdout.readline().rsplit(":", 1)[1].strip()
        p.env["GGFS_HTTP_TOKEN_FILE"] = path

    def end(self, process):
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        process.wait(60)
        process.stdout.close()

    def test_a_worker_that_is_well_takes_the_token(self):
        with Place() as p:
            self.worker(p, "the-token")
            found = look(p, 0)
            of_http = ("http", "http token", "http worker", "http store", "http again", "http run", "http result")
            self.assertEqual(verdicts(found), {subject: "ok" for subject in of_http}, found)
            self.assertNotIn("the-token", json.dumps(found))

    def test_another_token_is_refused(self):
        with Place() as p:
            self.worker(p, "the-token")
            p.env["GGFS_HTTP_TOKEN_FILE"] = p.write("another", "another-token\n")
            found = look(p, 1)
            self.assertEqual(found["http token"]["verdict"], "failure")
            self.assertIn("401", found["http token"]["text"])
            self.assertNotIn("another-token", json.dumps(found))

    def test_nobody_there_is_told(self):
        with Place() as p:
            p.env["GGFS_HTTP_URL"] = "http://127.0.0.1:1"
            self.assertEqual(verdicts(look(p, 1)), {"http": "failure"})


if __name__ == "__main__":
    tap.main()
