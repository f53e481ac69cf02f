#!/usr/bin/python3
"""The credential chain against stand-ins for its sources, all on the loopback."""
import datetime
import hashlib
import json
import os
import sys
import tempfile
import unittest
from urllib.parse import parse_qs

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import servers  # noqa: E402
from servers import SECRET, TOKEN, RawServer, Server  # noqa: E402
import tap  # noqa: E402

ACCESS = "ASIAEXAMPLE1234"


def soon(seconds=3600, form="%Y-%m-%dT%H:%M:%SZ"):
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=seconds)).strftime(form)


def metadata(seconds=3600, access=ACCESS):
    return json.dumps({"Code": "Success", "AccessKeyId": access, "SecretAccessKey": SECRET, "Token": TOKEN,
                       "Expiration": soon(seconds)})


def sts_answer(action, access=ACCESS, seconds=3600):
    return (f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<AssumedRoleUser><Arn>arn</Arn></AssumedRoleUser><Credentials><AccessKeyId>{access}</AccessKeyId>"
            f"<SecretAccessKey>{SECRET}</SecretAccessKey><SessionToken>{TOKEN}</SessionToken>"
            f"<Expiration>{soon(seconds)}</Expiration></Credentials></{action}Result></{action}Response>")


class Chain(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.home = place.name

    def write(self, name, text):
        path = os.path.join(self.home, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def config(self, text):
        self.write(".aws/config", text)

    def describe(self, profile=None, times=1, **env):
        lines, _ = servers.run("GGFS_AWS_DRIVER", *(["--profile", profile] if profile else []), "describe", times,
                               env=env, home=self.home)
        return lines if times > 1 else lines[0]

    def found(self, text, **how):
        answer = self.describe(**how)
        self.assertEqual((0, text), (answer["code"], answer["text"]), answer)

    def refused(self, *words, **how):
        answer = self.describe(**how)
        self.assertEqual(-13, answer["code"], answer)
        for word in words:
            self.assertIn(word, answer["error"])


class Static(Chain):
    def test_keys_of_the_environment(self):
        self.found("environment, key ****1234", AWS_ACCESS_KEY_ID="AKIAEXAMPLE1234", AWS_SECRET_ACCESS_KEY=SECRET)
        self.found("environment, key ****1234 with a session token", AWS_ACCESS_KEY_ID="AKIAEXAMPLE1234",
                   AWS_SECRET_ACCESS_KEY=SECRET, AWS_SESSION_TOKEN=TOKEN)

    def test_half_a_key_is_refused(self):
        self.refused("AWS_SECRET_ACCESS_KEY", AWS_ACCESS_KEY_ID="AKIAEXAMPLE1234")
        self.refused("AWS_ACCESS_KEY_ID", AWS_SECRET_ACCESS_KEY=SECRET)
        self.write(".aws/credentials", "[default]\naws_access_key_id = AKIAEXAMPLE1234\n")
        self.refused("aws_secret_access_key", "~/.aws/credentials")

    def test_keys_of_the_two_files_are_not_mixed(self):
        self.write(".aws/credentials", f"[default]\naws_access_key_id = AKIAEXAMPLE1234\n"
                                       f"aws_secret_access_key = {SECRET}\n")
        self.config(f"[default]\naws_session_token = {TOKEN}\n")
        self.found("~/.aws/credentials, profile default, key ****1234")

    def test_a_profile_asked_for_by_name_is_not_hidden_by_the_environment(self):
        self.config(f"[profile x]\naws_access_key_id = AKIAEXAMPLE5678\naws_secret_access_key = {SECRET}\n")
        env = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE1234", "AWS_SECRET_ACCESS_KEY": SECRET}
        self.found("~/.aws/config, profile x, key ****5678", profile="x", **env)
        self.found("environment, key ****1234", AWS_PROFILE="x", **env)

    def test_nothing_anywhere_says_where_was_looked(self):
        self.refused("AWS_ACCESS_KEY_ID", "~/.aws/credentials", "EC2 metadata service", "aws configure")

    def test_a_short_key_is_masked_whole(self):
        self.found("environment, key ****", AWS_ACCESS_KEY_ID="minio", AWS_SECRET_ACCESS_KEY=SECRET)


class Roles(Chain):
    BASE = f"[profile base]\naws_access_key_id = AKIABASE0000\naws_secret_access_key = {SECRET}\n"

    def sts(self, request):
        form = {name: value[0] for name, value in parse_qs(request.body.decode()).items()}
        self.forms.append((form, request.headers.get("Authorization")))
        request.answer(200, sts_answer(form["Action"], f"ASIA{len(self.forms)}EXAMPLE{len(self.forms):04}"))

    def setUp(self):
        super().setUp()
        self.forms = []

    def test_a_role_is_assumed_with_the_keys_of_its_source(self):
        self.config(self.BASE + "[profile x]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = base\n"
                    "role_session_name = me\nexternal_id = a b&c\nduration_seconds = 900\nregion = eu-west-3\n")
        with Server(self.sts) as s:
            self.found("profile x: role arn:aws:iam::1:role/x by STS, with ~/.aws/config, profile base, "
                       "key ****0001 with a session token", profile="x", AWS_ENDPOINT_URL_STS=s.url)
        (form, authorization), = self.forms
        self.assertEqual({"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": "arn:aws:iam::1:role/x",
                          "RoleSessionName": "me", "ExternalId": "a b&c", "DurationSeconds": "900"}, form)
        self.assertIn("Credential=AKIABASE0000/", authorization)
        self.assertIn("/eu-west-3/sts/aws4_request", authorization)

    def test_roles_one_of_the_other(self):
        self.config(self.BASE + "[profile a]\nrole_arn = arn:a\nsource_profile = b\n"
                    "[profile b]\nrole_arn = arn:b\nsource_profile = base\n")
        with Server(self.sts) as s:
            self.found("profile a: role arn:a by STS, with ~/.aws/config, profile base, key ****0002 "
                       "with a session token", profile="a", AWS_ENDPOINT_URL_STS=s.url)
        self.assertEqual(["arn:b", "arn:a"], [form["RoleArn"] for form, _ in self.forms])
        self.assertIn("Credential=ASIA1EXAMPLE0001/", self.forms[1][1])

    def test_a_profile_may_be_its_own_source(self):
        self.config(f"[profile x]\nrole_arn = arn:x\nsource_profile = x\naws_access_key_id = AKIASELF\n"
                    f"aws_secret_access_key = {SECRET}\n")
        with Server(self.sts) as s:
            self.describe(profile="x", AWS_ENDPOINT_URL_STS=s.url)
        self.assertIn("Credential=AKIASELF/", self.forms[0][1])

    def test_credential_source_environment(self):
        self.config("[profile x]\nrole_arn = arn:x\ncredential_source = Environment\n")
        with Server(self.sts) as s:
            self.describe(profile="x", AWS_ENDPOINT_URL_STS=s.url, AWS_ACCESS_KEY_ID="AKIAENV",
                          AWS_SECRET_ACCESS_KEY=SECRET)
        self.assertIn("Credential=AKIAENV/", self.forms[0][1])

    def test_sts_is_asked_by_way_of_the_proxy_and_the_machine_itself_past_it(self):
        self.config("[profile x]\nrole_arn = arn:x\ncredential_source = EcsContainer\n")
        with Server(lambda request: request.answer(200, metadata())) as near, Server(self.sts) as proxy:
            self.assertEqual(0, self.describe(profile="x", AWS_ENDPOINT_URL_STS="http://sts.invalid",
                                              AWS_CONTAINER_CREDENTIALS_FULL_URI=near.url + "/c",
                                              http_proxy=proxy.url)["code"])
            self.assertEqual((["GET /c"], ["POST http://sts.invalid/"]), (near.paths(), proxy.paths()))

    def test_configurations_that_lead_nowhere_are_refused(self):
        for text, word in (("role_arn = a\n", "source_profile"),
                           ("role_arn = a\nsource_profile = base\ncredential_source = Environment\n", "not both"),
                           ("role_arn = a\nsource_profile = absent\n", "absent"),
                           ("role_arn = a\nsource_profile = x\n", "leads back"),
                           ("role_arn = a\nsource_profile = y\n[profile y]\nrole_arn = b\nsource_profile = z\n"
                            "[profile z]\nrole_arn = c\nsource_profile = y\n", "more than 8"),
                           ("role_arn = a\ncredential_source = Elsewhere\n", "none of"),
                           ("role_arn = a\ncredential_source = Environment\n", "nothing"),
                           ("role_arn = a\ncredential_source = Ec2InstanceMetadata\n", "switched off")):
            self.config(self.BASE + "[profile x]\n" + text)
            self.refused(word, profile="x")

    def test_a_role_that_needs_mfa_is_refused_with_a_way_out(self):
        self.config(self.BASE + "[profile x]\nrole_arn = arn:x\nsource_profile = base\nmfa_serial = arn:mfa\n")
        self.refused("MFA", "aws sts assume-role", profile="x")

    def test_what_sts_refuses_is_told_with_its_words(self):
        denied = ('<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User is not '
                  'authorized</Message></Error></ErrorResponse>')
        self.config(self.BASE + "[profile x]\nrole_arn = arn:x\nsource_profile = base\n")
        with Server(lambda request: request.answer(403, denied)) as s:
            self.refused("AssumeRole of role arn:x", "403", "AccessDenied", "User is not authorized", profile="x",
                         AWS_ENDPOINT_URL_STS=s.url)
            self.assertEqual(1, len(s.seen))

    def test_answers_that_are_none_are_refused(self):
        self.config(self.BASE + "[profile x]\nrole_arn = arn:x\nsource_profile = base\n")
        for body in ("", "{}", "<a>", "<a/>", sts_answer("AssumeRole").replace("Expiration", "Expires"),
                     sts_answer("AssumeRole").replace(SECRET, "se cret"),
                     sts_answer("AssumeRole").replace("<SecretAccessKey>", "<Other>")
                     .replace("</SecretAccessKey>", "</Other>")):
            with Server(lambda request, body=body: request.answer(200, body)) as s:
                self.refused("AssumeRole", profile="x", AWS_ENDPOINT_URL_STS=s.url)

    def test_faults_that_pass_are_tried_again(self):
        self.config(self.BASE + "[profile x]\nrole_arn = arn:x\nsource_profile = base\n")

        def flaky(request):
            return request.answer(503) if len(s.seen) < 3 else self.sts(request)
        with Server(flaky) as s:
            self.assertEqual(0, self.describe(profile="x", AWS_ENDPOINT_URL_STS=s.url)["code"])
            self.assertEqual(3, len(s.seen))

    def test_web_identity_of_the_environment_and_of_a_profile(self):
        path = self.write("token", TOKEN + "\n")
        self.config(f"[profile x]\nrole_arn = arn:x\nweb_identity_token_file = {path}\n")
        with Server(self.sts) as s:
            self.found("environment: role arn:e by web identity, key ****0001 with a session token",
                       AWS_ENDPOINT_URL_STS=s.url, AWS_WEB_IDENTITY_TOKEN_FILE=path, AWS_ROLE_ARN="arn:e",
                       AWS_ROLE_SESSION_NAME="pod")
            self.found("profile x: role arn:x by web identity, key ****0002 with a session token", profile="x",
                       AWS_ENDPOINT_URL_STS=s.url)
        form, authorization = self.forms[0]
        self.assertEqual({"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": "arn:e",
                          "RoleSessionName": "pod", "WebIdentityToken": TOKEN}, form)
        self.assertIsNone(authorization)

    def test_web_identity_without_its_file_or_its_role(self):
        self.refused("/nonexistent/token", AWS_WEB_IDENTITY_TOKEN_FILE="/nonexistent/token", AWS_ROLE_ARN="arn:e")
        self.refused("AWS_ROLE_ARN", AWS_WEB_IDENTITY_TOKEN_FILE=self.write("token", TOKEN))


class Metadata(Chain):
    def imds(self, request):
        token = request.headers.get("X-aws-ec2-metadata-token")
        if request.command == "PUT" and request.path == "/latest/api/token":
            self.ttl = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds")
            request.answer(200, "imds-token")
        elif token != "imds-token":
            request.answer(401)
        elif request.path == "/latest/meta-data/iam/security-credentials/":
            request.answer(200, "my role\nother".replace(" ", "-"))
        elif request.path == "/latest/meta-data/iam/security-credentials/my-role":
            request.answer(200, metadata())
        else:
            request.answer(404)

    def test_imds_of_version_2(self):
        with Server(self.imds) as s:
            self.found("EC2 metadata service, key ****1234 with a session token",
                       AWS_EC2_METADATA_SERVICE_ENDPOINT=s.url + "/", AWS_EC2_METADATA_DISABLED=None,
                       http_proxy="http://127.0.0.1:1")
            self.assertEqual(3, len(s.seen))
        self.assertEqual("21600", self.ttl)

    def test_an_instance_without_a_role_and_one_without_imdsv2(self):
        def roleless(request):
            return request.answer(200, "t") if request.command == "PUT" else request.answer(404)
        for respond, word in ((roleless, "no role"), (lambda request: request.answer(403), "IMDSv2")):
            with Server(respond) as s:
                self.refused(word, AWS_EC2_METADATA_SERVICE_ENDPOINT=s.url, AWS_EC2_METADATA_DISABLED=None)

    def test_no_metadata_service_is_no_credentials(self):
        self.refused("no AWS credentials", "aws configure", AWS_EC2_METADATA_SERVICE_ENDPOINT="http://127.0.0.1:1",
                     AWS_EC2_METADATA_DISABLED=None)

    def test_a_metadata_service_that_is_silent_is_given_up(self):
        with RawServer(lambda connection, _: connection.recv(1) and connection.recv(1 << 20)) as s:
            self.refused("no AWS credentials", AWS_EC2_METADATA_SERVICE_ENDPOINT=s.url, AWS_EC2_METADATA_DISABLED=None)

    def test_a_metadata_service_with_a_fault(self):
        def faulty(request):
            if request.path.endswith("my-role"):
                return request.answer(200, json.dumps({"Code": "Failed"}))
            return self.imds(request)
        with Server(faulty) as s:
            self.refused("Code is not Success", AWS_EC2_METADATA_SERVICE_ENDPOINT=s.url,
                         AWS_EC2_METADATA_DISABLED=None)


class Container(Chain):
    def test_the_full_uri_with_a_token_of_the_environment_or_of_a_file(self):
        path = self.write("token", "of-file\n")
        with Server(lambda request: request.answer(200, metadata())) as s:
            full = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": s.url + "/creds?x=1", "http_proxy": "http://127.0.0.1:1"}
            self.found("container endpoint, key ****1234 with a session token", **full)
            self.describe(**full, AWS_CONTAINER_AUTHORIZATION_TOKEN="of-environment")
            self.describe(**full, AWS_CONTAINER_AUTHORIZATION_TOKEN="of-environment",
                          AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=path)
            self.assertEqual(["GET /creds?x=1"] * 3, s.paths())
            self.assertEqual([None, "of-environment", "of-file"], [r.headers.get("Authorization") for r in s.seen])

    def test_a_token_is_not_sent_in_the_clear_to_other_machines(self):
        for url in ("http://192.0.2.1/", "http://example.com/", "http://127.0.0.1@example.com/", "http://128.0.0.1/",
                    "http://localhost.example.com/", "ftp://127.0.0.1/", "http://169.254.170.3/",
                    "http://[fd00:ec2::24]/", "http://[::2]/", "http://127.0.0.1.example.com/"):
            self.refused("neither https nor of this machine", AWS_CONTAINER_CREDENTIALS_FULL_URI=url)

    def test_a_relative_uri_has_to_be_a_path(self):
        self.refused("begin with /", AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="@example.com/")

    def test_tokens_of_several_lines_and_absent_files_are_refused(self):
        full = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:1/"}
        self.refused("one line", **full, AWS_CONTAINER_AUTHORIZATION_TOKEN="a\r\nX-B: c")
        self.refused("/nonexistent", **full, AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE="/nonexistent")

    def test_an_endpoint_that_refuses(self):
        with Server(lambda r: r.answer(404, '{"code": "NoId", "message": "no id"}')) as s:
            self.refused("404", "NoId", "no id", AWS_CONTAINER_CREDENTIALS_FULL_URI=s.url)


class Process(Chain):
    def program(self, text):
        path = self.write("helper's program", "#!/bin/sh\n" + text)
        os.chmod(path, 0o700)
        self.config(f"[default]\ncredential_process = \"{path}\" one 'two words' $HOME;x\n")

    def keys(self, **more):
        return json.dumps({"Version": 1, "AccessKeyId": ACCESS, "SecretAccessKey": SECRET, **more})

    def test_its_output_is_taken_and_its_arguments_are_its_own(self):
        self.program(f"printf '%s\\n' \"$@\" >\"$HOME/arguments\"; echo {TOKEN} >&2; echo '{self.keys()}'")
        self.found("profile default: credential_process, key ****1234")
        with open(os.path.join(self.home, "arguments"), encoding="utf-8") as f:
            self.assertEqual(["one", "two words", "$HOME;x"], f.read().splitlines())

    def test_it_is_asked_again_only_when_its_keys_end(self):
        self.program(f"echo x >>\"$HOME/runs\"; echo '{self.keys(SessionToken=TOKEN, Expiration=soon())}'")
        self.describe(times=3)
        self.program(f"echo x >>\"$HOME/runs\"; echo '{self.keys(Expiration=soon(5))}'")
        self.describe(times=3)
        with open(os.path.join(self.home, "runs"), encoding="utf-8") as f:
            self.assertEqual(1 + 3, len(f.readlines()))

    def test_programs_that_fail_are_refused(self):
        for text, word in ((f"echo {SECRET} >&2; exit 3", "status 3"), ("kill -9 $$", "signal 9"), ("", "no JSON"),
                           ("echo '{}'", "Version"), (f"echo '{self.keys(Version=2)}'", "Version"),
                           (f"echo '{self.keys(Expiration='tomorrow')}'", "Expiration"),
                           (f"echo '{self.keys(AccessKeyId='')}'", "no key"), ("yes", "too much")):
            self.program(text)
            self.refused(word)

    def test_a_command_that_is_none(self):
        for command, word in (('"unfinished', "quote"), ("/nonexistent/helper", "/nonexistent/helper")):
            self.config(f"[default]\ncredential_process = {command}\n")
            self.refused(word)

    def test_its_children_end_with_it(self):
        self.program("sleep 1000 & echo $! >\"$HOME/child\"; yes")
        self.refused("too much")
        with open(os.path.join(self.home, "child"), encoding="utf-8") as f:
            pid = int(f.read())
        for _ in range(1000):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                    if f.read().rpartition(")")[2].split()[0] == "Z":
                        return
            except OSError:
                return
        self.fail("the helper's child goes on")


class Sso(Chain):
    LEGACY = ("[profile x]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-2\n"
              "sso_account_id = 123456789012\nsso_role_name = My Role\n")
    SESSION = ("[profile x]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = My Role\n"
               "[sso-session corp]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-2\n")

    def cache(self, key, **more):
        name = hashlib.sha1(key.encode()).hexdigest()
        return self.write(f".aws/sso/cache/{name}.json", json.dumps(
            {"accessToken": TOKEN, "expiresAt": soon(), "region": "us-east-2", **more}))

    def portal(self, request):
        if request.headers.get("x-amz-sso_bearer_token") != TOKEN:
            return request.answer(401, '{"message": "no"}')
        return request.answer(200, json.dumps({"roleCredentials": {
            "accessKeyId": ACCESS, "secretAccessKey": SECRET, "sessionToken": TOKEN,
            "expiration": int(datetime.datetime.now().timestamp() + 3600) * 1000}}))

    def test_the_cached_token_of_a_session_and_of_a_start_url(self):
        for text, key in ((self.LEGACY, "https://corp.awsapps.com/start"), (self.SESSION, "corp")):
            self.config(text)
            self.cache(key)
            with Server(self.portal) as s:
                self.found("profile x: role My Role of account 123456789012 by SSO, key ****1234 with a session token",
                           profile="x", AWS_ENDPOINT_URL_SSO=s.url)
                self.assertEqual(["GET /federation/credentials?role_name=My%20Role&account_id=123456789012"],
                                 s.paths())

    def test_an_expired_or_absent_token_says_what_to_do(self):
        self.config(self.SESSION)
        self.refused("aws sso login --profile x", "absent", profile="x")
        for expires in (soon(-10), soon(-10, "%Y-%m-%dT%H:%M:%SUTC")):
            self.cache("corp", expiresAt=expires)
            self.refused("expired", "aws sso login --profile x", profile="x")
        self.cache("corp", accessToken=None)
        self.refused("aws sso login --profile x", profile="x")

    def test_a_token_that_the_portal_refuses_has_expired(self):
        self.config(self.SESSION)
        self.cache("corp", accessToken="other")
        with Server(self.portal) as s:
            self.refused("expired", "aws sso login --profile x", profile="x", AWS_ENDPOINT_URL_SSO=s.url)

    def test_what_is_missing_is_named(self):
        for name in ("sso_region", "sso_account_id", "sso_role_name"):
            self.config(self.LEGACY.replace(name, "other_" + name))
            self.refused(name, profile="x")

    def test_a_role_may_be_assumed_with_it(self):
        self.config(self.SESSION + "[profile y]\nrole_arn = arn:y\nsource_profile = x\n")
        self.cache("corp")
        with Server(self.portal) as portal, \
                Server(lambda request: request.answer(200, sts_answer("AssumeRole", "ASIAFROMSTS99"))) as sts:
            self.found("profile y: role arn:y by STS, with profile x: role My Role of account 123456789012 by SSO, "
                       "key ****TS99 with a session token", profile="y", AWS_ENDPOINT_URL_SSO=portal.url,
                       AWS_ENDPOINT_URL_STS=sts.url)
            self.assertEqual(TOKEN, sts.seen[0].headers["X-Amz-Security-Token"])


if __name__ == "__main__":
    tap.main()
