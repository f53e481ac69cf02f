#!/usr/bin/python3
"""AWS's own command line drives our Lambda: what it understands, others will."""
import base64
import json
import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from case import Case, tap  # noqa: E402
from lambda_local import ACCESS_KEY, REGION, ROLE, SECRET_KEY, python_function  # noqa: E402

# The distribution's, rather than what an interpreter's manager has put before it.
AWS = "/usr/bin/aws" if os.access("/usr/bin/aws", os.X_OK) else shutil.which("aws")


@unittest.skipUnless(AWS, "there is no AWS CLI (package awscli)")
class CommandLine(Case):
    def setUp(self):
        self.place = self.directory()
        self.serving = self.server("--pending-ms", 200)

    def aws(self, *words, secret=SECRET_KEY):
        environment = {"PATH": "/usr/bin:/bin", "HOME": self.place, "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                       "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": REGION, "AWS_PAGER": "",
                       "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true"}
        return subprocess.run([AWS, "lambda", "--endpoint-url", self.serving.endpoint, "--output", "json",
                               *words], env=environment, text=True, capture_output=True, timeout=120,
                              check=False)

    def right(self, *words):
        done = self.aws(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout) if done.stdout else None

    def zip_file(self, body):
        path = os.path.join(self.place, "package.zip")
        with open(path, "wb") as f:
            f.write(python_function(body))
        return "fileb://" + path

    def invoke(self, payload, *words):
        out = os.path.join(self.place, "out")
        told = self.right("invoke", "--function-name", "f", "--cli-binary-format", "raw-in-base64-out",
                          "--payload", json.dumps(payload), *words, out)
        with open(out, encoding="utf-8") as f:
            return told, f.read()

    def test_a_functions_whole_life(self):
        made = self.right("create-function", "--function-name", "f", "--runtime", "provided.al2023", "--role",
                          ROLE, "--handler", "bootstrap", "--zip-file", self.zip_file("return event"),
                          "--timeout", "30", "--memory-size", "256", "--ephemeral-storage", "Size=1024")
        self.assertEqual((made["State"], made["MemorySize"]), ("Pending", 256))
        self.right("wait", "function-active-v2", "--function-name", "f")
        told, body = self.invoke({"a": "ä"}, "--log-type", "Tail")
        self.assertEqual((json.loads(body), told["StatusCode"], told["ExecutedVersion"]),
                         ({"a": "ä"}, 200, "$LATEST"))
        self.assertIn("REPORT RequestId: ", base64.b64decode(told["LogResult"]).decode())
        self.right("update-function-code", "--function-name", "f", "--zip-file",
                   self.zip_file("raise KeyError(event)"))
        self.right("wait", "function-updated-v2", "--function-name", "f")
        told, body = self.invoke(1)
        self.assertEqual((told["FunctionError"], json.loads(body)["errorType"]), ("Unhandled", "KeyError"))
        self.right("update-function-configuration", "--function-name", "f", "--environment",
                   "Variables={A=b}")
        self.right("wait", "function-updated", "--function-name", "f")
        self.assertEqual(self.right("publish-version", "--function-name", "f")["Version"], "1")
        got = self.right("get-function", "--function-name", "f", "--qualifier", "1")
        self.assertEqual(got["Configuration"]["Environment"], {"Variables": {"A": "b"}})
        self.right("put-function-concurrency", "--function-name", "f", "--reserved-concurrent-executions", "5")
        self.assertEqual(self.right("get-function-concurrency", "--function-name", "f"),
                         {"ReservedConcurrentExecutions": 5})
        names = [f["FunctionName"] for f in self.right("list-functions")["Functions"]]
        self.assertEqual(names, ["f"])
        versions = [v["Version"] for v in self.right("list-versions-by-function", "--function-name",
                                                     "f")["Versions"]]
        self.assertEqual(versions, ["$LATEST", "1"])
        self.assertEqual(self.right("get-account-settings")["AccountLimit"]["ConcurrentExecutions"], 1000)
        told, _ = self.invoke({}, "--invocation-type", "Event")
        self.assertEqual(told["StatusCode"], 202)
        self.right("delete-function", "--function-name", "f")
        gone = self.aws("get-function", "--function-name", "f")
        self.assertIn("ResourceNotFoundException", gone.stderr)

    def test_errors_are_known_by_their_names(self):
        self.assertIn("InvalidSignatureException", self.aws("list-functions", secret="wrong").stderr)
        self.assertIn("ResourceNotFoundException", self.aws(
            "get-function-configuration", "--function-name", "nobody").stderr)
        self.serving.client().create("f", python_function("return 1"))
        self.until(lambda: self.serving.client().invoke("f", 0).status == 200)
        self.serving.client().request("POST", "/_ggfs/faults", b"throttle=1")
        done = self.aws("invoke", "--function-name", "f", os.path.join(self.place, "out"))
        self.assertIn("TooManyRequestsException", done.stderr)
        self.assertIn("Rate Exceeded", done.stderr)


if __name__ == "__main__":
    tap.main()
