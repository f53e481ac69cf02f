#!/usr/bin/python3
"""ggfs-worker serve --audience: who has an ID token of the issuer's is let in, and nobody else."""
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tap  # noqa: E402
from issuer import Issuer, encode  # noqa: E402

WORKER = os.path.join(os.environ["GGFS_TOOLS"], "ggfs-worker")
DEADLINE_S = 60
AUDIENCE = "https://worker.example"
ASKED = ["/.well-known/openid-configuration", "/keys"]


class Oidc(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="ggfs-oidc-")
        self.issuer = Issuer()
        self.process = None

    def tearDown(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.process.wait(DEADLINE_S), 0)
            self.process.stdout.close()
        self.issuer.close()
        shutil.rmtree(self.base)

    def start(self, *options, issuer=None):
        # A proxy that nobody listens at: the loopback must do without.
        env = {**os.environ, "http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
        self.process = subprocess.Popen(
            [WORKER, "serve", "--port", "0", "--address", "127.0.0.1", "--jobs", "1", "--cache",
             os.path.join(self.base, "cache"), "--audience", AUDIENCE, "--issuer", issuer or self.issuer.url, *options],
            stdout=subprocess.PIPE, text=True, env=env)
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def ask(self, token, scheme="Bearer "):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        c.request("POST", "/run", b"{}", {"Authorization": scheme + token} if token is not None else {})
        response = c.getresponse()
        said = response.read().decode()
        c.close()
        return response.status, said

    def token(self, key=None, header=None, **claims):
        return self.issuer.token(key, header, **{"aud": AUDIENCE, **claims})

    def test_tokens_by_both_kinds_of_key_are_taken_and_the_keys_asked_for_once(self):
        self.start()
        self.assertEqual(self.issuer.asked, [])
        for key in (self.issuer.rsa, self.issuer.ec, self.issuer.rsa):
            status, said = self.ask(self.token(key))
            self.assertEqual(status, 200, said)
            self.assertEqual(json.loads(said)["results"], [])
        self.assertEqual(self.ask(self.token(aud=["https://other.example", AUDIENCE]))[0], 200)
        self.assertEqual(self.issuer.asked, ASKED)

    def test_what_is_not_the_issuers_for_us_and_now_is_refused(self):
        self.start()
        now = int(time.time())
        good = self.token()
        self.assertEqual(self.ask(good)[0], 200)
        head, claims, signature = good.split(".")
        other = Issuer()
        self.addCleanup(other.close)
        none = encode(b'{"alg":"none"}')
        bad = [None, "", "x", good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"), f"{head}.{claims}.", f"{head}.{claims}",
               f"{none}.{claims}.", f"{none}.{claims}.{signature}", good + "=", good + "." + signature,
               self.token(header={"alg": "HS256"}), self.token(header={"alg": "ES256"}),
               self.token(header={"kid": "e1"}), self.token(header={"kid": "unknown"}), self.token(aud="https://worker.exampl"),
               self.token(iss=self.issuer.url + "/"), self.token(exp=now - 61), self.token(iat=now + 3000),
               self.token(nbf=now + 3000), self.issuer.token(other.rsa, aud=AUDIENCE), other.token(aud=AUDIENCE),
               "A" * 20000]
        for token in bad:
            status, said = self.ask(token)
            self.assertEqual(status, 401, (token, said))
        self.assertEqual(self.ask(good, "Basic ")[0], 401)
        self.assertEqual(self.ask(good)[0], 200)
        # The one unknown key made it ask once more at most.
        self.assertLessEqual(len(self.issuer.asked), 2 * len(ASKED))

    def test_a_new_key_is_asked_for_at_most_once_a_minute(self):
        self.start()
        self.issuer.keys = [self.issuer.rsa]
        self.assertEqual(self.ask(self.token())[0], 200)
        self.issuer.keys = [self.issuer.rsa, self.issuer.ec]
        for _ in range(5):
            status, said = self.ask(self.token(self.issuer.ec))
            self.assertEqual(status, 401, said)
        self.assertEqual(self.issuer.asked, ASKED)

    def test_an_issuer_that_cannot_be_reached_is_trouble_and_no_refusal(self):
        self.issuer.status = 500
        self.start()
        self.assertEqual(self.ask(self.token())[0], 503)
        self.assertEqual(self.ask(self.token(aud="other"))[0], 401)
        self.issuer.status = 200
        limit = time.monotonic() + DEADLINE_S
        while self.ask(self.token())[0] != 200:
            self.assertLess(time.monotonic(), limit)
            time.sleep(0.1)

    def test_another_issuers_configuration_is_not_taken(self):
        self.issuer.configuration = {**self.issuer.configuration, "issuer": "https://accounts.google.com"}
        self.start()
        self.assertEqual(self.ask(self.token())[0], 503)

    def test_keys_elsewhere_over_plain_http_are_not_asked_for(self):
        self.issuer.configuration = {**self.issuer.configuration, "jwks_uri": "http://keys.example/keys"}
        self.start()
        self.assertEqual(self.ask(self.token())[0], 503)
        self.assertEqual(self.issuer.asked, ASKED[:1])

    def test_many_at_once_ask_for_the_keys_once(self):
        self.start()
        token, answers = self.token(), []
        threads = [threading.Thread(target=lambda: answers.append(self.ask(token)[0])) for _ in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(answers, [200] * 12)
        self.assertEqual(self.issuer.asked, ASKED)

    def test_who_may_is_narrowed_by_subject_and_email(self):
        self.start("--allow-subject", "17", "--allow-email", "a@example.com")
        self.assertEqual(self.ask(self.token(email="a@example.com", email_verified=True))[0], 200)
        for claims in ({}, {"email": "a@example.com"}, {"email": "a@example.com", "email_verified": False},
                       {"email": "b@example.com", "email_verified": True},
                       {"email": "a@example.com", "email_verified": True, "sub": "18"}):
            self.assertEqual(self.ask(self.token(**claims))[0], 401, claims)

    def test_a_token_of_its_own_still_lets_in(self):
        path = os.path.join(self.base, "token")
        with open(path, "w", encoding="ascii") as f:
            f.write("secret\n")
        self.start("--token-file", path)
        self.assertEqual(self.ask("secret")[0], 200)
        self.assertEqual(self.ask(self.token())[0], 200)
        self.assertEqual(self.ask("secre")[0], 401)

    def test_anonymous_does_not_undo_an_audience(self):
        self.start("--anonymous")
        self.assertEqual(self.ask(None)[0], 401)
        self.assertEqual(self.ask(self.token())[0], 200)

    def refused(self, *options):
        done = subprocess.run([WORKER, "serve", "--port", "0", "--cache", self.base + "/c", *options], capture_output=True,
                              text=True, timeout=DEADLINE_S, check=False)
        self.assertNotEqual(done.returncode, 0, options)
        return done.stderr

    def test_an_issuer_over_plain_http_elsewhere_is_refused(self):
        for issuer in ("http://issuer.example", "http://127.0.0.1.example", "ftp://x", "issuer.example", "https://a@b"):
            self.assertIn("issuer", self.refused("--audience", "a", "--issuer", issuer), issuer)

    def test_options_that_mean_nothing_are_refused(self):
        self.assertIn("usage", self.refused("--anonymous", "--issuer", self.issuer.url))
        self.assertIn("usage", self.refused("--anonymous", "--allow-email", "a@b.c"))
        self.assertIn("usage", self.refused("--audience", ""))


if __name__ == "__main__":
    tap.main()
