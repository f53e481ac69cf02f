#!/usr/bin/python3
"""TLS is verified, always: certificates of all wrong kinds are refused before anything is sent."""
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import servers  # noqa: E402
from servers import Certificates, RawServer, Server  # noqa: E402
import tap  # noqa: E402

TLS, CUT = 3, 5
RIGHT = "DNS:localhost,IP:127.0.0.1"


class Verification(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.certificates = Certificates()

    @classmethod
    def tearDownClass(cls):
        cls.certificates.close()

    def ask(self, s, host="127.0.0.1", ca="", env=None):
        answer, = servers.run("GGFS_NET_DRIVER", "http", *([f"ca={ca}"] if ca else []),
                              "header=Authorization: mine", f"https://{host}:{s.port}/", env=env)[0]
        return answer

    def refused(self, context, **how):
        with Server(context=context) as s:
            answer = self.ask(s, **how)
            self.assertEqual((TLS, -1), (answer["fault"], answer["code"]), answer)
            self.assertTrue(answer["reason"])
            self.assertEqual([], s.seen)

    def test_a_certificate_of_the_given_authority_for_the_right_name_is_accepted(self):
        with Server(context=self.certificates.context("right", RIGHT)) as s:
            for host in ("127.0.0.1", "localhost"):
                self.assertEqual(200, self.ask(s, host, self.certificates.ca)["status"])
            self.assertEqual(200, self.ask(s, env={"SSL_CERT_FILE": self.certificates.ca})["status"])

    def test_one_of_an_authority_that_the_system_does_not_know_is_refused(self):
        self.refused(self.certificates.context("right", RIGHT))

    def test_one_for_another_name_is_refused(self):
        self.refused(self.certificates.context("wrong", "DNS:example.com"), ca=self.certificates.ca)
        self.refused(self.certificates.context("half", "DNS:localhost"), ca=self.certificates.ca)

    def test_an_expired_one_is_refused(self):
        self.refused(self.certificates.context("old", RIGHT, days=-1), ca=self.certificates.ca)

    def test_a_self_signed_one_is_refused(self):
        self.refused(self.certificates.context("self", RIGHT, signed=False), ca=self.certificates.ca)

    def test_a_bundle_that_is_not_there_is_no_excuse(self):
        self.refused(self.certificates.context("right", RIGHT), ca="/nonexistent/ca.pem")

    def test_a_server_without_tls_is_a_fault_of_tls(self):
        with Server() as s:
            self.assertEqual(TLS, self.ask(s)["fault"])

    def test_a_connection_cut_within_the_handshake_is_worth_another_try(self):
        def talk(connection, number):
            connection.recv(16)
            connection.close()
        with RawServer(talk) as s:
            answer = self.ask(s)
            self.assertEqual((CUT, -104), (answer["fault"], answer["code"]), answer)

    def test_connections_are_kept(self):
        with Server(context=self.certificates.context("right", RIGHT)) as s:
            answers = servers.run("GGFS_NET_DRIVER", "http", f"ca={self.certificates.ca}", "repeat=4",
                                  f"https://localhost:{s.port}/")[0]
        self.assertEqual([True, False, False, False], [a["connected_anew"] for a in answers])


if __name__ == "__main__":
    tap.main()
