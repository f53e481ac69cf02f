#!/usr/bin/python3
"""Signatures against botocore, AWS's own signer: every shape of request that ggfs makes."""
import datetime
import hashlib
import itertools
import json
import os
import subprocess
import sys
import unittest
from unittest import mock
from urllib.parse import quote, urlencode

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))
import tap  # noqa: E402

try:
    from botocore import auth, awsrequest, credentials
except ImportError:
    auth = None

DRIVER = os.environ["GGFS_SIGN_DRIVER"]
WHEN = datetime.datetime(2026, 2, 3, 4, 5, 6)
EPOCH = int(WHEN.replace(tzinfo=datetime.timezone.utc).timestamp())
EMPTY = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
KEYS = {"access_key": "AKIDEXAMPLE", "secret_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
TOKEN = {"session_token": "IQoJb3JpZ2luX2VjEXAMPLE+token/with=signs=="}
AWKWARD = ["plain", "with space", "plus+plus", "über", "a=b", "a&b", "what?", "no#1", "a:b", "%41",
           "a//b", "~tilde", "star*", "quote'\"", "paren(1)", "semi;comma,", "at@$!", "back\\slash",
           "brackets[x]", "日本", "./dot/../dots", "trailing/", "\t", "^`{|}<>"]


def request(method="GET", host="bucket.s3.eu-central-1.amazonaws.com", path="/", query="",
            headers=(), body=b"", payload=None, service="s3", region="eu-central-1", **more):
    return {"method": method, "host": host, "path": path, "query": query, "headers": list(headers),
            "payload_sha256": payload or hashlib.sha256(body).hexdigest(), "body": body.decode("latin-1"),
            "service": service, "region": region, "when": EPOCH, "now": EPOCH,
            "s3": service == "s3", "seconds": 3600, **KEYS, **more}


def ours(requests):
    """What the driver makes of them."""
    shown = subprocess.run([DRIVER], input=json.dumps(requests), stdout=subprocess.PIPE, text=True,
                           check=True).stdout
    return json.loads(shown)


class Clock(datetime.datetime):
    """botocore asks for the time itself."""
    @classmethod
    def utcnow(cls):
        return WHEN

    @classmethod
    def now(cls, tz=None):
        return WHEN.replace(tzinfo=tz)


def aws_request(r):
    url = f"https://{r['host']}{r['path']}" + (f"?{r['query']}" if r["query"] else "")
    headers = {}
    made = awsrequest.AWSRequest(method=r["method"], url=url, data=r["body"].encode("latin-1"),
                                 headers=headers)
    for line in r["headers"]:
        name, _, value = line.partition(":")
        made.headers.add_header(name, value.strip())
    made.context["payload_signing_enabled"] = r["payload_sha256"] != UNSIGNED
    if r["s3"]:
        made.context["client_config"] = mock.Mock(s3={"payload_signing_enabled":
                                                      r["payload_sha256"] != UNSIGNED})
    return made


def theirs(r, presigned=False):
    """The Authorization header of botocore, or its presigned URL."""
    keys = credentials.Credentials(r["access_key"], r["secret_key"], r.get("session_token"))
    kinds = {(True, False): auth.S3SigV4Auth, (False, False): auth.SigV4Auth,
             (True, True): auth.S3SigV4QueryAuth, (False, True): auth.SigV4QueryAuth}
    signer = kinds[(r["s3"], presigned)](keys, r["service"], r["region"],
                                         **({"expires": r["seconds"]} if presigned else {}))
    made = aws_request(r)
    with mock.patch.object(auth.datetime, "datetime", Clock):
        signer.add_auth(made)
    return made.url if presigned else made.headers["Authorization"]


def authorization(answer):
    return next(h.partition(": ")[2] for h in answer["headers"] if h.startswith("authorization: "))


@unittest.skipUnless(auth, "python3-botocore is not here: signatures were compared with nothing")
class AgainstBotocore(unittest.TestCase):
    maxDiff = None

    def check(self, requests):
        self.assertTrue(requests)
        for r, answer in zip(requests, ours(requests), strict=True):
            self.assertEqual(theirs(r), authorization(answer), r)
            self.assertEqual((0, ""), (answer["verified"], answer["sentence"]), r)

    def test_plain_requests_to_s3_of_each_method(self):
        self.check([request(method, path="/objects/ab/cd", body=b"hello" * (method == "PUT"))
                    for method in ("GET", "PUT", "HEAD", "DELETE", "POST")])

    def test_keys_with_awkward_characters(self):
        self.check([request("PUT", path="/" + quote(key, safe="/~")) for key in AWKWARD])

    def test_list_queries(self):
        queries = ["list-type=2&prefix=objects%2F", "prefix=a&list-type=2&continuation-token=x%2B%2F%3D",
                   "delimiter=%2F&max-keys=1000&list-type=2&start-after=%C3%BC", "location", "acl="]
        self.check([request(query=q) for q in queries])

    def test_list_queries_with_awkward_prefixes(self):
        self.check([request(query=urlencode({"list-type": "2", "prefix": key}, quote_via=quote, safe="~"))
                    for key in AWKWARD])

    def test_names_of_parameters_that_begin_alike(self):
        names = ["a=1", "a-b=2", "a=0", "a.b=3", "aa=", "a="]
        self.check([request(query="&".join(order)) for order in itertools.permutations(names)])

    def test_multipart_queries(self):
        upload = quote("VXBsb2FkIElEIGZvciA2aWWpbmcncyBteS1tb3ZpZS5tMnRz==", safe="~")
        self.check([request("POST", path="/k", query="uploads"), request("POST", path="/k", query="uploads="),
                    request("PUT", path="/k", query=f"partNumber=2&uploadId={upload}", body=b"part"),
                    request("PUT", path="/k", query=f"uploadId={upload}&partNumber=10", body=b"part"),
                    request("POST", path="/k", query=f"uploadId={upload}", body=b"<CompleteMultipartUpload/>"),
                    request("DELETE", path="/k", query=f"uploadId={upload}"),
                    request("POST", query="delete", body=b"<Delete/>",
                            headers=["Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=="])])

    def test_own_headers_in_any_order(self):
        headers = ["x-amz-meta-size: 12", "x-amz-meta: a", "x-amz-meta-b: two  spaces \t inside",
                   "x-amz-storage-class: STANDARD", "Content-Type: application/octet-stream"]
        self.check([request("PUT", path="/k", headers=order, body=b"x")
                    for order in itertools.permutations(headers)])

    def test_conditional_and_ranged_requests(self):
        self.check([request("PUT", path="/k", headers=["If-None-Match: *"], body=b"x"),
                    request("GET", path="/k", headers=["Range: bytes=0-1023"]),
                    request("GET", path="/k", headers=["If-Match: \"9b2cf535f27731c974343645a3985328\"",
                                                       "range: bytes=5-"]),
                    request("PUT", path="/k", headers=["Content-Encoding: zstd", "X-Amz-Meta-Size: 5"])])

    def test_a_header_twice_and_one_with_no_value(self):
        self.check([request(headers=["x-amz-meta-a: 1", "x-amz-meta-a: 2", "x-amz-meta-0:"])])

    def test_payloads_that_are_not_signed(self):
        self.check([request("PUT", path="/k", payload=UNSIGNED, body=b"x")])

    def test_session_tokens(self):
        self.check([request("PUT", path="/k", body=b"x", **TOKEN), request(service="lambda", **TOKEN)])

    def test_other_regions_ports_and_hosts(self):
        self.check([request(host=host, region=region, path="/bucket/key") for host, region in
                    [("127.0.0.1:8000", "us-east-1"), ("localhost:9000", "default"),
                     ("storage.googleapis.com", "auto"), ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
                     ("[::1]:8000", "us-gov-west-1")]])

    def lambda_request(self, path, **more):
        return request(more.pop("method", "POST"), host="lambda.us-east-1.amazonaws.com", path=path,
                       service="lambda", region="us-east-1", **more)

    def test_invocations_of_lambda(self):
        arn = "arn:aws:lambda:us-east-1:123456789012:function:ggfs-worker"
        functions = ["ggfs-worker", "$LATEST", "%24LATEST", arn, quote(arn, safe=""), quote(arn + ":live", safe=""),
                     "a/../b", "a//b", "a/./b/", "%2F", "with%20space"]
        self.check([self.lambda_request(f"/2015-03-31/functions/{f}/invocations", query=q, body=b"{}",
                                        headers=["X-Amz-Invocation-Type: RequestResponse", "x-amz-log-type: Tail"])
                    for f in functions for q in ("", "Qualifier=%24LATEST", "Qualifier=$LATEST", "Qualifier=7")])

    def test_management_of_functions(self):
        self.check([self.lambda_request("/2015-03-31/functions", body=b"{\"FunctionName\":\"x\"}",
                                        headers=["Content-Type: application/json"]),
                    self.lambda_request("/2015-03-31/functions/x/code", method="PUT", body=b"{}"),
                    self.lambda_request("/2015-03-31/functions/x", method="GET", query="Qualifier=1"),
                    self.lambda_request("/2015-03-31/functions/x", method="DELETE"),
                    self.lambda_request("/", method="GET"), self.lambda_request("/..", method="GET"),
                    self.lambda_request("//", method="GET")])

    def test_questions_to_sts(self):
        body = urlencode({"Action": "AssumeRole", "Version": "2011-06-15", "RoleSessionName": "a b",
                          "RoleArn": "arn:aws:iam::1:role/x"}).encode()
        self.check([request("POST", host="sts.amazonaws.com", path="/", service="sts", region="us-east-1",
                            body=body, headers=["Content-Type: application/x-www-form-urlencoded"])])

    def presigned(self, requests):
        for r, answer in zip(requests, ours(requests), strict=True):
            mine, other = (url.partition("?") for url in (answer["url"], theirs(r, presigned=True)))
            self.assertEqual(other[0], mine[0])
            self.assertEqual(sorted(other[2].split("&")), sorted(mine[2].split("&")), r)

    def test_presigned_urls(self):
        self.presigned([request(method, path="/" + quote(key, safe="/~"), payload=UNSIGNED, **token)
                        for method in ("GET", "PUT") for key in AWKWARD for token in ({}, TOKEN)])

    def test_presigned_urls_with_queries(self):
        self.presigned([request(path="/k", query=q, payload=UNSIGNED, seconds=seconds)
                        for q in ("versionId=3", "response-content-type=text%2Fplain&partNumber=1")
                        for seconds in (1, 604800)])


class Verifying(unittest.TestCase):
    """What the local Lambda refuses."""

    def refused(self, code, word, *requests):
        for answer in ours(requests):
            self.assertEqual(code, answer["verified"], answer)
            self.assertIn(word, answer["sentence"])

    def test_a_request_that_is_too_old_or_too_new_is_refused_with_awss_words(self):
        old, new = request(), request()
        old["now"] += 301
        new["now"] -= 301
        self.refused(-62, "Signature expired", old)
        self.refused(-62, "Signature not yet current", new)

    def test_five_minutes_are_allowed(self):
        old, new = request(), request()
        old["now"] += 300
        new["now"] -= 300
        self.assertEqual([0, 0], [answer["verified"] for answer in ours([old, new])])


if __name__ == "__main__":
    tap.main()
