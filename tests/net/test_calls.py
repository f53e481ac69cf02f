#!/usr/bin/python3
"""Signed calls: clocks that are off, keys that expire half-way, many that wait for the same keys."""
import datetime
import email.utils
import json
import os
import re
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import servers  # noqa: E402
from servers import SECRET, TOKEN, Server  # noqa: E402
import tap  # noqa: E402

STATIC = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE1234", "AWS_SECRET_ACCESS_KEY": SECRET}


def keys(access, seconds=3600):
    end = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return json.dumps({"AccessKeyId": access, "SecretAccessKey": SECRET, "Token": TOKEN,
                       "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ")})


def signed_at(request):
    when = datetime.datetime.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ")
    return when.replace(tzinfo=datetime.timezone.utc).timestamp()


def access_key(request):
    return re.search("Credential=([^/]+)/", request.headers["Authorization"])[1]


class Handed(Server):
    """A container endpoint that hands out keys, numbered."""

    def __init__(self, seconds=3600, slow=None):
        self.count = 0
        super().__init__(self.hand_out)
        self.seconds = seconds
        self.slow = slow
        self.env = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.url + "/"}

    def hand_out(self, request):
        if self.slow:
            self.slow.wait(10)
        with self.lock:
            self.count += 1
            number = self.count
        request.answer(200, keys(f"ASIANUMBER{number}", self.seconds))


def call(url, method="GET", service="s3", times=1, at_once=1, pause_ms=0, env=STATIC):
    return servers.run("GGFS_AWS_DRIVER", "call", method, url, service, "eu-west-1", times, at_once, pause_ms,
                       env=env)


class Clocks(unittest.TestCase):
    """A server whose clock is off, and that says so as S3, as Lambda, or not at all."""
    S3 = "<Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message></Error>"
    LAMBDA = '{"message":"Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z"}'
    FUTURE = '{"__type":"InvalidSignatureException","message":"Signature not yet current: ..."}'

    def server(self, off, complaint, headers=()):
        def respond(request):
            date = time.time() + off
            request.date_time_string = lambda *_: email.utils.formatdate(date, usegmt=True)
            if abs(signed_at(request) - date) > 300:
                return request.answer(403, complaint, headers)
            return request.answer(200, "right")
        return Server(respond)

    def test_the_skew_is_learnt_once_and_used_from_then_on(self):
        for off, complaint in ((3600, self.S3), (-3600, self.S3), (7200, self.LAMBDA), (-400, self.FUTURE)):
            with self.server(off, complaint) as s:
                answers, _ = call(s.url + "/k", times=3)
                self.assertEqual(["right"] * 3, [a["body"] for a in answers])
                self.assertEqual(4, len(s.seen))

    def test_a_head_says_nothing_but_its_date(self):
        with self.server(3600, "") as s:
            answers, _ = call(s.url + "/k", method="HEAD", times=2)
            self.assertEqual([200, 200], [a["status"] for a in answers])
            self.assertEqual(3, len(s.seen))

    def test_a_complaint_that_the_date_does_not_bear_out_is_an_answer(self):
        with Server(lambda request: request.answer(403, self.S3)) as s:
            answers, _ = call(s.url + "/k", times=2)
            self.assertEqual([(403, "RequestTimeTooSkewed")] * 2, [(a["status"], a["error_code"]) for a in answers])
            self.assertEqual(2, len(s.seen))

    def test_a_clock_that_runs_wild_is_followed_once_for_a_request(self):
        offs = iter(range(3600, 360000, 3600))

        def respond(request):
            date = time.time() + next(offs)
            request.date_time_string = lambda *_: email.utils.formatdate(date, usegmt=True)
            request.answer(403, self.S3)
        with Server(respond) as s:
            answers, _ = call(s.url + "/k")
            self.assertEqual([403], [a["status"] for a in answers])
            self.assertEqual(2, len(s.seen))


class Keys(unittest.TestCase):
    EXPIRED = "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"

    def test_many_who_need_keys_wait_for_one_fetch(self):
        with Handed() as source, Server() as s:
            answers, _ = call(s.url + "/k", at_once=32, env=source.env)
            self.assertEqual([200] * 32, [a["status"] for a in answers])
            self.assertEqual((1, 32), (source.count, len(s.seen)))
            self.assertEqual({"ASIANUMBER1"}, {access_key(request) for request in s.seen})
            self.assertEqual({TOKEN}, {request.headers["x-amz-security-token"] for request in s.seen})

    def test_keys_that_expire_half_way_are_fetched_once_and_their_calls_sent_again(self):
        refused = []

        def respond(request):
            # From the second round on.
            if access_key(request) == "ASIANUMBER1" and len(s.seen) > 16:
                refused.append(request.path)
                return request.answer(403, self.EXPIRED)
            return request.answer(200, "right")
        # Between the rounds the time passes in which a source is not asked again.
        with Handed() as source, Server(respond) as s:
            answers, _ = call(s.url + "/k", times=2, at_once=16, pause_ms=3200, env=source.env)
            self.assertEqual(["right"] * 32, [a["body"] for a in answers])
            self.assertGreater(len(refused), 0)
            self.assertEqual(2, source.count)

    def test_a_source_that_goes_on_handing_out_expired_keys_is_not_asked_for_each_call(self):
        with Handed() as source, Server(lambda request: request.answer(403, self.EXPIRED)) as s:
            answers, _ = call(s.url + "/k", times=20, env=source.env)
            self.assertEqual([403] * 20, [a["status"] for a in answers])
            self.assertEqual(1, source.count)

    def test_keys_near_their_end_are_renewed_while_they_are_used(self):
        with Handed(seconds=200) as source, Server() as s:
            answers, _ = call(s.url + "/k", times=10, pause_ms=50, env=source.env)
            self.assertEqual([200] * 10, [a["status"] for a in answers])
            self.assertEqual("ASIANUMBER1", access_key(s.seen[0]))
            self.assertNotEqual("ASIANUMBER1", access_key(s.seen[-1]))

    def test_keys_that_cannot_be_renewed_serve_while_they_last(self):
        with Server() as s, Server() as source:
            source.respond = lambda request: request.answer(*((200, keys("ASIAONLY", 200)) if len(source.seen) == 1
                                                              else (404, "{}")))
            answers, log = call(s.url + "/k", times=5, pause_ms=50,
                                env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": source.url})
            self.assertEqual([200] * 5, [a["status"] for a in answers])
            self.assertIn("could not be renewed", log)
            self.assertEqual(2, len(source.seen))

    def test_keys_that_have_expired_are_not_used(self):
        with Handed(seconds=-5) as source, Server() as s:
            call(s.url + "/k", env=source.env)
            self.assertEqual(1, source.count)

    def test_a_source_that_fails_is_not_asked_by_each_call(self):
        with Server(lambda request: request.answer(404, "{}")) as source, Server() as s:
            answers, _ = call(s.url + "/k", times=5, at_once=8,
                              env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": source.url})
            self.assertEqual([(-13, 0)] * 40, [(a["code"], a["status"]) for a in answers])
            self.assertEqual((1, 0), (len(source.seen), len(s.seen)))

    def test_a_static_key_that_is_refused_is_an_answer(self):
        with Server(lambda request: request.answer(403, self.EXPIRED)) as s:
            answers, _ = call(s.url + "/k")
            self.assertEqual([(403, "ExpiredToken")], [(a["status"], a["error_code"]) for a in answers])
            self.assertEqual(1, len(s.seen))

    def test_a_slow_source_holds_up_calls_and_nothing_else(self):
        slow = threading.Event()
        with Handed(slow=slow) as source, Server() as s:
            threading.Timer(0.3, slow.set).start()
            answers, _ = call(s.url + "/k", at_once=4, env=source.env)
            self.assertEqual([200] * 4, [a["status"] for a in answers])


class Credentials(unittest.TestCase):
    def test_a_redirect_elsewhere_takes_no_credentials_along(self):
        with Server() as elsewhere:
            for status in (301, 302, 303, 307, 308):
                with Server(lambda r, status=status: r.answer(status, "", [("Location", elsewhere.url + "/x")])) as s:
                    answers, _ = call(s.url + "/k")
                    self.assertEqual([status], [a["status"] for a in answers])
            self.assertEqual([], elsewhere.seen)

    def test_a_token_that_its_receiver_repeats_is_not_shown(self):
        # servers.run fails a test that shows one.
        with Server(lambda r: r.answer(400, json.dumps({"message": f"who is {r.headers['Authorization']}?"}))) as s:
            (answer,), _ = servers.run("GGFS_AWS_DRIVER", "describe",
                                       env={"AWS_CONTAINER_CREDENTIALS_FULL_URI": s.url,
                                            "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN})
            self.assertIn("who is " + "*" * len(TOKEN), answer["error"])


class Errors(unittest.TestCase):
    def test_codes_and_messages_of_all_kinds_of_answers(self):
        xml = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The &lt;key&gt;</Message>' \
              "<Key>Code</Key></Error>"
        sts = "<ErrorResponse xmlns='x'><Error><Code>A</Code><Message>b</Message></Error></ErrorResponse>"
        for status, body, headers, code, message in (
                (404, xml, [], "NoSuchKey", "The <key>"), (400, sts, [], "A", "b"),
                (404, '{"Message": "gone"}', [("X-Amzn-ErrorType", "ResourceNotFoundException:http://x/")],
                 "ResourceNotFoundException", "gone"),
                (429, '{"Reason":"x","message":"Rate"}', [("x-amzn-ErrorType", "TooManyRequestsException")],
                 "TooManyRequestsException", "Rate"),
                (400, '{"__type":"com.amazon.coral#Some","message":null}', [], "Some", "(no message)"),
                (400, '{"Code": 5, "message": ["x"]}', [], "HTTP 400", "(no message)"),
                (503, "<html><body>gone", [], "HTTP 503", "(no message)"), (500, "", [], "HTTP 500", "(no message)"),
                (500, "plain", [], "HTTP 500", "(no message)"),
                (400, json.dumps({"message": "a\r\nb" + "x" * 2000}), [], "HTTP 400", "a  b" + "x" * 508)):
            with Server(lambda r, status=status, body=body, headers=headers: r.answer(status, body, headers)) as s:
                answer, = call(s.url + "/k")[0]
                self.assertEqual((code, message), (answer["error_code"], answer["error_message"]), body)


if __name__ == "__main__":
    tap.main()
