#!/usr/bin/python3
"""The HTTP client against servers that behave and servers that do not."""
import os
import socket
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import servers  # noqa: E402
from servers import RawServer, Server, read_head  # noqa: E402
import tap  # noqa: E402

RESOLVE, CONNECT, TLS, TIMEOUT, CUT, TOO_LARGE = 1, 2, 3, 4, 5, 6
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(*arguments, env=None):
    return servers.run("GGFS_NET_DRIVER", "http", *arguments, env=env)[0]


def names(request):
    return {name.lower() for name in request.headers}


class Requests(unittest.TestCase):
    def test_one_connection_serves_one_request_after_the_other(self):
        with Server() as s:
            answers = get("repeat=5", s.url + "/a")
        self.assertEqual([(200, "hello")] * 5, [(a["status"], a["body"]) for a in answers])
        self.assertEqual([True] + [False] * 4, [a["connected_anew"] for a in answers])
        self.assertEqual({0}, {request.connection_number for request in s.seen})

    def test_methods_bodies_and_headers_arrive_as_given(self):
        with Server() as s:
            for method, body in (("PUT", "x" * 100000), ("POST", "y"), ("DELETE", ""), ("PUT", "")):
                get(f"method={method}", *([f"body={body}"] if body else []), "header=X-One: 1",
                    "header=x-empty:", s.url + "/k?a=b")
                request = s.seen[-1]
                self.assertEqual((method, "/k?a=b", body.encode()), (request.command, request.path, request.body))
                self.assertEqual(("1", ""), (request.headers["x-one"], request.headers["x-empty"]))

    def test_no_header_is_sent_that_nobody_asked_for(self):
        with Server() as s:
            get("method=PUT", "fill=3000000", s.url + "/")
            get("method=POST", s.url + "/")
            get(s.url + "/")
        self.assertEqual({"host", "user-agent", "accept", "content-length"}, names(s.seen[0]))
        self.assertEqual({"host", "user-agent", "accept", "content-length"}, names(s.seen[1]))
        self.assertEqual({"host", "user-agent", "accept"}, names(s.seen[2]))

    def test_paths_are_sent_as_they_are(self):
        paths = ["/a//b", "/a/../b/./c", "/%41%2f%20%C3%BC", "/$LATEST", "/a:b", "/?x=%2B&y"]
        with Server() as s:
            get(*(s.url + path for path in paths))
        self.assertEqual(paths, [request.path for request in s.seen])

    def test_a_head_has_no_body(self):
        with Server() as s:
            answer, = get("method=HEAD", s.url + "/")
        self.assertEqual((200, ""), (answer["status"], answer["body"]))
        self.assertIn("content-length: 5", answer["headers"])

    def test_statuses_are_answers(self):
        with Server(lambda request: request.answer(int(request.path[1:]), "why")) as s:
            answers = get(*(f"{s.url}/{status}" for status in (204, 301, 400, 404, 429, 500, 503)))
        self.assertEqual([204, 301, 400, 404, 429, 500, 503], [a["status"] for a in answers])
        self.assertEqual([0] * 7, [a["code"] for a in answers])

    def test_a_redirect_is_not_followed(self):
        with Server() as elsewhere:
            with Server(lambda r: r.answer(307, "", [("Location", elsewhere.url + "/stolen")])) as s:
                answer, = get("header=Authorization: something", s.url + "/")
            self.assertEqual((0, 307), (answer["code"], answer["status"]))
            self.assertEqual([], elsewhere.seen)

    def test_no_request_goes_to_other_protocols_or_carries_a_second_header(self):
        for arguments in (["file:///etc/passwd"], ["ftp://127.0.0.1/"], ["header=A: b\r\nC: d", "http://127.0.0.1/"],
                          ["http://127.0.0.1/ x"], ["method=TRACE", "http://127.0.0.1/"]):
            answer, = get(*arguments)
            self.assertEqual(-22, answer["code"], arguments)

    def test_chunked_answers_and_those_after_a_100_are_read(self):
        def talk(connection, _):
            while read_head(connection):
                connection.sendall(b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\nHTTP/1.1 200 OK\r\nX-Late: 1\r\n"
                                   b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        with RawServer(talk) as s:
            answers = get("repeat=2", s.url + "/")
        for a in answers:
            self.assertEqual((200, "abcde"), (a["status"], a["body"]))
            self.assertEqual(["x-late: 1", "transfer-encoding: chunked"], a["headers"])
        self.assertEqual(1, s.count)


class Faults(unittest.TestCase):
    def fault(self, fault, code, *arguments, env=None):
        answer = get(*arguments, env=env)[-1]
        self.assertEqual((fault, code), (answer["fault"], answer["code"]), answer)
        self.assertTrue(answer["reason"])
        return answer

    def test_a_name_that_is_not_known(self):
        self.fault(RESOLVE, -113, "http://no-such-host.invalid/")

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.fault(CONNECT, -111, f"http://127.0.0.1:{port}/")

    def test_cut_before_the_answer(self):
        with RawServer(lambda connection, _: (read_head(connection), connection.close())) as s:
            self.fault(CUT, -104, s.url + "/")

    def test_cut_in_the_middle_of_the_answer(self):
        def talk(connection, _):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            connection.close()
        with RawServer(talk) as s:
            self.fault(CUT, -104, s.url + "/")

    def test_cut_in_the_middle_of_a_chunk(self):
        def talk(connection, _):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf")
            connection.close()
        with RawServer(talk) as s:
            self.fault(CUT, -104, s.url + "/")

    def test_a_kept_connection_that_was_lost_is_made_anew_without_anybody_noticing(self):
        second = threading.Event()

        def talk(connection, number):
            while read_head(connection):
                connection.sendall(OK)
                if number == 0:
                    connection.close()
                    second.set()
                    return
        with RawServer(talk) as s:
            answers = get("repeat=2", s.url + "/")
        self.assertEqual([200, 200], [a["status"] for a in answers])
        self.assertEqual(2, s.count)

    def test_a_refusal_that_comes_before_the_body_is_sent_is_the_answer(self):
        never = threading.Event()

        def talk(connection, _):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
            never.wait(30)
        with RawServer(talk) as s:
            for how in (["fill=6000000"], ["fill=6000000", "header=Connection: close"]):
                answer, = get("method=POST", "whole_ms=10000", *how, s.url + "/")
                self.assertEqual((413, "big"), (answer["status"], answer["body"]), answer)
            never.set()

    def test_garbage_is_a_fault(self):
        def talk(connection, _):
            read_head(connection)
            connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            connection.close()
        with RawServer(talk) as s:
            answer, = get(s.url + "/")
        self.assertLess(answer["code"], 0)

    def test_no_answer_in_time(self):
        never = threading.Event()
        with RawServer(lambda connection, _: never.wait(30)) as s:
            self.fault(TIMEOUT, -110, "whole_ms=200", s.url + "/")
            self.fault(TIMEOUT, -110, "stall_ms=200", s.url + "/")
            never.set()

    def test_an_answer_that_stalls_halfway(self):
        never = threading.Event()

        def talk(connection, _):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            never.wait(30)
        with RawServer(talk) as s:
            self.fault(TIMEOUT, -110, "stall_ms=300", s.url + "/")
            never.set()

    def test_a_slow_answer_that_keeps_coming_is_no_stall(self):
        pause = threading.Event()

        def talk(connection, _):
            read_head(connection)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
            for _ in range(10):
                pause.wait(0.15)
                connection.sendall(b"x")
        with RawServer(talk) as s:
            answer, = get("stall_ms=1000", s.url + "/")
        self.assertEqual("x" * 10, answer["body"])

    def test_an_answer_that_is_too_large(self):
        with Server(lambda request: request.answer(200, "x" * 5000)) as s:
            self.fault(TOO_LARGE, -27, "body_max=4999", s.url + "/")
            answer, = get("body_max=5000", s.url + "/")
            self.assertEqual(5000, len(answer["body"]))

    def test_too_many_or_too_long_headers(self):
        many = [(f"X-{i}", "1") for i in range(200)]
        long = [(f"X-{i}", "1" * 8000) for i in range(10)]
        for headers in (many, long):
            with Server(lambda request, headers=headers: request.answer(200, "", headers)) as s:
                self.fault(TOO_LARGE, -27, s.url + "/")

    def test_the_sentence_has_no_more_of_the_url_than_its_host(self):
        answer = self.fault(CONNECT, -111, "http://127.0.0.1:1/path?X-Amz-Signature=abcdef")
        self.assertNotIn("abcdef", answer["reason"])
        self.assertNotIn("/path", answer["reason"])


class Proxies(unittest.TestCase):
    def test_the_proxy_of_the_options_or_the_environment_is_asked(self):
        with Server() as proxy:
            get(f"proxy={proxy.url}", "http://far.invalid/a")
            get("http://far.invalid/b", env={"http_proxy": proxy.url})
        self.assertEqual(["GET http://far.invalid/a", "GET http://far.invalid/b"], proxy.paths())

    def test_no_proxy_is_heeded(self):
        with Server() as proxy, Server() as s:
            get(s.url + "/", env={"http_proxy": proxy.url, "no_proxy": "127.0.0.1"})
        self.assertEqual((0, 1), (len(proxy.seen), len(s.seen)))


if __name__ == "__main__":
    tap.main()
