#!/usr/bin/python3
"""The far store through a proxy that fails on order: the right bytes or the right errno, nothing hot."""
import errno
import os
import socket
import subprocess
import sys
import threading
import time

from driver import BUCKET, ENDPOINT, FarCase, digest_of

import tap  # of tests/lib
from proxy import Proxy, at_random, error

MIB = 1 << 20


class FaultCase(FarCase):
    """What is in the bucket is put past the proxy, by a driver of its own."""

    def proxy(self, fault=lambda request: None, upstream=ENDPOINT):
        proxy = Proxy(upstream, fault)
        self.addCleanup(proxy.close)
        return proxy

    def through(self, proxy, name="through", **settings):
        return self.driver(name, endpoint=proxy.endpoint, **{"backoff_ms": 5, "probe_ms": 50, **settings})


class Once(FaultCase):
    """The first request fails, and what was asked for is done none the less."""

    FAULTS = ["before", "after", error(503, "SlowDown"), error(500, "InternalError"), error(502, "Bad"),
              error(409, "ConditionalRequestConflict"), ("status", 504, {}, b""), ("status", 429, {}, b""),
              error(400, "RequestTimeout")]

    def test_push(self):
        for number, fault in enumerate(self.FAULTS):
            proxy = self.proxy(lambda r, fault=fault: fault if r.number == 0 else None)
            driver = self.through(proxy, f"near{number}")
            data = b"push %d" % number
            digest = self.put(driver, data)
            self.succeed(driver, "push", digest)
            self.assertEqual(self.s3.request("GET", self.key(digest))[2], data)
            # What libcurl sends again by itself on a lost connection is not counted.
            self.assertLessEqual(driver.usage()["retries"], 1)

    def test_pull(self):
        source = self.driver("source")
        digest = self.random(source, 1, 300000)
        self.succeed(source, "push", digest)
        for number, fault in enumerate(self.FAULTS + ["middle", "flip", "short"]):
            proxy = self.proxy(lambda r, fault=fault: fault if r.number == 0 else None)
            driver = self.through(proxy, f"near{number}")
            self.succeed(driver, "pull", digest)
            self.assertEqual(self.succeed(driver, "near", digest).rest, "300000")

    def test_answer_that_stops_in_the_middle_is_given_up_for_another(self):
        source = self.driver("source")
        digest = self.random(source, 1, 3000)
        self.succeed(source, "push", digest)
        proxy = self.proxy(lambda r: "hang" if r.number == 0 else None)
        driver = self.through(proxy, stall_ms=500)
        self.succeed(driver, "pull", digest)


class Always(FaultCase):
    def test_wrong_bytes_are_ebadmsg_and_never_near(self):
        source = self.driver("source")
        small, packed = self.random(source, 2, 1000), self.put(source, b"packed " * 9999)
        large = self.random(source, 3, 40 * MIB)
        self.succeed(source, "push", small, packed, large)
        for kind in ("flip", "short"):
            driver = self.through(self.proxy(lambda r, kind=kind: kind), kind)
            for digest in (small, packed, large):
                self.fail_with(driver, errno.EBADMSG, "pull", digest)
                self.fail_with(driver, errno.ENOENT, "near", digest)

    def test_full_disk_is_enospc_and_the_rest_comes(self):
        source = self.driver("source")
        small, large = self.random(source, 1, 1000), self.random(source, 2, 8 * MIB)
        self.succeed(source, "push", small, large)
        near = os.path.join(self.directory, "near")
        os.mkdir(near)
        mount = 'mount -t tmpfs -o size=4m none "$0" && exec "$@"'
        if subprocess.call(["unshare", "-rm", "sh", "-c", mount, near, "true"], stderr=subprocess.DEVNULL):
            self.skipTest("needs user namespaces")
        driver = self.driver("near/store", under=["unshare", "-rm", "sh", "-c", mount, near])
        self.fail_with(driver, errno.ENOSPC, "pull", small, large)
        self.succeed(driver, "near", small)
        self.fail_with(driver, errno.ENOENT, "near", large)

    def test_one_poisoned_key_fails_alone_and_the_rest_goes_on(self):
        driver = self.driver("source")
        digests = [self.random(driver, i, 500) for i in range(60)]
        self.succeed(driver, "push", *digests)
        poison = digests[7]
        proxy = self.proxy(lambda r: error(500, "InternalError") if poison[2:] in r.path else None)
        other = self.through(proxy, away_ms=3000)
        rest = self.fail_with(other, errno.ENETDOWN, "pull", *digests)
        self.assertIn("InternalError", rest)
        for digest in digests:
            answer = other.ask("near", digest)
            self.assertEqual(answer.code, -errno.ENOENT if digest == poison else 0)
        self.assertLess(proxy.count(containing=poison[2:]), 40)

    def test_refusal_is_not_tried_again(self):
        for status, code, expected in ((403, "AccessDenied", errno.EACCES), (400, "InvalidArgument", errno.EIO),
                                       (301, "PermanentRedirect", errno.EINVAL)):
            proxy = self.proxy(lambda r, s=status, c=code: error(s, c, more="<Region>eu-west-3</Region>"))
            driver = self.through(proxy, str(status))
            rest = self.fail_with(driver, expected, "push", self.put(driver, b"x"))
            self.assertIn("eu-west-3" if status == 301 else code, rest)
            self.assertEqual(len(proxy.requests), 1)

    def test_redirect_is_not_followed(self):
        elsewhere = self.proxy()
        proxy = self.proxy(lambda r: ("status", 307, {"Location": elsewhere.endpoint + r.path}, b""))
        driver = self.through(proxy)
        self.fail_with(driver, errno.EINVAL, "push", self.put(driver, b"x"))
        self.assertEqual(elsewhere.requests, [])

    def test_page_of_somebody_else_is_not_absence(self):
        proxy = self.proxy(lambda r: ("status", 404, {"Content-Type": "text/html"}, b"<html>Not here</html>"))
        driver = self.through(proxy)
        self.assertIn("endpoint", self.fail_with(driver, errno.EPROTO, "pull", digest_of(b"x")))

    def test_service_without_conditional_put_is_put_to_without(self):
        """As one that answers 501 for the condition, instead of ignoring it."""
        proxy = self.proxy(lambda r: error(501, "NotImplemented") if "if-none-match" in r.headers else None)
        driver = self.through(proxy)
        digests = [self.put(driver, b"one"), self.put(driver, b"two")]
        for digest in digests:
            self.succeed(driver, "push", digest)
            self.assertEqual(self.s3.request("GET", self.key(digest))[0], 200)
        self.assertEqual(len(proxy.requests), 3)


class Throttled(FaultCase):
    def test_service_that_takes_few_at_once_is_given_few_at_once(self):
        """Who sends 64 at once to a service that takes 6 learns it, and all comes through."""
        proxy = self.proxy()
        refused = []

        def fault(request):
            time.sleep(0.002)
            if proxy.active <= 6:
                return None
            refused.append(request)
            return error(503, "SlowDown", "Please reduce your request rate.")
        proxy.fault = fault
        driver = self.through(proxy, backoff_ms=100, connections=64)
        digests = [self.random(driver, i, 100) for i in range(1500)]
        self.succeed(driver, "pushes", self.file("\n".join(digests).encode(), "list"))
        print(f"# {len(refused)} of {len(proxy.requests)} requests were refused", flush=True)
        self.assertLess(len(refused), len(proxy.requests) // 3)


class Parts(FaultCase):
    def test_upload_that_fails_is_aborted(self):
        proxy = self.proxy(lambda r: error(403, "AccessDenied") if "partNumber=3" in r.path else None)
        driver = self.through(proxy)
        digest = self.random(driver, 4, 70 * MIB)
        self.fail_with(driver, errno.EACCES, "push", digest)
        self.assertEqual(proxy.count("DELETE", "uploadId="), 1)
        self.assertEqual(self.s3.request("GET", self.key(digest))[0], 404)
        _, _, uploads = self.s3.request("GET", f"/{BUCKET}", query={"uploads": "", "prefix": self.prefix})
        self.assertNotIn(b"<Upload>", uploads)

    def test_part_that_is_lost_is_sent_again_alone(self):
        lost = []

        def fault(request):
            if "partNumber=2" in request.path and not lost:
                lost.append(request)
                return "after"
            return None
        proxy = self.proxy(fault)
        driver = self.through(proxy)
        digest = self.random(driver, 5, 70 * MIB)
        self.succeed(driver, "push", digest)
        self.assertEqual(proxy.count("PUT"), 6)
        self.check(digest, 70 * MIB)

    def test_completion_whose_answer_is_lost_counts(self):
        cut = []

        def fault(request):
            if request.method == "POST" and "uploadId=" in request.path and not cut:
                cut.append(request)
                return "after"
            return None
        driver = self.through(self.proxy(fault))
        digest = self.random(driver, 6, 70 * MIB)
        self.succeed(driver, "push", digest)
        self.check(digest, 70 * MIB)

    def test_completion_that_fails_after_it_began_well_is_sent_again(self):
        failed = []

        def fault(request):
            if request.method == "POST" and "uploadId=" in request.path and not failed:
                failed.append(request)
                return ("status", 200, {}, error(500, "InternalError")[3])
            return None
        driver = self.through(self.proxy(fault))
        digest = self.random(driver, 7, 70 * MIB)
        self.succeed(driver, "push", digest)
        self.check(digest, 70 * MIB)

    def test_object_that_is_replaced_while_it_is_read_in_ranges_is_read_anew(self):
        source = self.driver("source")
        digest = self.random(source, 8, 40 * MIB)
        self.succeed(source, "push", digest)
        changed = []

        def fault(request):
            if "if-match" in request.headers and not changed:
                changed.append(request)
                return error(412, "PreconditionFailed")
            return None
        driver = self.through(self.proxy(fault))
        self.succeed(driver, "pull", digest)
        self.succeed(driver, "near", digest)

    def check(self, digest, size):
        reader = self.driver("reader")
        self.succeed(reader, "pull", digest)
        self.assertEqual(self.succeed(reader, "near", digest).rest, str(size))


class Away(FaultCase):
    """Nobody there: little is sent, nothing fails that need not, and it goes on when it is back."""

    def closed_port(self):
        s = socket.socket()
        self.addCleanup(s.close)
        s.bind(("127.0.0.1", 0))  # bound, and not listened on
        return f"http://127.0.0.1:{s.getsockname()[1]}"

    def test_nobody_there_is_enetdown_after_a_while(self):
        driver = self.driver(endpoint=self.closed_port(), away_ms=1000)
        digests = [self.random(driver, i, 100) for i in range(1000)]
        begun = time.monotonic()
        self.fail_with(driver, errno.ENETDOWN, "pushes", self.file("\n".join(digests).encode(), "list"))
        self.assertLess(time.monotonic() - begun, 20)
        usage = driver.usage()
        self.assertEqual(usage["paused"], 1)
        # At most one for each connection, and the probes of a second and of those that came after.
        self.assertLess(usage["puts"], 64 + 64)

    def test_service_that_refuses_everything_for_a_while_is_asked_little(self):
        """1,000 blobs wait while all is answered 503 for 10 s; then all are there."""
        until = []
        proxy = self.proxy(lambda r: error(503, "SlowDown") if time.monotonic() < until[0] else None)
        driver = self.through(proxy, backoff_ms=100, probe_ms=250)
        digests = [self.random(driver, i, 100) for i in range(1000)]
        until.append(time.monotonic() + 10)
        self.succeed(driver, "pushes", self.file("\n".join(digests).encode(), "list"))
        refused = sum(r.when < until[0] for r in proxy.requests)
        print(f"# {refused} requests in 10 s of nothing but 503, with 1,000 waiting", flush=True)
        self.assertLess(refused, 150)
        self.assertEqual(driver.usage()["paused"], 0)
        for digest in digests[::97]:
            self.assertEqual(self.s3.request("GET", self.key(digest))[0], 200)

    def test_nobody_there_and_then_there_again_loses_nothing(self):
        source = self.driver("source")
        digests = [self.random(source, i, 100) for i in range(200)]
        self.succeed(source, "push", *digests)
        down = threading.Event()
        proxy = self.proxy(lambda r: "before" if down.is_set() else None)
        driver = self.through(proxy)
        down.set()
        driver.say("pull", *digests)
        while len(proxy.requests) < 20:
            time.sleep(0.01)
        down.clear()
        answer = driver.hear()
        self.assertEqual(answer.code, 0, answer)
        for digest in digests:
            self.succeed(driver, "near", digest)


class Closed(FaultCase):
    def test_closing_ends_what_waits_for_an_answer_as_canceled(self):
        source = self.driver("source")
        digests = [self.random(source, i, 3000) for i in range(100)] + [self.random(source, 200, 40 * MIB)]
        self.succeed(source, "push", *digests)
        parts = self.random(source, 201, 70 * MIB)
        for number, (verb, fault, wanted, after) in enumerate((
                ("pull", lambda r: "hang", digests, 30),
                ("push", lambda r: "hang", [parts], 2),
                # Until it is away: no request is under way but a probe, maybe.
                ("pull", lambda r: "before", digests, 70),
                # Ranges of one large object.
                ("pull", lambda r: "hang" if "if-match" in r.headers else None, digests[-1:], 3))):
            driver = self.through(self.proxy(fault), f"near{number}", stall_ms=60000)
            if verb == "push":
                self.random(driver, 201, 70 * MIB)
            self.fail_with(driver, errno.ECANCELED, "abandon", str(after), verb, *wanted)
            driver.close()


class AtRandom(FaultCase):
    KINDS = ["before", "after", "middle", "flip", "short", error(503, "SlowDown"), error(500, "InternalError"),
             ("status", 429, {}, b"")]

    def test_a_fifth_of_all_fail_in_every_way_and_bytes_are_right_or_the_errno_is(self):
        for seed in range(4):
            driver = self.through(self.proxy(at_random(seed, 0.2, self.KINDS)), f"near{seed}")
            digests = [self.random(driver, 1000 * seed + i, 100 + 700 * i) for i in range(150)]
            answer = driver.ask("push", *digests)
            self.assertEqual(answer.code, 0, answer)
            for digest in digests:
                self.succeed(driver, "drop", digest)
            answer = driver.ask("pull", *digests)
            # Twice wrong in a row, for one blob, is what a tenth of a tenth comes to.
            self.assertIn(answer.code, (0, -errno.EBADMSG), answer)
            for digest in digests:
                near = driver.ask("near", digest)
                self.assertIn(near.code, (0, -errno.ENOENT) if answer.code else (0,), near)


if __name__ == "__main__":
    sys.exit(tap.main())
