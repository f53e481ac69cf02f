#!/usr/bin/python3
"""Management of functions, and who may ask for anything at all."""
import base64
import hashlib
import io
import json
import os
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from case import Case, tap  # noqa: E402
from lambda_local import ROLE, package, python_function  # noqa: E402

FUNCTIONS = "/2015-03-31/functions"


class Functions(Case):
    def setUp(self):
        self.serving = self.server()
        self.client = self.serving.client()

    def send(self, method, path, body=None):
        return self.client.request(method, path, b"" if body is None else json.dumps(body).encode())

    def test_a_new_function_tells_what_it_is(self):
        zipped = python_function("return 1")
        made = self.client.create("f", zipped, MemorySize=512, Timeout=10, EphemeralStorage={"Size": 1024},
                                  Environment={"Variables": {"A": "b"}})
        self.assertEqual(made.status, 201)
        self.assertEqual(made.json()["CodeSha256"],
                         base64.b64encode(hashlib.sha256(zipped).digest()).decode())
        config = self.send("GET", f"{FUNCTIONS}/f/configuration").json()
        for name, value in (("FunctionName", "f"), ("MemorySize", 512), ("Timeout", 10), ("Role", ROLE),
                            ("EphemeralStorage", {"Size": 1024}), ("State", "Active"),
                            ("LastUpdateStatus", "Successful"), ("Version", "$LATEST"),
                            ("CodeSize", len(zipped)), ("Environment", {"Variables": {"A": "b"}})):
            self.assertEqual(config[name], value, name)
        whole = self.send("GET", f"{FUNCTIONS}/f").json()
        self.assertEqual(whole["Configuration"], config)
        self.assertEqual(self.send("GET", "/_ggfs/code/f/$LATEST").body, zipped)
        self.assertTrue(whole["Code"]["Location"].endswith("/_ggfs/code/f/$LATEST"))

    def test_what_is_wrong_about_a_new_one_is_told(self):
        good = package("#!/bin/sh\n")
        for settings in ({"MemorySize": 127}, {"MemorySize": 10241}, {"MemorySize": "128"}, {"Timeout": 0},
                         {"Timeout": 901}, {"EphemeralStorage": {"Size": 511}}, {"Role": "me"},
                         {"Runtime": "python3.12"}, {"Code": {}}, {"Code": {"ZipFile": "!!!!"}},
                         {"Code": {"ZipFile": base64.b64encode(b"no zip file").decode()}},
                         {"Environment": {"Variables": {"AWS_REGION": "x"}}},
                         {"Environment": {"Variables": {"A": "x" * 5000}}}, {"FunctionName": "a b"}):
            self.assertRefused(self.client.create("f", good, **settings), 400,
                               "InvalidParameterValueException")
        self.assertEqual(self.send("GET", FUNCTIONS).json()["Functions"], [])

    def test_a_package_whose_entries_lead_out_of_it_is_refused(self):
        for name in ("../evil", "/etc/evil", "a/../../evil"):
            out = io.BytesIO()
            with zipfile.ZipFile(out, "w") as z:
                z.writestr(name, "x")
            self.assertEqual(self.client.create("f", out.getvalue()).status, 400, name)

    def test_a_package_that_unpacks_to_too_much_is_413(self):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            for n in range(26):
                z.writestr(f"zeros{n}", bytes(10 << 20))
        self.assertRefused(self.client.create("f", out.getvalue()), 413, "RequestTooLargeException")

    def test_a_name_is_taken_once(self):
        self.client.create("f", package("#!/bin/sh\n"))
        self.assertRefused(self.client.create("f", package("#!/bin/sh\n")), 409, "ResourceConflictException")

    def test_new_code_is_what_runs_next(self):
        self.client.create("f", python_function("return 1"))
        self.assertEqual(self.client.invoke("f", {}).json(), 1)
        body = {"ZipFile": base64.b64encode(python_function("return 2")).decode()}
        self.assertEqual(self.send("PUT", f"{FUNCTIONS}/f/code", body).status, 200)
        self.assertEqual(self.client.invoke("f", {}).json(), 2)
        self.until(lambda: self.serving.counters()["instances"] == 1)

    def test_new_settings_are_what_runs_next(self):
        self.client.create("f", python_function("return [os.environ[n] for n in event]"))
        body = {"MemorySize": 200, "Environment": {"Variables": {"A": "b"}}}
        self.assertEqual(self.send("PUT", f"{FUNCTIONS}/f/configuration", body).json()["MemorySize"], 200)
        self.assertEqual(self.client.invoke("f", ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "A"]).json(),
                         ["200", "b"])
        self.assertRefused(self.send("PUT", f"{FUNCTIONS}/f/configuration", {"Timeout": 0}), 400,
                           "InvalidParameterValueException")

    def test_a_published_version_stays_as_it_was(self):
        self.client.create("f", python_function("return 1"))
        self.assertEqual(self.send("POST", f"{FUNCTIONS}/f/versions", {}).json()["Version"], "1")
        body = {"ZipFile": base64.b64encode(python_function("return 2")).decode()}
        self.send("PUT", f"{FUNCTIONS}/f/code", body)
        self.assertEqual(self.client.invoke("f", {}, "Qualifier=1").json(), 1)
        self.assertEqual(self.client.invoke("f", {}).json(), 2)
        versions = self.send("GET", f"{FUNCTIONS}/f/versions").json()["Versions"]
        self.assertEqual([v["Version"] for v in versions], ["$LATEST", "1"])

    def test_a_revision_that_has_passed_is_not_updated(self):
        made = self.client.create("f", package("#!/bin/sh\n")).json()
        path = f"{FUNCTIONS}/f/configuration"
        self.assertEqual(self.send("PUT", path, {"Timeout": 9, "RevisionId": made["RevisionId"]}).status, 200)
        self.assertRefused(self.send("PUT", path, {"Timeout": 8, "RevisionId": made["RevisionId"]}), 412,
                           "PreconditionFailedException")

    def test_what_is_deleted_is_gone_with_its_instances(self):
        self.client.create("f", python_function("return 1"))
        self.client.invoke("f", {})
        self.assertEqual(self.send("DELETE", f"{FUNCTIONS}/f").status, 204)
        self.assertRefused(self.send("GET", f"{FUNCTIONS}/f"), 404, "ResourceNotFoundException")
        self.assertRefused(self.client.invoke("f", {}), 404, "ResourceNotFoundException")
        self.until(lambda: self.serving.counters()["instances"] == 0)
        self.assertEqual(self.client.create("f", package("#!/bin/sh\n")).status, 201)

    def test_concurrency_is_put_told_and_taken_away(self):
        self.client.create("f", package("#!/bin/sh\n"))
        told = f"/2019-09-30/functions/f/concurrency"
        self.assertEqual(self.send("GET", told).json(), {})
        self.send("PUT", "/2017-10-31/functions/f/concurrency", {"ReservedConcurrentExecutions": 7})
        self.assertEqual(self.send("GET", told).json(), {"ReservedConcurrentExecutions": 7})
        limit = self.send("GET", "/2016-08-19/account-settings/").json()["AccountLimit"]
        self.assertEqual((limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]), (1000, 993))
        self.send("DELETE", "/2017-10-31/functions/f/concurrency")
        self.assertEqual(self.send("GET", told).json(), {})

    def test_unknown_paths_and_bodies_are_refused(self):
        self.assertEqual(self.send("GET", "/nonsense").status, 404)
        self.assertEqual(self.send("GET", f"{FUNCTIONS}/f/nonsense").status, 404)
        self.assertRefused(self.client.request("POST", FUNCTIONS, b"[1]"), 400, "SerializationException")


class States(Case):
    def test_a_new_function_is_pending_for_a_while_and_cannot_be_invoked(self):
        server = self.server("--pending-ms", 400)
        client = server.client()
        self.assertEqual(client.create("f", python_function("return 1")).json()["State"], "Pending")
        self.assertRefused(client.invoke("f", {}), 409, "ResourceConflictException")
        path = f"{FUNCTIONS}/f/configuration"
        self.until(lambda: client.request("GET", path).json()["State"] == "Active")
        self.assertEqual(client.invoke("f", {}).json(), 1)

    def test_an_update_excludes_another_for_a_while(self):
        server = self.server("--pending-ms", 400)
        client = server.client()
        client.create("f", python_function("return 1"))
        path = f"{FUNCTIONS}/f/configuration"
        self.until(lambda: client.request("GET", path).json()["LastUpdateStatus"] == "Successful")
        body = json.dumps({"Timeout": 9}).encode()
        self.assertEqual(client.request("PUT", path, body).json()["LastUpdateStatus"], "InProgress")
        self.assertRefused(client.request("PUT", path, body), 409, "ResourceConflictException")
        self.assertEqual(client.invoke("f", {}).json(), 1)
        self.until(lambda: client.request("GET", path).json()["LastUpdateStatus"] == "Successful")


class Signatures(Case):
    def test_a_right_one_is_accepted_and_wrong_ones_say_what_is_wrong(self):
        server = self.server()
        self.assertEqual(server.client().request("GET", FUNCTIONS).status, 200)
        for options, error in (({"secret_key": "another"}, "InvalidSignatureException"),
                               ({"access_key": "AKIANOBODY"}, "UnrecognizedClientException"),
                               ({"access_key": None}, "MissingAuthenticationTokenException"),
                               ({"skew_s": 3600}, "InvalidSignatureException"),
                               ({"skew_s": -3600}, "InvalidSignatureException"),
                               ({"region": "eu-central-1"}, "InvalidSignatureException")):
            answer = server.client(**options).request("GET", FUNCTIONS)
            self.assertRefused(answer, 403, error)
            self.assertTrue(answer.json()["message"])
        self.assertEqual(server.counters()["refused"], 6)

    def test_a_body_that_was_changed_under_way_is_refused(self):
        server, client = self.with_function("return event")
        sign = client._sign
        client._sign = lambda method, path, query, headers, body: sign(method, path, query, headers, b"0")
        self.assertRefused(client.invoke("f", 1), 403, "InvalidSignatureException")
        self.assertEqual(server.counters()["invocations"], 0)

    def test_a_session_token_must_be_the_one(self):
        server = self.server("--session-token", "the token")
        self.assertEqual(server.client(token="the token").request("GET", FUNCTIONS).status, 200)
        self.assertRefused(server.client(token="an old one").request("GET", FUNCTIONS), 403,
                           "ExpiredTokenException")
        self.assertRefused(server.client().request("GET", FUNCTIONS), 403, "UnrecognizedClientException")

    def test_without_a_key_nothing_is_looked_at(self):
        server = self.server(signed=False)
        self.assertEqual(server.client(access_key=None).request("GET", FUNCTIONS).status, 200)


if __name__ == "__main__":
    tap.main()
