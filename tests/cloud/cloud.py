"""The whole path on stand-ins that listen here: Ceph's object gateway for S3 (tests/lib/radosgw starts it),
ggfs-lambda-local for Lambda, a real ggfs-worker deployed there, and ggfs as a person calls it."""
import json
import os
import sys
import uuid

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "cli"))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from place import Place, tools_directory  # noqa: E402
from lambda_local import LambdaLocal  # noqa: E402
import s3  # noqa: E402

ROLE = "arn:aws:iam::123456789012:role/ggfs-worker"
REGION = "us-east-1"


def why_not():
    """Why none of this can be tried here, or None."""
    if not os.environ.get("GGFS_TEST_S3_ENDPOINT"):
        return "there is no object gateway: radosgw is not installed"
    return None


class Cloud(Place):
    """A Place whose store has a far store of its own, and Lambda with a worker."""

    def __init__(self, *lambda_options, deploy=True):
        super().__init__()
        self.s3_endpoint = os.environ["GGFS_TEST_S3_ENDPOINT"]
        self.keys = (os.environ["GGFS_TEST_S3_ACCESS_KEY"], os.environ["GGFS_TEST_S3_SECRET_KEY"])
        self.bucket = os.environ["GGFS_TEST_S3_BUCKET"]
        self.prefix = uuid.uuid4().hex
        program = os.path.join(tools_directory(), "lambda_local", "ggfs-lambda-local")
        self.server = LambdaLocal(program, "--access-key", self.keys[0], "--secret-key", self.keys[1],
                                  "--region", REGION, *lambda_options, signed=False)
        # pylint: disable=unnecessary-dunder-call
        self.server.__enter__()
        self.env.update(
            HOME=self.base, AWS_ACCESS_KEY_ID=self.keys[0], AWS_SECRET_ACCESS_KEY=self.keys[1],
            AWS_REGION=REGION, AWS_EC2_METADATA_DISABLED="true",
            GGFS_FAR_URL=f"s3://{self.bucket}/{self.prefix}", GGFS_FAR_ENDPOINT=self.s3_endpoint,
            GGFS_LAMBDA_ENDPOINT=self.server.endpoint)
        if deploy:
            self.ok("lambda", "deploy", "--role", ROLE, "--timeout", "60")

    def close(self):
        super().close()
        self.server.__exit__(None, None, None)

    def another_store(self):
        """As a colleague's, with the same far store."""
        self.ok("stop")
        self.store = os.path.join(self.base, f"store{len(self.stores)}")
        self.stores.append(self.store)
        self.env["GGFS_STORE"] = self.store

    def empty_bucket(self):
        client = s3.S3(self.s3_endpoint, *self.keys)
        for key in client.keys(self.bucket, self.prefix + "/"):
            client.request("DELETE", f"/{self.bucket}/{key}")

    def counters(self):
        return self.server.client(access_key=self.keys[0], secret_key=self.keys[1]).request(
            "GET", "/_ggfs/counters").json()

    def recycle(self):
        """Ends all instances, and with them what they keep."""
        self.server.client(access_key=self.keys[0], secret_key=self.keys[1]).request(
            "POST", "/_ggfs/recycle")

    def ran(self):
        """The functions that ran, by engine."""
        engines = {}
        for record in json.loads(self.ok("log", "--json", "--number", "100000")):
            if not record["memoised"]:
                engines[record["engine"]] = engines.get(record["engine"], 0) + 1
        return engines

    def bill(self):
        return json.loads(self.ok("cost", "--json"))["service"]
