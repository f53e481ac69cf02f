#!/usr/bin/python3
"""The configuration, as the AWS CLI finds it, each value with where it came from."""
import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import servers  # noqa: E402
from servers import SECRET  # noqa: E402
import tap  # noqa: E402

try:
    import botocore.configloader
    import botocore.exceptions
except ImportError:
    botocore = None

CONFIG = """\
# a comment
[default]
region = eu-west-1
s3 =
    addressing_style = path
    max_concurrent_requests=20

[profile build]
region: eu-central-1   ; no comment
services = local
endpoint_url = http://of-profile/
role_session_name = one
  two
[profile "with space"]
region = ap-south-1
[profile other]
endpoint_url = http://of-other
[services local]
s3 =
  endpoint_url = http://of-services:9000/
sts =
  endpoint_url = http://sts-of-services
[sso-session corp]
sso_region = us-east-2
"""
CREDENTIALS = """\
[default]
aws_access_key_id = AKIADEFAULT
aws_secret_access_key = """ + SECRET + """
[build]
region = from-credentials
"""


class Home(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.home = place.name
        os.mkdir(os.path.join(self.home, ".aws"))
        self.write("config", CONFIG)
        self.write("credentials", CREDENTIALS)

    def write(self, name, text):
        path = os.path.join(self.home, ".aws", name)
        with open(path, "wb") as f:
            f.write(text.encode() if isinstance(text, str) else text)
        return path

    def ask(self, *names, profile=None, **env):
        lines = servers.run("GGFS_AWS_DRIVER", *(["--profile", profile] if profile else []), "config", *names,
                            env=env, home=self.home)[0]
        return [(line["value"], line["source"]) if "name" in line else line for line in lines]

    def refused(self, code, *words, profile=None, **env):
        answer, = self.ask("region", profile=profile, **env)
        self.assertEqual(code, answer["code"], answer)
        for word in words:
            self.assertIn(word, answer["error"])


class Values(Home):
    def test_the_default_profile_is_read(self):
        self.assertEqual([("eu-west-1", "~/.aws/config, profile default"),
                          ("path", "~/.aws/config, profile default"),
                          ("20", "~/.aws/config, profile default"), (None, None)],
                         self.ask("region", "s3.addressing_style", "s3.max_concurrent_requests", "s3"))

    def test_the_environment_comes_first(self):
        self.assertEqual([("a", "environment AWS_REGION")],
                         self.ask("region", AWS_REGION="a", AWS_DEFAULT_REGION="b"))
        self.assertEqual([("b", "environment AWS_DEFAULT_REGION")],
                         self.ask("region", AWS_REGION="", AWS_DEFAULT_REGION="b"))

    def test_a_profile_by_the_environment_and_by_name(self):
        for how in ({"AWS_PROFILE": "with space"}, {"profile": "with space"},
                    {"profile": "with space", "AWS_PROFILE": "build"}):
            self.assertEqual([("ap-south-1", "~/.aws/config, profile with space")], self.ask("region", **how))

    def test_the_credentials_file_comes_before_the_config_file(self):
        self.assertEqual([("from-credentials", "~/.aws/credentials, profile build")],
                         self.ask("region", profile="build"))

    def test_values_may_go_on_in_further_lines(self):
        self.assertEqual([("one\ntwo", "environment" and "~/.aws/config, profile build")],
                         self.ask("role_session_name", profile="build"))

    def test_the_files_may_be_elsewhere(self):
        path = self.write("mine", "[profile x]\nregion=mine\n")
        self.assertEqual([("mine", f"{path}, profile x")], self.ask("region", AWS_CONFIG_FILE=path, AWS_PROFILE="x"))
        self.assertEqual([("mine", "~/.aws/mine, profile x")],
                         self.ask("region", AWS_CONFIG_FILE="~/.aws/mine", AWS_PROFILE="x"))

    def test_without_any_file_there_are_defaults(self):
        for name in ("config", "credentials"):
            os.unlink(os.path.join(self.home, ".aws", name))
        self.assertEqual([("us-east-1", "default, for nothing says otherwise"),
                          ("https://lambda.us-east-1.amazonaws.com", "default, for nothing says otherwise")],
                         self.ask("region", "endpoint:lambda"))


class Endpoints(Home):
    def test_the_order_in_which_they_are_found(self):
        ask = lambda **env: self.ask("endpoint:s3", profile="build", **env)[0]
        self.assertEqual(("http://a", "environment AWS_ENDPOINT_URL_S3"),
                         ask(AWS_ENDPOINT_URL_S3="http://a/", AWS_ENDPOINT_URL="http://b"))
        self.assertEqual(("http://b", "environment AWS_ENDPOINT_URL"), ask(AWS_ENDPOINT_URL="http://b"))
        self.assertEqual(("http://of-services:9000", "~/.aws/config, services local"), ask())
        self.assertEqual(("http://of-profile", "~/.aws/config, profile build"),
                         self.ask("endpoint:lambda", profile="build")[0])
        self.assertEqual(("https://s3.from-credentials.amazonaws.com", "~/.aws/credentials, profile build"),
                         ask(AWS_IGNORE_CONFIGURED_ENDPOINT_URLS="true", AWS_ENDPOINT_URL="http://b"))

    def test_partitions_have_domains_of_their_own(self):
        for region, domain in (("cn-north-1", "amazonaws.com.cn"), ("us-gov-west-1", "amazonaws.com"),
                               ("us-isob-east-1", "sc2s.sgov.gov")):
            self.assertEqual(f"https://sts.{region}.{domain}", self.ask("endpoint:sts", AWS_REGION=region)[0][0])


class Refusals(Home):
    def test_a_profile_that_is_in_neither_file(self):
        self.refused(-2, '"nobody"', "~/.aws/config", "~/.aws/credentials", profile="nobody")
        self.refused(-2, '"nobody"', "AWS_PROFILE", AWS_PROFILE="nobody")

    def test_malformed_files_are_refused_with_file_and_line(self):
        for line, text in ((1, "region = x\n"), (2, "[default]\nregion\n"), (1, "[default\n"), (1, "[]\n"),
                           (3, "[a]\n[b]\n[a]\n"), (4, "[a]\nx = 1\nx = 2\n[b]\n"), (2, "[a]\n= 1\n"),
                           (4, "[a]\ns3 =\n  nothing\n[b]\n"), (2, b"[a]\nx = \0\n")):
            self.write("config", text)
            self.refused(-22, f"~/.aws/config, line {line}:")

    def test_a_sentence_has_nothing_of_the_file_in_it(self):
        self.write("credentials", f"[default]\naws_secret_access_key {SECRET}\n")
        self.refused(-22, "~/.aws/credentials, line 2:")

    def test_a_file_that_may_not_be_read_is_no_absent_one(self):
        path = self.write("config", "[default]\nregion = x\n")
        os.chmod(self.home, 0o755)
        os.chmod(path, 0)
        # A copy, for an ordinary user may not get at the build's directory.
        driver = [shutil.copy(os.environ["GGFS_AWS_DRIVER"], self.home)]
        if os.geteuid() == 0:
            driver = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *driver]
        answer = servers.run("GGFS_AWS_DRIVER", "config", "region", home=self.home, command=driver)[0][0]
        self.assertEqual(-13, answer.get("code"), answer)
        self.assertIn("config", answer["error"])
        # A home that is closed to us has nothing for us.
        os.chmod(os.path.join(self.home, ".aws"), 0o700 if os.geteuid() == 0 else 0)
        answer = servers.run("GGFS_AWS_DRIVER", "config", "region", home=self.home, command=driver)[0][0]
        os.chmod(os.path.join(self.home, ".aws"), 0o755)
        self.assertEqual("us-east-1", answer.get("value"), answer)

    def test_a_file_that_is_too_large(self):
        self.write("config", "#" * (5 << 20))
        self.refused(-27, "larger")


@unittest.skipUnless(botocore, "python3-botocore is not here: the parser was compared with nothing")
class AgainstBotocore(Home):
    """What AWS's own parser makes of the same text."""
    TEXTS = [CONFIG, "[default]\r\nregion = x\r\n", "[default]\n region = x\n", "[default]\nA=1=2:3\n",
             "[default]\nx : y = z\n", "[default]\nx =\n", "[default]\nx = \"quoted\" # kept\n",
             "[default]\n\n\nx = 1\n\n# c\n  ; c\n  more\n", "[default] trailing\nx = 1\n",
             "[default]\ns3=\n  a = 1\n  b=2=3\n\n  c = \ny = 2\n", "[default]\nX.Y = 1\n", "[default]\nx\n",
             "[default]\n[default]\n", "[default]\nx=1\nX=2\n", "x=1\n", "[default]\ns3 =\n  a\n",
             "[default]\n\ty = tab\n", "[default]\nx = 1\n\ty = continued\n", "[]\n"]
    NAMES = ["region", "a", "x", "y", "x.y", "s3.a", "s3.b", "s3.c", "s3.addressing_style", "role_session_name"]

    def theirs(self, path):
        try:
            loaded = botocore.configloader.load_config(path)
        except botocore.exceptions.ConfigParseError:
            return None
        profile = loaded["profiles"].get("default", {})
        found = []
        for name in self.NAMES:
            outer, _, inner = name.partition(".")
            value = profile.get(outer)
            if name not in profile and inner and isinstance(value, dict):
                value = value.get(inner)
            else:
                value = profile.get(name)
            found.append(value)
        return found

    def test_the_same_text_means_the_same(self):
        for text in self.TEXTS:
            path = self.write("config", text)
            self.write("credentials", "")
            answers = self.ask(*self.NAMES, AWS_CONFIG_FILE=path)
            ours = None if isinstance(answers[0], dict) else \
                [None if source and source.startswith("default") else value for value, source in answers]
            self.assertEqual(self.theirs(path), ours, text)


if __name__ == "__main__":
    tap.main()
