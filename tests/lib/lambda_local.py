"""Starts ggfs-lambda-local for tests and speaks its API, apart from the product's own client."""
import base64
import datetime
import hashlib
import hmac
import http.client
import io
import json
import os
import subprocess
import urllib.parse
import zipfile

ROLE = "arn:aws:iam::123456789012:role/ggfs-worker"
ACCESS_KEY, SECRET_KEY, REGION = "AKIAGGFSTEST", "a secret of the tests'", "us-east-1"


class LambdaLocal:
    """The server, with the options given; ends with the with-statement."""

    def __init__(self, program, *options, signed=True):
        keys = ["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY] if signed else []
        self.command = [program, "--with-stdin", "--pending-ms", "0", *keys, *map(str, options)]

    def __enter__(self):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.command[0]} ended with {self.process.wait()}")
        self.ready = json.loads(line)
        self.endpoint, self.port = self.ready["endpoint"], self.ready["port"]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process.stdout.close()
        if self.process.returncode:
            raise RuntimeError(f"{self.command[0]} ended with {self.process.returncode}")

    def client(self, **options):
        return Client("127.0.0.1", self.port, **options)

    def counters(self):
        return self.client().request("GET", "/_ggfs/counters").json()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.headers.get("x-amzn-errortype")

    def log(self):
        return base64.b64decode(self.headers["x-amz-log-result"]).decode()


class Client:
    """One kept-alive connection."""

    def __init__(self, host, port, access_key=ACCESS_KEY, secret_key=SECRET_KEY, token=None,
                 region=REGION, skew_s=0, timeout_s=30):
        self.host = f"{host}:{port}"
        self.connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        self.access_key, self.secret_key, self.token = access_key, secret_key, token
        self.region, self.skew_s = region, skew_s

    def _sign(self, method, path, query, headers, body):
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.skew_s)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        headers.update({"host": self.host, "x-amz-date": stamp})
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = ";".join(sorted(headers))
        canonical = "\n".join([method, urllib.parse.quote(path, safe="/-_.~"), query,
                               *(f"{name}:{headers[name].strip()}" for name in sorted(headers)),
                               "", names, hashlib.sha256(body).hexdigest()])
        scope = f"{day}/{self.region}/lambda/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + self.secret_key).encode()
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, "
                                    f"SignedHeaders={names}, Signature={signature}")

    def request(self, method, path, body=b"", query="", headers=None):
        """path and query as they are sent."""
        headers = {name.lower(): value for name, value in (headers or {}).items()}
        if self.access_key:
            self._sign(method, path, query, headers, body)
        try:
            self.connection.request(method, path + ("?" + query if query else ""), body, headers)
            response = self.connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()},
                          response.read())
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise

    def create(self, name, package, **settings):
        body = {"FunctionName": name, "Runtime": "provided.al2023", "Role": ROLE,
                "Handler": "bootstrap", "Code": {"ZipFile": base64.b64encode(package).decode()},
                **settings}
        return self.request("POST", "/2015-03-31/functions", json.dumps(body).encode())

    def invoke(self, name, payload=None, query="", **headers):
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", f"/2015-03-31/functions/{name}/invocations", body, query, headers)


def package(bootstrap, **files):
    """A zip file with an executable bootstrap of this text."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, text in {"bootstrap": bootstrap, **files}.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (0o100755 if name == "bootstrap" else 0o100644) << 16
            z.writestr(info, text)
    return out.getvalue()


def python_function(body):
    """A package whose function is the body of `def handle(event, context)`: it returns what is
    answered as JSON, bytes as they are; what it raises is the function's error."""
    handler = "\n".join("    " + line for line in body.strip().splitlines())
    return package(RUNTIME.replace("    pass  # the handler", handler))


RUNTIME = '''#!/usr/bin/python3
import http.client, json, os, signal, subprocess, sys, time

def handle(event, context):
    pass  # the handler

def call(method, path, body=None, headers={}):
    connection.request(method, "/2018-06-01/runtime/" + path, body, headers)
    response = connection.getresponse()
    return response, response.read()

connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
count = 0
while True:
    response, body = call("GET", "invocation/next")
    context = {k.lower(): v for k, v in response.getheaders()}
    request = context["lambda-runtime-aws-request-id"]
    count += 1
    try:
        answer = handle(json.loads(body), context)
        answer = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        call("POST", f"invocation/{request}/response", answer)
    except Exception as fault:
        error = {"errorMessage": str(fault), "errorType": type(fault).__name__}
        call("POST", f"invocation/{request}/error", json.dumps(error).encode())
'''
