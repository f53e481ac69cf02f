#!/usr/bin/python3
"""What a function sees and may do: as in Lambda where namespaces can be had."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from case import PROGRAM, Case, tap  # noqa: E402
from lambda_local import LambdaLocal, python_function  # noqa: E402

TRY = """
def attempt(what):
    try:
        return what()
    except OSError as fault:
        return -fault.errno
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    return 0 if getattr(libc, name)(*arguments) == 0 else -ctypes.get_errno()
"""
EPERM, EROFS, ENOSPC = -1, -30, -28


class Sandboxed(Case):
    def setUp(self):
        server = self.server()
        if not server.ready["sandbox"]:
            self.skipTest("namespaces cannot be had here")

    def ask(self, expression, *options, settings=None):
        body = TRY.strip() + f"\nreturn {expression}"
        _, client = self.with_function(body, *options, settings=settings)
        answer = client.invoke("f", {})
        self.assertNotIn("x-amz-function-error", answer.headers, answer.body)
        return answer.json()

    def test_only_tmp_can_be_written(self):
        places = ["/x", "/var/task/x", "/usr/x", "/etc/x", "/opt/x", "/var/x", "/dev/x", "/tmp/x"]
        got = self.ask(f"[attempt(lambda: os.close(os.open(p, os.O_CREAT | os.O_WRONLY))) for p in {places}]")
        self.assertEqual(got[-1], None)
        for place, code in zip(places[:-1], got):
            self.assertIn(code, (EROFS, -13), place)

    def test_tmp_is_of_its_size_and_of_one_instance(self):
        body = """
with open("/tmp/file", "ab") as f:
    return attempt(lambda: [f.write(b"x" * (1 << 20)) for _ in range(event)] and f.flush())
"""
        _, client = self.with_function(TRY.strip() + body, settings={"EphemeralStorage": {"Size": 600},
                                                                     "Timeout": 60, "MemorySize": 512})
        self.assertEqual(client.invoke("f", 550).json(), None)
        self.assertEqual(client.invoke("f", 100).json(), ENOSPC)
        client.request("POST", "/_ggfs/recycle")
        self.assertEqual(client.invoke("f", 550).json(), None)

    def test_no_namespaces_mounts_or_roots_can_be_had(self):
        calls = ["call('unshare', 0x10000000)", "call('unshare', 0x20000)", "call('chroot', b'/tmp')",
                 "call('mount', b'tmpfs', b'/tmp', b'tmpfs', 0, None)", "call('umount', b'/tmp')"]
        self.assertEqual(self.ask(f"[{', '.join(calls)}]"), [EPERM] * len(calls))

    def test_it_is_an_ordinary_user_with_no_privileges(self):
        status = self.ask("open('/proc/self/status').read()")
        self.assertIn("\nUid:\t993\t993\t993\t993\n", status)
        self.assertIn("\nNoNewPrivs:\t1\n", status)
        self.assertIn("\nCapEff:\t0000000000000000\n", status)

    def test_it_sees_no_processes_but_its_own(self):
        self.assertLess(len(self.ask("[p for p in os.listdir('/proc') if p.isdigit()]")), 4)

    def test_it_sees_none_of_the_machines_files_but_the_systems(self):
        self.assertEqual(self.ask("[os.path.exists(p) for p in ['/root', '/home', '/srv', '/dev/kmsg', '/sys',"
                                  " '/dev/shm']]"), [False] * 6)
        self.assertEqual(self.ask("os.listdir('/tmp') + os.listdir('/var/task')"), ["bootstrap"])

    def test_the_environment_is_lambdas_and_the_functions(self):
        got = self.ask("dict(os.environ)", settings={"Environment": {"Variables": {"MINE": "ü"}}})
        for name, value in (("AWS_LAMBDA_FUNCTION_NAME", "f"), ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
                            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"), ("AWS_REGION", "us-east-1"),
                            ("AWS_DEFAULT_REGION", "us-east-1"), ("_HANDLER", "bootstrap"),
                            ("LAMBDA_TASK_ROOT", "/var/task"), ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
                            ("TZ", ":UTC"), ("MINE", "ü"), ("AWS_ACCESS_KEY_ID", "AKIAGGFSTEST")):
            self.assertEqual(got[name], value)
        self.assertIn("/var/task/lib", got["LD_LIBRARY_PATH"])
        self.assertNotIn("HOME", got)

    def test_functions_may_have_keys_of_their_own(self):
        got = self.ask("[os.environ[n] for n in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', "
                       "'AWS_SESSION_TOKEN')]", "--function-keys", "A:S:T:U")
        self.assertEqual(got, ["A", "S", "T:U"])

    def test_descriptors_are_bounded_and_none_of_the_servers_is_there(self):
        self.assertEqual(self.ask("__import__('resource').getrlimit(7)"), [1024, 1024])
        self.assertLess(len(self.ask("os.listdir('/proc/self/fd')")), 6)


class AnOrdinaryUser(Case):
    def test_has_the_same_sandbox_by_a_user_namespace(self):
        if os.geteuid() != 0:
            self.skipTest("the tests themselves run as an ordinary user, and so all others show it")
        place = self.directory()
        os.chmod(place, 0o711)
        os.mkdir(place + "/dir")
        os.chown(place + "/dir", 65534, 65534)
        server = LambdaLocal(PROGRAM, "--dir", place + "/dir")
        server.command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", *server.command]
        self.enterContext(server)
        if not server.ready["sandbox"]:
            self.skipTest("user namespaces cannot be had here")
        client = server.client()
        client.create("f", python_function("return [os.getuid(), os.path.exists('/root'), os.listdir('/tmp')]"))
        self.assertEqual(client.invoke("f", {}).json(), [993, False, []])


class Unsandboxed(Case):
    def test_without_namespaces_functions_run_and_it_is_said(self):
        server, client = self.with_function(
            "open(os.environ['TMPDIR'] + '/x', 'w').close(); return os.environ['LAMBDA_TASK_ROOT']",
            "--no-sandbox")
        self.assertFalse(server.ready["sandbox"])
        self.assertTrue(client.invoke("f", {}).json().startswith("/"))


if __name__ == "__main__":
    tap.main()
