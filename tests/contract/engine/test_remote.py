#!/usr/bin/python3
"""test_remote.py BACKEND PROGRAM: runs a program of contract tests on a remote engine, whose worker is
started here: `ggfs-worker serve`, or ggfs-worker as a function of ggfs-lambda-local."""
import contextlib
import os
import subprocess
import sys
import tempfile

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
import lambda_local  # noqa: E402

TOOLS = os.environ["GGFS_TOOLS"]
WORKER = os.path.join(TOOLS, "ggfs-worker")
LAMBDA = os.path.join(TOOLS, "lambda_local", "ggfs-lambda-local")
TOKEN = "the-token-of-the-contract-tests"


@contextlib.contextmanager
def http(base):
    env = dict(os.environ, GGFS_WORKER_TOKEN=TOKEN)
    command = [WORKER, "serve", "--port", "0", "--address", "127.0.0.1", "--jobs", "2",
               "--cache", os.path.join(base, "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as server:
        try:
            port = server.stdout.readline().strip().rsplit(":", 1)[1]
            yield {"GGFS_TEST_HTTP_URL": f"http://127.0.0.1:{port}/run", "GGFS_TEST_HTTP_TOKEN": TOKEN}
        finally:
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.terminate()  # what runs is a function that nobody waits for any more
                server.wait(60)


@contextlib.contextmanager
def aws_lambda(base):
    with lambda_local.LambdaLocal(LAMBDA, "--concurrency", "4") as server:
        env = {"GGFS_TEST_LAMBDA_ENDPOINT": server.endpoint, "AWS_REGION": lambda_local.REGION,
               "AWS_ACCESS_KEY_ID": lambda_local.ACCESS_KEY,
               "AWS_SECRET_ACCESS_KEY": lambda_local.SECRET_KEY, "HOME": base}
        subprocess.run([os.path.join(TOOLS, "ggfs"), "lambda", "deploy", "--worker", WORKER,
                        "--role", lambda_local.ROLE, "--timeout", "60"], check=True,
                       stdout=subprocess.DEVNULL,
                       env=dict(os.environ, AWS_ENDPOINT_URL_LAMBDA=server.endpoint,
                                GGFS_STORE=os.path.join(base, "store"), **env))
        yield env


def main():
    backend, program = sys.argv[1:3]
    start = {"http": http, "lambda": aws_lambda}[backend]
    with tempfile.TemporaryDirectory(prefix="ggfs-remote-") as base, start(base) as env:
        env = dict(os.environ, GGFS_TEST_BACKENDS=backend, **env)
        return subprocess.run([program], env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
