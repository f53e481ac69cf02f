"""What the tests of ggfs-lambda-local have in common: the program, and servers that end with them."""
import os
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import tap  # noqa: E402,F401
from lambda_local import LambdaLocal, python_function  # noqa: E402

TOOLS = os.environ.get("GGFS_TOOLS", "build/tools")
PROGRAM = os.path.join(TOOLS, "lambda_local", "ggfs-lambda-local")
WAIT_S = 30


class Case(unittest.TestCase):
    maxDiff = None

    def server(self, *options, **more):
        server = LambdaLocal(PROGRAM, *options, **more)
        self.enterContext(server)
        return server

    def with_function(self, body, *options, settings=None, **more):
        """A server with the function "f", and a client of it."""
        server = self.server(*options, **more)
        client = server.client()
        answer = client.create("f", python_function(body), **(settings or {}))
        self.assertEqual(answer.status, 201, answer.body)
        return server, client

    def directory(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        return place.name

    def until(self, condition):
        end = time.monotonic() + WAIT_S
        while not condition():
            self.assertLess(time.monotonic(), end, "nothing came of waiting")
            time.sleep(0.02)

    def assertRefused(self, answer, status, error):
        self.assertEqual((answer.status, answer.error()), (status, error), answer.body)

    def assertFunctionError(self, answer, kind):
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers.get("x-amz-function-error"), "Unhandled", answer.body)
        self.assertEqual(answer.json()["errorType"], kind, answer.body)
