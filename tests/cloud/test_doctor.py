#!/usr/bin/python3
"""`ggfs doctor --cloud`: what it says of a cloud that works, and of each thing that does not."""
import base64
import contextlib
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import cloud  # noqa: E402
from cloud import Cloud  # noqa: E402
import lambda_local  # noqa: E402
import place  # noqa: E402
from place import Place, tools_directory  # noqa: E402
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


def look(p, code):
    """What it found, by subject; it must end with code. Nothing it says has a secret in it."""
    done = p.ggfs("doctor", "--cloud", "--json")
    said = (done.stdout + done.stderr).decode()
    if done.returncode != code:
        raise AssertionError(f"exit {done.returncode}, not {code}: {said}")
    for secret in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        assert not p.env.get(secret) or p.env[secret] not in said, said
    return {f["subject"]: f for f in json.loads(done.stdout)}


def verdicts(found):
    return {subject: f["verdict"] for subject, f in found.items()}


class FakeS3(http.server.ThreadingHTTPServer):
    """Answers as AWS documents that S3 does, where the gateway does otherwise, and as faults say:
    it looks at regions and checksums, not at signatures."""
    REGION = "eu-west-3"

    def __init__(self, *faults):
        super().__init__(("127.0.0.1", 0), FakeS3Handler)
        self.faults, self.objects = faults, {}
        self.put, self.go_on = threading.Event(), threading.Event()

    def __enter__(self):
        threading.Thread(target=self.serve_forever).start()
        return self

    def __exit__(self, *_):
        self.go_on.set()
        self.shutdown()
        self.server_close()


class FakeS3Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return super().date_time_string(time.time() + 3600 * ("hour off" in self.server.faults))

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code, more=""):
        self.answer(status, f"<Error><Code>{code}</Code><Message>no</Message>{more}</Error>".encode())

    def region_is_right(self):
        if f"/{self.server.REGION}/s3/" in self.headers["Authorization"]:
            return True
        self.refuse(400, "AuthorizationHeaderMalformed", f"<Region>{self.server.REGION}</Region>")
        return False

    def do_GET(self):
        faults, range_wanted = self.server.faults, self.headers["Range"]
        if not self.region_is_right():
            return
        if "silence" in faults:
            self.server.go_on.wait(place.DEADLINE_S)
            self.close_connection = True
        elif "?" in self.path and "no list" not in faults:
            self.answer(200, b"<ListBucketResult></ListBucketResult>")
        elif self.path not in self.server.objects:
            self.refuse(*((403, "AccessDenied") if "no list" in faults else (404, "NoSuchKey")))
        else:
            size, body = self.server.objects[self.path]
            if "other bytes" in faults:
                body = body[:-1] + bytes([body[-1] ^ 1])
            meta = {} if "no metadata" in faults else {"x_amz_meta_ggfs_size": size}
            if range_wanted and "no range" not in faults:
                first, last = map(int, range_wanted[len("bytes="):].split("-"))
                self.answer(206, body[first:last + 1], **meta)
            else:
                self.answer(200, body, **meta)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        digest = hashlib.sha256(body)
        checksum = self.headers["x-amz-checksum-sha256"]
        if not self.region_is_right():
            return
        if "no condition" in self.server.faults and self.headers["If-None-Match"]:
            self.refuse(501, "NotImplemented")
        elif self.headers["If-None-Match"] and self.path in self.server.objects:
            self.refuse(412, "PreconditionFailed")
        elif self.headers["x-amz-content-sha256"] != digest.hexdigest() and "no hash" not in self.server.faults:
            self.refuse(400, "XAmzContentSHA256Mismatch")
        elif checksum and checksum != base64.b64encode(digest.digest()).decode():
            self.refuse(400, "BadDigest")
        else:
            self.server.objects[self.path] = self.headers["x-amz-meta-ggfs-size"], body
            self.server.put.set()
            if "held put" in self.server.faults:
                self.server.go_on.wait(place.DEADLINE_S)
            self.answer(200)

    def do_DELETE(self):
        if "no delete" in self.server.faults:
            self.refuse(403, "AccessDenied")
            return
        self.server.objects.pop(self.path, None)
        self.answer(204)


class AsAmazonDocuments(unittest.TestCase):
    @contextlib.contextmanager
    def at(self, *faults, region=FakeS3.REGION):
        with Place() as p, FakeS3(*faults) as server:
            p.env.update(HOME=p.base, AWS_ACCESS_KEY_ID="AKIATEST", AWS_SECRET_ACCESS_KEY="the secret",
                         AWS_SESSION_TOKEN="the session's token", AWS_REGION=region,
                         GGFS_FAR_URL="s3://bucket/prefix", GGFS_HTTP_URL="http://127.0.0.1:1",
                         GGFS_FAR_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
            yield p, server

    def far(self, *faults, region=FakeS3.REGION):
        """What is said of the far store, and what is left in it."""
        with self.at(*faults, region=region) as (p, server):
            found = look(p, 1)  # for nobody is at the worker's address
            self.assertEqual(found.pop("http")["verdict"], "failure")
            return found, server.objects

    def only(self, found, **expected):
        """All is ok but these."""
        bad = {subject.replace(" ", "_"): v for subject, v in verdicts(found).items() if v != "ok"}
        self.assertEqual(bad, expected, found)

    def test_regions_hashes_and_checksums_are_refused_and_nothing_is_left(self):
        found, left = self.far()
        self.assertEqual(verdicts(found), {subject: "ok" for subject in OF_FAR})
        self.assertIn("refused: 400 AuthorizationHeaderMalformed", found["region"]["text"])
        self.assertIn("refused, with 400", found["checksum"]["text"])
        self.assertIn("with a session token", found["credentials"]["text"])
        self.assertEqual(left, {})

    def test_a_bucket_elsewhere_is_named_with_its_region(self):
        found, left = self.far(region="us-west-2")
        self.only(found, far_store="failure")
        self.assertIn("region " + FakeS3.REGION, found["far store"]["text"])
        self.assertEqual(left, {})

    def test_a_clock_that_is_an_hour_off_is_a_warning(self):
        found, _ = self.far("hour off")
        self.only(found, clock="warning")
        self.assertRegex(found["clock"]["text"], "^3(599|600|601) s behind")

    def test_without_ListBucket_what_is_absent_is_forbidden(self):
        found, left = self.far("no list")
        self.only(found, far_store="warning", absent="failure")
        self.assertIn("s3:ListBucket", found["absent"]["todo"])
        self.assertEqual(left, {})

    def test_without_DeleteObject_it_says_what_is_left(self):
        found, left = self.far("no delete")
        self.only(found, delete="warning")
        self.assertEqual(len(left), 1)
        self.assertIn(next(iter(left)).removeprefix("/bucket/"), found["delete"]["todo"])

    def test_without_conditional_puts_it_goes_on(self):
        found, left = self.far("no condition")
        self.only(found, condition="warning")
        self.assertEqual(left, {})

    def test_a_service_that_believes_any_hash_is_a_warning_and_what_it_took_is_deleted(self):
        found, left = self.far("no hash")
        self.only(found, hash="warning")
        self.assertEqual(left, {})

    def test_wrong_bytes_lost_sizes_and_ignored_ranges_are_failures(self):
        self.only(self.far("other bytes")[0], get="failure")
        self.only(self.far("no metadata")[0], ask="failure")
        self.only(self.far("no range")[0], ask="failure", range="failure")

    def test_a_service_that_takes_and_says_nothing_is_given_up(self):
        found, left = self.far("silence")
        self.assertEqual(verdicts(found), {"credentials": "ok", "far store": "failure"})
        self.assertEqual(left, {})

    def test_who_interrupts_it_leaves_nothing_either(self):
        with self.at("held put") as (p, server):
            process = p.start("ggfs", "doctor", "--cloud")
            self.assertTrue(server.put.wait(place.DEADLINE_S))
            os.kill(process.pid, signal.SIGINT)
            server.go_on.set()
            self.assertEqual(process.wait(place.DEADLINE_S), -signal.SIGINT)
            self.assertEqual(server.objects, {})


class FakeLambdaHandler(http.server.BaseHTTPRequestHandler):
    """Of a user who may invoke, and nothing else; and everything is busy."""
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, code=None):
        body = json.dumps({"message": "no"}).encode() if code else b""
        self.send_response(status)
        if code:
            self.send_header("x-amzn-ErrorType", code)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(403, "AccessDeniedException")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["X-Amz-Invocation-Type"] == "DryRun":
            self.answer(204)
        else:
            self.answer(429, "TooManyRequestsException")


class WhoMayOnlyInvoke(unittest.TestCase):
    def test_what_may_not_be_looked_at_is_a_warning_and_it_is_invoked_all_the_same(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeLambdaHandler)
        threading.Thread(target=server.serve_forever).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        with Place() as p:
            p.env.update(HOME=p.base, AWS_ACCESS_KEY_ID="AKIATEST", AWS_SECRET_ACCESS_KEY="the secret",
                         GGFS_LAMBDA_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
            found = look(p, 1)
            self.assertEqual(verdicts(found), {
                "credentials": "ok", "far store": "warning", "function": "warning", "clock": "ok",
                "permission": "ok", "invocation": "failure"})
            self.assertIn("--for deployer", found["function"]["todo"])
            self.assertIn("429", found["invocation"]["text"])


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

    def test_a_version_of_the_function_is_what_is_looked_at(self):
        c = self.cloud()
        client = c.server.client(access_key=c.keys[0], secret_key=c.keys[1])
        made = client.request("POST", "/2015-03-31/functions/ggfs-worker/versions", b"{}")
        self.assertEqual(made.status, 201, made.body)
        c.env["GGFS_LAMBDA_FUNCTION"] = "ggfs-worker:1"
        self.assertTrue(look(c, 0)["invocation"]["text"].endswith("version 1"))
        c.env["GGFS_LAMBDA_FUNCTION"] = "ggfs-worker:2"
        self.assertEqual(look(c, 1)["function"]["verdict"], "failure")

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

    def test_a_token_file_that_is_not_there_is_told(self):
        with Place() as p:
            self.worker(p, "the-token")
            p.env["GGFS_HTTP_TOKEN_FILE"] = p.path("nowhere")
            self.assertIn("nowhere", look(p, 1)["http token"]["text"])

    def test_an_id_token_that_cannot_be_had_is_told(self):
        with Place() as p:
            self.worker(p, "the-token")
            del p.env["GGFS_HTTP_TOKEN_FILE"]
            p.env.update(GGFS_HTTP_AUDIENCE="https://worker.example", GCE_METADATA_HOST="127.0.0.1:1")
            found = look(p, 1)
            self.assertEqual(verdicts(found), {"http": "ok", "http token": "failure"})

    def test_nobody_there_is_told(self):
        with Place() as p:
            p.env["GGFS_HTTP_URL"] = "http://127.0.0.1:1"
            self.assertEqual(verdicts(look(p, 1)), {"http": "failure"})


if __name__ == "__main__":
    tap.main()
