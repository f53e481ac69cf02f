#!/usr/bin/python3
"""The far store against an S3 server that we did not write, through the whole of the product's code."""
import concurrent.futures
import errno
import os
import shutil
import subprocess
import sys
import time

from driver import BUCKET, ENDPOINT, FarCase, digest_of

import tap  # of tests/lib
from proxy import Proxy

MIB = 1 << 20


class Pushed(FarCase):
    def test_blobs_pushed_are_pulled_by_another_whatever_their_size(self):
        """Empty, small, compressible, large: each comes back; the last in ranges and in parts."""
        one, other = self.driver("one"), self.driver("other")
        digests = [self.put(one, data) for data in
                   (b"", b"x", b"text " * 1000, os.urandom(100000), os.urandom(2 * MIB), b"again " * MIB)]
        digests += [self.random(one, 1, 33 * MIB), self.random(one, 2, 70 * MIB)]
        self.succeed(one, "push", *digests)
        self.succeed(other, "pull", *digests)
        for digest in digests:
            self.assertEqual(self.succeed(other, "near", digest).rest,
                             self.succeed(one, "near", digest).rest)

    def test_sizes_that_are_known_spare_questions(self):
        one, other = self.driver("one"), self.driver("other")
        data = [b"blob %d" % i for i in range(20)]
        digests = [self.put(one, d) for d in data]
        self.succeed(one, "push", *digests)
        usage = one.usage()
        self.assertEqual((usage["puts"], usage["gets"], usage["retries"]), (20, 0, 0))
        self.succeed(other, "pull", *(f"{d}:{len(x)}" for d, x in zip(digests, data)))
        usage = other.usage()
        self.assertEqual((usage["puts"], usage["gets"]), (0, 20))

    def test_what_is_known_is_not_put_again_and_another_process_sees_it_is_there(self):
        one, other = self.driver("one"), self.driver("other")
        digest = self.put(one, b"known")
        self.put(other, b"known")
        self.assertEqual(self.succeed(one, "known", digest).rest, "0")
        self.succeed(one, "push", digest)
        self.succeed(one, "push", digest)
        self.assertEqual(one.usage()["puts"], 1)
        self.assertEqual(self.succeed(one, "known", digest).rest, "1")
        self.succeed(other, "push", digest)  # by a conditional put that is refused
        self.assertEqual(self.succeed(other, "known", digest).rest, "1")

    def test_large_blob_that_is_there_is_asked_for_and_not_sent(self):
        one, other = self.driver("one"), self.driver("other")
        digest = self.random(one, 7, 3 * MIB)
        self.random(other, 7, 3 * MIB)
        self.succeed(one, "push", digest)
        self.succeed(other, "push", digest)
        usage = other.usage()
        self.assertEqual((usage["puts"], usage["gets"]), (0, 1))
        self.assertLess(usage["sent"], 1000)

    def test_thousands_are_pushed_and_pulled(self):
        one, other = self.driver("one", connections=32), self.driver("other", connections=32)
        digests = [self.random(one, i, 200) for i in range(2000)]
        words = self.file("\n".join(digests).encode(), "list")
        begun = time.monotonic()
        self.succeed(one, "pushes", words)
        pushed = time.monotonic()
        self.succeed(other, "pulls", words)
        print(f"# 2,000 blobs: pushed in {pushed - begun:.1f} s, pulled in "
              f"{time.monotonic() - pushed:.1f} s", flush=True)
        self.assertEqual(one.usage()["puts"], 2000)
        for digest in digests[::100]:
            self.assertEqual(self.succeed(other, "near", digest).rest, "200")
        # In pages, past what is not ours.
        self.succeed(one, "memo-put", digests[0])
        self.s3.request("PUT", f"/{BUCKET}/{self.prefix}/objects/ab/stray")
        self.assertEqual(self.succeed(one, "list").rest, "2000 1")

    def test_one_blob_asked_for_many_times_at_once_travels_once(self):
        one, other = self.driver("one"), self.driver("other")
        digest = self.random(one, 3, 1 * MIB)
        self.succeed(one, "push", *[digest] * 100)
        self.assertEqual(one.usage()["puts"], 1)
        self.succeed(other, "pull", *[digest] * 100)
        self.assertEqual(other.usage()["gets"], 1)

    def test_large_object_is_not_held_in_memory(self):
        one, other = self.driver("one"), self.driver("other")
        digest = self.random(one, 5, 200 * MIB)
        text = self.put(one, b"".join(b"line %d of many\n" % i for i in range(3 * MIB)))
        self.succeed(one, "push", digest, text)
        self.succeed(other, "pull", digest, text)
        self.assertEqual(self.succeed(other, "near", digest).rest, str(200 * MIB))
        with open(f"/proc/{other.process.pid}/status") as f:
            peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
        print(f"# pulling 200 MiB took {peak / 1024:.0f} MiB of memory at most", flush=True)
        if not os.environ.get("ASAN_OPTIONS"):
            self.assertLess(peak, 100 * 1024)


class Remembered(FarCase):
    def test_what_the_caller_knows_is_neither_asked_for_nor_sent(self):
        driver = self.driver(knows_all=1)
        digest = self.put(driver, b"elsewhere")
        self.assertEqual(self.succeed(driver, "known", digest).rest, "1")
        self.succeed(driver, "push", digest)
        self.assertEqual(driver.usage()["puts"], 0)
        # Word that it is wrong overrides that.
        self.succeed(driver, "forget", digest)
        self.assertEqual(self.succeed(driver, "known", digest).rest, "0")
        self.assertEqual(driver.ask("told").rest, f"{digest} 0")
        self.succeed(driver, "push", digest)
        self.assertEqual(driver.usage()["puts"], 1)
        self.assertEqual(driver.ask("told").rest, f"{digest} 1")

    def test_caller_is_told_what_proved_to_be_there_or_absent(self):
        driver = self.driver()
        digest, absent = self.put(driver, b"told"), digest_of(b"absent")
        self.succeed(driver, "push", digest)
        self.assertEqual(driver.ask("told").rest, f"{digest} 1")
        self.fail_with(driver, errno.ENOENT, "has", absent)
        self.assertEqual(driver.ask("told").rest, f"{absent} 0")


class Absent(FarCase):
    def test_what_is_nowhere_is_enoent_with_its_digest(self):
        driver = self.driver()
        there, nowhere = self.put(driver, b"there"), digest_of(b"nowhere")
        for verb in ("push", "pull"):
            rest = self.fail_with(driver, errno.ENOENT, verb, there, nowhere)
            self.assertEqual(rest.split()[0], nowhere)
        self.fail_with(driver, errno.ENOENT, "has", nowhere)

    def test_emptying_the_bucket_heals(self):
        """A worker that misses a blob says so, and the next push puts it anew."""
        driver, worker = self.driver("near"), self.driver("worker")
        digests = [self.put(driver, b"heal %d" % i) for i in range(5)] + [self.random(driver, 9, 2 * MIB)]
        self.succeed(driver, "push", *digests)
        for digest in digests:
            self.assertEqual(self.s3.request("DELETE", self.key(digest))[0], 204)
        self.succeed(driver, "push", *digests)  # remembered, so nothing is sent
        self.assertEqual(self.fail_with(worker, errno.ENOENT, "pull", digests[0]).split()[0], digests[0])
        for digest in digests:
            self.succeed(driver, "forget", digest)
            self.assertEqual(self.succeed(driver, "known", digest).rest, "0")
        self.succeed(driver, "push", *digests)
        self.succeed(worker, "pull", *digests)

    def test_pull_that_misses_a_blob_forgets_it_was_there(self):
        driver = self.driver()
        digest = self.put(driver, b"missed")
        self.succeed(driver, "push", digest)
        self.s3.request("DELETE", self.key(digest))
        self.succeed(driver, "drop", digest)
        self.assertEqual(self.succeed(driver, "known", digest).rest, "1")
        self.fail_with(driver, errno.ENOENT, "pull", digest)
        self.assertEqual(self.succeed(driver, "known", digest).rest, "0")

    def test_wrong_bytes_there_never_come_in_and_a_push_by_who_saw_them_heals(self):
        driver, other = self.driver("near"), self.driver("other")
        for data, wrong in ((b"right", b"wrong"), (b"cut short", b"cut"), (b"long " * 9999, b"(\xb5/\xfd")):
            digest = self.put(driver, data)
            self.s3.request("PUT", self.key(digest), wrong)
            self.fail_with(other, errno.EBADMSG, "pull", digest)
            self.fail_with(other, errno.ENOENT, "near", digest)
            self.put(other, data)
            self.succeed(other, "push", digest)
            self.succeed(other, "drop", digest)
            self.succeed(other, "pull", digest)

    def test_damaged_blob_of_the_near_store_is_not_sent(self):
        driver = self.driver()
        digest = self.put(driver, b"sound")
        path = os.path.join(self.directory, "near", "objects", digest[:2], digest[2:])
        os.chmod(path, 0o600)
        with open(path, "wb") as f:
            f.write(b"worse")
        self.fail_with(driver, errno.EBADMSG, "push", digest)
        self.assertEqual(self.s3.request("GET", self.key(digest))[0], 404)

    def test_memo_put_comes_back_and_another_thunks_is_refused(self):
        driver = self.driver()
        thunk, other = digest_of(b"thunk"), digest_of(b"other")
        self.fail_with(driver, errno.ENOENT, "memo-get", thunk)
        self.succeed(driver, "memo-put", thunk)
        self.assertEqual(self.succeed(driver, "memo-get", thunk).rest, "far-driver")
        text = self.s3.request("GET", self.key(thunk, "memo"))[2]
        self.assertTrue(text.startswith(b"ggfs-memo 1\nthunk " + thunk.encode()))
        for bad in (text, b"", b"ggfs-memo 1\n", b"x" * (MIB + 1)):
            self.s3.request("PUT", self.key(other, "memo"), bad)
            self.fail_with(driver, errno.EBADMSG, "memo-get", other)


class Closed(FarCase):
    def test_closing_ends_what_is_under_way_as_canceled(self):
        """Those that wait and those that look into the near store; test_faults has the rest."""
        source = self.driver("source")
        digests = [self.random(source, i, 20000 * i) for i in range(100)]
        self.succeed(source, "push", *digests)
        for verb in ("pull", "push"):
            for connections in (1, 64):
                driver = self.driver(f"{verb}{connections}", connections=connections,
                                     url=f"{self.url}/{verb}{connections}" if verb == "push" else None)
                if verb == "push":
                    for i in range(100):
                        self.random(driver, i, 20000 * i)
                self.fail_with(driver, errno.ECANCELED, "abandon", "0", verb, *digests)
                driver.close()


class Refused(FarCase):
    def test_wrong_secret_is_eacces_with_the_services_words(self):
        driver = self.driver(secret="wrong")
        rest = self.fail_with(driver, errno.EACCES, "push", self.put(driver, b"x"))
        self.assertIn("SignatureDoesNotMatch", rest)
        self.assertNotIn("wrong", rest.replace("wrongly", ""))
        self.assertEqual(driver.usage()["puts"], 1)

    def test_unknown_key_is_eacces(self):
        driver = self.driver(access="NOBODY")
        self.fail_with(driver, errno.EACCES, "has", digest_of(b"x"))

    def test_bucket_that_is_not_there_is_enodev_and_says_how_to_make_it(self):
        driver = self.driver(url="s3://no-such-bucket-here/x")
        digest = self.put(driver, b"x")
        for words in (("push", digest), ("pull", digest_of(b"y")), ("has", digest), ("memo-get", digest)):
            self.assertIn("aws s3 mb s3://no-such-bucket-here", self.fail_with(driver, errno.ENODEV, *words))

    def test_clock_that_is_an_hour_off_is_learnt(self):
        if not shutil.which("faketime"):
            self.skipTest("needs faketime")
        for offset in ("-1h", "+1h"):
            driver = self.driver("near" + offset, under=["faketime", "-f", offset])
            self.succeed(driver, "push", self.put(driver, b"skew" + offset.encode()))


class Conditional(FarCase):
    def test_put_of_one_key_at_once_by_many_has_one_winner_and_all_succeed(self):
        proxy = Proxy(ENDPOINT)
        self.addCleanup(proxy.close)
        drivers = [self.driver(f"near{i}", endpoint=proxy.endpoint) for i in range(8)]
        digest = [self.put(driver, b"contended") for driver in drivers][0]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda d: d.ask("push", digest), drivers))
        self.assertEqual([a.code for a in answers], [0] * 8)
        self.assertEqual(proxy.count("PUT"), 8)
        self.assertTrue(all(r.headers["if-none-match"] == "*" for r in proxy.requests))
        # The one object is that of the first: a second would have replaced it and its time.
        self.assertEqual(self.s3.request("GET", self.key(digest))[2], b"contended")


class Interoperable(FarCase):
    def aws(self, *words, **kwargs):
        env = {**os.environ, "AWS_ACCESS_KEY_ID": os.environ["GGFS_TEST_S3_ACCESS_KEY"],
               "AWS_SECRET_ACCESS_KEY": os.environ["GGFS_TEST_S3_SECRET_KEY"], "AWS_REGION": "us-east-1",
               "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": "/nonexistent",
               # Not every server knows the checksums that newer clients send unasked.
               "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}
        program = "/usr/bin/aws" if os.path.exists("/usr/bin/aws") else "aws"
        done = subprocess.run([program, "--endpoint-url", ENDPOINT, "s3", *words], env=env, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout

    def setUp(self):
        super().setUp()
        if not shutil.which("aws"):
            self.skipTest("needs the AWS CLI: apt-get install awscli")

    def test_aws_cli_reads_what_we_wrote(self):
        driver = self.driver()
        plain, packed = os.urandom(5000), b"packed " * 50000
        digests = [self.put(driver, plain), self.put(driver, packed)]
        self.succeed(driver, "push", *digests)
        url = f"s3:/{self.key(digests[0])}"
        self.assertEqual(self.aws("cp", url, "-"), plain)
        packed_there = self.aws("cp", f"s3:/{self.key(digests[1])}", "-")
        self.assertLess(len(packed_there), len(packed) // 10)
        if not shutil.which("zstd"):
            self.skipTest("needs zstd")
        unpacked = subprocess.run(["zstd", "-d"], input=packed_there, stdout=subprocess.PIPE, check=True)
        self.assertEqual(unpacked.stdout, packed)

    def test_we_read_what_the_aws_cli_wrote(self):
        driver = self.driver()
        plain, packed = os.urandom(5000), b"packed " * 50000
        self.aws("cp", self.file(plain), f"s3:/{self.key(digest_of(plain))}")
        if not shutil.which("zstd"):
            self.skipTest("needs zstd")
        frame = subprocess.run(["zstd", "-c"], input=packed, stdout=subprocess.PIPE, check=True).stdout
        self.aws("cp", self.file(frame), f"s3:/{self.key(digest_of(packed))}", "--content-encoding", "zstd",
                 "--metadata", f"ggfs-size={len(packed)}")
        self.succeed(driver, "pull", digest_of(plain), digest_of(packed))
        self.assertEqual(self.succeed(driver, "has", digest_of(packed)).rest, str(len(packed)))

    def test_keys_with_odd_prefixes_are_the_same_to_us_and_to_the_aws_cli(self):
        for number, prefix in enumerate(("a b", "ü", "plus+and&", "%41", "q?r#s", "'\"<>", "日本")):
            prefix = f"{self.prefix}/{prefix}"
            driver = self.driver(f"near{number}", url=f"s3://{BUCKET}/{prefix}")
            data = b"odd %d" % number
            digest = self.put(driver, data)
            self.succeed(driver, "push", digest)
            self.assertEqual(self.aws("cp", f"s3:/{self.key(digest, prefix=prefix)}", "-"), data)
            self.succeed(driver, "drop", digest)
            self.succeed(driver, "pull", digest)


if __name__ == "__main__":
    sys.exit(tap.main())
