#!/usr/bin/python3
"""ggfs lambda: deploy, status, remove, policy, package, against our own Lambda."""
import hashlib
import json
import os
import subprocess
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from case import TOOLS, Case, tap  # noqa: E402
from lambda_local import ACCESS_KEY, REGION, ROLE, SECRET_KEY  # noqa: E402

WORKER = os.environ["GGFS_FAKE_WORKER"]


class Deploying(Case):
    def setUp(self):
        self.place = self.directory()
        self.serving = self.server("--pending-ms", 200)

    def ggfs(self, *words, **more):
        """(exit code, standard output, standard error) of `ggfs lambda ...`."""
        environment = {"PATH": os.environ["PATH"], "HOME": self.place, "GGFS_STORE": self.place + "/store",
                       "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                       "AWS_REGION": REGION, "AWS_ENDPOINT_URL_LAMBDA": self.serving.endpoint,
                       "AWS_EC2_METADATA_DISABLED": "true", **more}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
            if name in os.environ:
                environment[name] = os.environ[name]
        done = subprocess.run([os.path.join(TOOLS, "ggfs"), "lambda", *words], env=environment, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        return done.returncode, done.stdout, done.stderr

    def deploy(self, *words):
        code, out, err = self.ggfs("deploy", "--worker", WORKER, *words)
        self.assertEqual((code, err), (0, ""))
        return out

    def configuration(self, name="ggfs-worker"):
        return self.serving.client().request("GET", f"/2015-03-31/functions/{name}/configuration").json()

    def test_a_deployed_worker_runs_with_its_own_libraries_and_hides_them_from_others(self):
        self.assertIn("ready: ggfs-worker ", self.deploy("--role", ROLE))
        answer = self.serving.client().invoke("ggfs-worker", {"a": 1}, x_amz_log_type="Tail")
        self.assertEqual(answer.status, 200)
        self.assertNotIn("x-amz-function-error", answer.headers, (answer.body, answer.log()))
        got = answer.json()
        self.assertEqual((got["sent"], got["LD_LIBRARY_PATH"]), ({"a": 1}, ""))
        self.assertTrue(got["AWS_CA_BUNDLE"].startswith("/"))

    def test_the_first_time_a_role_is_needed_and_the_words_say_so(self):
        code, out, err = self.ggfs("deploy", "--worker", WORKER)
        self.assertEqual((code, out), (1, ""))
        self.assertIn("--role is needed", err)

    def test_settings_are_as_asked_for_and_stay_when_nothing_is_said(self):
        self.deploy("--role", ROLE, "--memory", "512", "--tmp", "2048", "--timeout", "60")
        config = self.configuration()
        self.assertEqual((config["MemorySize"], config["EphemeralStorage"]["Size"], config["Timeout"]),
                         (512, 2048, 60))
        out = self.deploy("--memory", "1024")
        self.assertIn("the code stands already", out)
        self.assertIn("new settings", out)
        config = self.configuration()
        self.assertEqual((config["MemorySize"], config["EphemeralStorage"]["Size"], config["Timeout"]),
                         (1024, 2048, 60))

    def test_what_stands_already_is_left_alone(self):
        self.deploy("--role", ROLE, "--function", "mine")
        before = self.configuration("mine")
        out = self.deploy("--function", "mine")
        self.assertNotIn("new", out)
        self.assertEqual(self.configuration("mine"), before)

    def test_other_code_is_replaced_and_waited_for(self):
        from lambda_local import python_function
        client = self.serving.client()
        client.create("ggfs-worker", python_function("return 1"), Timeout=5)
        self.assertIn("new code", self.deploy())
        config = self.configuration()
        self.assertEqual((config["State"], config["LastUpdateStatus"]), ("Active", "Successful"))
        self.assertEqual(client.invoke("ggfs-worker", 5).json()["sent"], 5)

    def test_the_same_worker_gives_the_same_package(self):
        digests = set()
        for name, zone in (("a", "UTC"), ("b", "Pacific/Apia")):
            path = os.path.join(self.place, name)
            code, out, err = self.ggfs("package", "--worker", WORKER, "-o", path, TZ=zone)
            self.assertEqual((code, err), (0, ""), out)
            with open(path, "rb") as f:
                digests.add(hashlib.sha256(f.read()).hexdigest())
        self.assertEqual(len(digests), 1)
        with zipfile.ZipFile(path) as z:
            names = z.namelist()
            modes = {i.filename: i.external_attr >> 16 & 0o777 for i in z.infolist()}
        self.assertEqual(names, sorted(names))
        self.assertTrue({"bootstrap", "ggfs-worker", "so/loader", "so/libc.so.6"} <= set(names), names)
        self.assertFalse([n for n in names if n.startswith("lib/")], "Lambda's LD_LIBRARY_PATH names it")
        self.assertEqual((modes["bootstrap"], modes["ggfs-worker"], modes["so/loader"]), (0o755,) * 3)

    def test_a_package_made_elsewhere_is_deployed(self):
        path = os.path.join(self.place, "package.zip")
        self.assertEqual(self.ggfs("package", "--worker", WORKER, "-o", path)[0], 0)
        code, _, err = self.ggfs("deploy", "--package", path, "--role", ROLE)
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(self.serving.client().invoke("ggfs-worker", 5).json()["sent"], 5)

    def test_what_is_no_worker_of_ours_is_refused(self):
        other = os.path.join(self.place, "other.zip")
        with zipfile.ZipFile(other, "w") as z:
            z.writestr("ggfs-package", "0.0.0 x86_64\n")
        strange = os.path.join(self.place, "strange.zip")
        with zipfile.ZipFile(strange, "w") as z:
            z.writestr("bootstrap", "x")
        for words, said in ((("--worker", "/bin/true"), "this is ggfs"),
                            (("--worker", "/bin/false"), "does not say which version"),
                            (("--worker", "/etc/passwd"), "no program that Lambda could run"),
                            (("--worker", "/no/such"), "cannot open"),
                            (("--package", other), "has the worker of ggfs 0.0.0"),
                            (("--package", strange), "no ggfs-package"),
                            (("--package", WORKER), "no zip file")):
            code, out, err = self.ggfs("deploy", "--role", ROLE, *words)
            self.assertEqual((code, out), (1, ""), words)
            self.assertIn(said, err)
        self.assertEqual(self.ggfs("status")[0], 1)

    def test_a_package_of_more_than_50_mib_is_refused(self):
        big = os.path.join(self.place, "ggfs-worker")
        with open(WORKER, "rb") as worker, open(big, "wb") as out:
            out.write(worker.read())
            out.write(os.urandom(60 << 20))
        os.chmod(big, 0o755)
        code, _, err = self.ggfs("package", "--worker", big, "-o", big + ".zip")
        self.assertEqual(code, 1)
        self.assertIn("Lambda takes 52428800 directly", err)

    def test_the_wrong_architecture_is_refused(self):
        other = "arm64" if os.uname().machine == "x86_64" else "x86_64"
        code, _, err = self.ggfs("deploy", "--worker", WORKER, "--arch", other, "--role", ROLE)
        self.assertEqual(code, 1)
        self.assertIn("make the package there", err)

    def test_usage_is_told(self):
        for words in ((), ("fly",), ("deploy", "--memory", "100"), ("deploy", "--tmp", "1"), ("package",),
                      ("deploy", "--timeout", "901"), ("deploy", "--arch", "vax"), ("policy", "--for", "me"),
                      ("deploy", "--package", "a", "--worker", "b")):
            self.assertEqual(self.ggfs(*words)[0], 2, words)

    def test_status_tells_what_is_there(self):
        code, out, err = self.ggfs("status")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("there is no function ggfs-worker", err)
        self.deploy("--role", ROLE, "--memory", "512")
        self.serving.client().request("PUT", "/2017-10-31/functions/ggfs-worker/concurrency",
                                      b'{"ReservedConcurrentExecutions": 77}')
        code, out, err = self.ggfs("status")
        self.assertEqual((code, err), (0, ""))
        for words in ("ggfs-worker ", "Active", "512 MiB", "77, reserved", ROLE):
            self.assertIn(words, out)
        got = json.loads(self.ggfs("status", "--json")[1])
        self.assertEqual((got["ours"], got["concurrency"], got["configuration"]["MemorySize"]),
                         (True, 77, 512))

    def test_remove_removes_and_says_when_there_is_nothing(self):
        self.deploy("--role", ROLE)
        self.assertEqual(self.ggfs("remove")[0], 0)
        code, _, err = self.ggfs("remove")
        self.assertEqual(code, 1)
        self.assertIn("there is no function", err)

    def test_wrong_keys_are_told_and_never_shown(self):
        code, out, err = self.ggfs("status", AWS_SECRET_ACCESS_KEY="wrong-secret")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("InvalidSignatureException", err)
        self.assertNotIn("wrong-secret", err)

    def test_faults_of_the_service_are_tried_again(self):
        self.deploy("--role", ROLE)
        listener = self.serving
        self.assertEqual(self.ggfs("status", AWS_ENDPOINT_URL_LAMBDA="http://127.0.0.1:1")[0], 1)
        self.assertEqual(self.ggfs("status")[0], 0)
        self.assertTrue(listener.counters()["requests"] > 0)

    def test_policies_name_the_function_and_the_far_store(self):
        far = {"GGFS_FAR_URL": "s3://bucket/some/prefix", "AWS_REGION": "eu-central-1"}
        code, out, err = self.ggfs("policy", **far)
        self.assertEqual((code, err), (0, ""))
        all_of_them = json.loads(out)
        self.assertEqual(set(all_of_them), {"role", "caller", "deployer"})
        for whom, policy in all_of_them.items():
            self.assertEqual(json.loads(self.ggfs("policy", "--for", whom, **far)[1]), policy)
            self.assertEqual(policy["Version"], "2012-10-17")
        self.assertIn("arn:aws:s3:::bucket/some/prefix/*", json.dumps(all_of_them["role"]))
        self.assertNotIn("DeleteObject", json.dumps(all_of_them["role"]))
        self.assertIn("arn:aws:lambda:eu-central-1:*:function:ggfs-worker", json.dumps(all_of_them["caller"]))
        code, out, err = self.ggfs("policy", "--for", "role", AWS_REGION="cn-north-1")
        self.assertIn("arn:aws-cn:", out)
        self.assertIn("far.url", err)


if __name__ == "__main__":
    tap.main()
