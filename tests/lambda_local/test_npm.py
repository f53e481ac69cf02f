#!/usr/bin/python3
"""AWS's SDK for JavaScript drives our Lambda, and AWS's runtime client for Node runs under it.

Both come from npm, once a build of the tests' directory (GGFS_NPM_CACHE keeps them); the runtime client
is compiled, which takes cmake, autoconf, automake, libtool and minutes.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from case import Case, tap  # noqa: E402
from lambda_local import ACCESS_KEY, REGION, ROLE, SECRET_KEY, package, python_function  # noqa: E402

SDK, RUNTIME_CLIENT = "@aws-sdk/client-lambda@3.1164.0", "aws-lambda-ric@3.3.0"
NODE, NPM = shutil.which("node"), shutil.which("npm")
CACHE = os.environ.get("GGFS_NPM_CACHE") or tempfile.mkdtemp(prefix="ggfs-npm-")
INSTALL_S = 1200


def setUpModule():
    os.makedirs(CACHE, exist_ok=True)


def tearDownModule():
    if "GGFS_NPM_CACHE" not in os.environ:
        shutil.rmtree(CACHE)


def install(test, name):
    """The directory in which this npm package and what it needs stand under node_modules."""
    if not NODE or not NPM:
        test.skipTest("there is no node, or no npm")
    place = os.path.join(CACHE, name.strip("@").replace("/", "-"))
    if not os.path.exists(place + "/complete"):
        os.makedirs(place, exist_ok=True)
        done = subprocess.run([NPM, "install", "--no-audit", "--no-fund", "--prefix", place, name], cwd=place,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_S,
                              check=False)
        if done.returncode:
            test.skipTest(f"npm cannot install {name}: {done.stderr.strip().splitlines()[-1:]}")
        with open(place + "/complete", "w", encoding="utf-8"):
            pass
    return place


DRIVE = """
const sdk = require("@aws-sdk/client-lambda");
const fs = require("fs");
const [endpoint, role, zip, other] = process.argv.slice(2);
const client = new sdk.LambdaClient({ endpoint, maxAttempts: 1 });
const FunctionName = "f";
const text = (bytes) => Buffer.from(bytes || "").toString();
(async () => {
    const said = {};
    said.created = (await client.send(new sdk.CreateFunctionCommand({ FunctionName, Role: role,
        Runtime: "provided.al2023", Handler: "bootstrap", Timeout: 30,
        Code: { ZipFile: fs.readFileSync(zip) } }))).State;
    await sdk.waitUntilFunctionActiveV2({ client, maxWaitTime: 30, minDelay: 1 }, { FunctionName });
    const answer = await client.send(new sdk.InvokeCommand({ FunctionName, LogType: "Tail",
        Payload: JSON.stringify({ hello: "w\\u00f6rld" }) }));
    said.answer = text(answer.Payload);
    said.version = answer.ExecutedVersion;
    said.log = Buffer.from(answer.LogResult, "base64").toString();
    await client.send(new sdk.UpdateFunctionCodeCommand({ FunctionName, ZipFile: fs.readFileSync(other) }));
    await sdk.waitUntilFunctionUpdatedV2({ client, maxWaitTime: 30, minDelay: 1 }, { FunctionName });
    const failed = await client.send(new sdk.InvokeCommand({ FunctionName, Payload: "1" }));
    said.error = [failed.FunctionError, JSON.parse(text(failed.Payload)).errorType];
    await client.send(new sdk.PutFunctionConcurrencyCommand({ FunctionName, ReservedConcurrentExecutions: 0 }));
    try {
        await client.send(new sdk.InvokeCommand({ FunctionName, Payload: "1" }));
    } catch (fault) {
        said.throttled = [fault instanceof sdk.TooManyRequestsException, fault.Reason,
            fault.$metadata.httpStatusCode, fault.retryAfterSeconds];
    }
    await client.send(new sdk.DeleteFunctionCommand({ FunctionName }));
    try {
        await client.send(new sdk.GetFunctionCommand({ FunctionName }));
    } catch (fault) {
        said.gone = fault instanceof sdk.ResourceNotFoundException;
    }
    console.log(JSON.stringify(said));
})().catch((fault) => { console.error(fault); process.exit(1); });
"""

HANDLER = """
let count = 0;
exports.handle = async (event, context) => {
    if (event === "raise")
        throw new RangeError("too far");
    if (event === "exit")
        process.exit(7);
    if (event === "sleep")
        await new Promise((done) => setTimeout(done, 60000));
    return { event, count: ++count, request: context.awsRequestId, name: context.functionName,
             left: context.getRemainingTimeInMillis(), memory: context.memoryLimitInMB };
};
exports.stream = awslambda.streamifyResponse(async (event, out) => {
    out.write('{"a":');
    out.write("1}");
    out.end();
});
"""


class JavaScript(Case):
    def test_the_sdk_creates_invokes_updates_and_deletes(self):
        place = install(self, SDK)
        server = self.server("--pending-ms", 200)
        names = []
        for body in ("return event", "raise KeyError(1)"):
            names.append(os.path.join(place, f"package{len(names)}.zip"))
            with open(names[-1], "wb") as f:
                f.write(python_function(body))
        with open(os.path.join(place, "drive.js"), "w", encoding="utf-8") as f:
            f.write(DRIVE)
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                       "AWS_REGION": REGION}
        done = subprocess.run([NODE, "drive.js", server.endpoint, ROLE, *names], cwd=place, text=True,
                              env=environment, capture_output=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        self.assertEqual(json.loads(said["answer"]), {"hello": "wörld"})
        self.assertIn("REPORT RequestId: ", said.pop("log"))
        self.assertEqual((said["created"], said["version"], said["error"], said["gone"]),
                         ("Pending", "$LATEST", ["Unhandled", "KeyError"], True))
        self.assertEqual(said["throttled"],
                         [True, "ReservedFunctionConcurrentInvocationLimitExceeded", 429, "1"])


class RuntimeClient(Case):
    """AWS's runtime client, seen as a layer."""

    def setUp(self):
        self.layer = install(self, RUNTIME_CLIENT)
        self.client = self.server("--opt", self.layer, "--pending-ms", 0).client()

    def create(self, handler):
        start = (f"#!/bin/sh\nexec {NODE} /opt/node_modules/aws-lambda-ric/bin/index.mjs {handler}\n")
        answer = self.client.create("f", package(start, **{"index.js": HANDLER}), MemorySize=512, Timeout=5)
        self.assertEqual(answer.status, 201, answer.body)

    def test_it_takes_invocations_and_tells_the_function_what_it_is(self):
        self.create("index.handle")
        answers = [self.client.invoke("f", {"n": n}, x_amz_log_type="Tail") for n in range(3)]
        for n, answer in enumerate(answers):
            self.assertNotIn("x-amz-function-error", answer.headers, answer.log())
            got = answer.json()
            self.assertTrue(0 < got.pop("left") <= 5000)
            self.assertEqual(got, {"event": {"n": n}, "count": n + 1, "name": "f", "memory": "512",
                                   "request": answer.headers["x-amzn-requestid"]})

    def test_errors_exits_and_time_are_seen_as_in_lambda(self):
        self.create("index.handle")
        raised = self.client.invoke("f", "raise")
        self.assertFunctionError(raised, "RangeError")
        self.assertEqual(raised.json()["errorMessage"], "too far")
        self.assertFunctionError(self.client.invoke("f", "sleep"), "Sandbox.Timedout")
        self.assertFunctionError(self.client.invoke("f", "exit"), "Runtime.ExitError")
        self.assertEqual(self.client.invoke("f", {}).json()["count"], 1)

    def test_a_streamed_answer_comes_whole(self):
        self.create("index.stream")
        self.assertEqual(self.client.invoke("f", {}).json(), {"a": 1})


if __name__ == "__main__":
    tap.main()
