#!/usr/bin/python3
"""Each verb does what its help says, and refuses what it cannot do with a sentence and an exit code."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import place  # noqa: E402
from place import Place, VERBS, why_no_mount  # noqa: E402
import tap  # noqa: E402

ABSENT = "0123456789abcdef" * 4


class Words(unittest.TestCase):
    """What needs no service."""

    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)

    def test_help_of_every_verb_says_usage_options_and_exit_codes(self):
        for verb in VERBS:
            text = self.p.ok(verb, "--help")
            self.assertTrue(text.startswith(f"usage: ggfs {verb}"), verb)
            self.assertIn("--help", text)
            self.assertIn("Exit code", text)
            self.assertEqual(text, self.p.ok("help", verb))
            self.assertEqual(text, self.p.ok(verb, "-h"))

    def test_the_list_of_verbs_names_all_but_the_service(self):
        words = [line.split()[0] for line in self.p.ok("--help").splitlines() if line.startswith("  ")]
        self.assertEqual(sorted(words), sorted(set(VERBS) - {"service"}))

    def test_every_verb_has_a_page_of_the_manual(self):
        for verb in VERBS:
            self.assertIn(f'.TH "ggfs-{verb}" 1', self.p.ok("help", "--man", verb))

    def test_an_unknown_verb_option_or_number_of_arguments_is_wrong_usage(self):
        for words in (["nonsense"], ["help", "nonsense"], ["force"], ["force", "--nonsense", "x"],
                      ["force", "-x", "y"], ["force", "--jobs", "0", "y"], ["force", "--jobs", "-1", "y"],
                      ["force", "--jobs", "many", "y"], ["force", "y", "--engine"], ["force", "-j"],
                      ["mount"], ["mount", "a", "b"], ["mounts", "a"], ["init", "a", "b"], ["infer"],
                      ["cancel"], ["cancel", "--all", "x"], ["cat"], ["cat", "xyz"], ["thunk"],
                      ["thunk", "--stdin", "sh"], ["mount", "-o", "nonsense", "."]):
            self.p.refused(2, *words)
        self.assertEqual(self.p.ggfs().returncode, 2)

    def test_a_wrong_option_is_the_one_that_is_named(self):
        self.assertIn("no option -x", self.p.refused(2, "force", "--json", "-xq", "f"))
        self.assertIn("no option -x", self.p.refused(2, "force", "--json", "-qx", "f"))
        self.assertIn("no option --xyz", self.p.refused(2, "force", "-q", "--xyz", "f"))
        self.assertIn("--jobs wants a value", self.p.refused(2, "force", "-q", "--jobs"))
        self.assertIn("-j wants a value", self.p.refused(2, "force", "--json", "-j"))
        self.assertIn("--json", self.p.refused(2, "force", "-q", "--json=yes"))

    def test_hash_says_what_b2sum_says(self):
        self.p.write("empty", "")
        self.p.write("text", "hello\n")
        self.p.write("big", os.urandom(3_000_001))
        self.p.write("new\nline and \\ and space", "x")
        names = [b"empty", b"text", b"big", b"new\nline and \\ and space"]
        if os.path.exists("/usr/bin/b2sum"):
            theirs = self.p.run("b2sum", "-l", "256", *names)
            self.assertEqual(self.p.ggfs("hash", *names).stdout, theirs.stdout)
        done = self.p.ggfs("hash", "-", input=b"hello\n")
        self.assertEqual(done.stdout, self.p.ggfs("hash", "text").stdout.replace(b"text", b"-"))

    def test_hash_of_what_cannot_be_read_fails_and_goes_on(self):
        self.p.write("text", "hello\n")
        done = self.p.ggfs("hash", "none", ".", "text")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(len(done.stdout.splitlines()), 1)
        self.assertIn(b"none", done.stderr)

    def test_init_makes_a_store_where_it_was_told_and_leaves_one_that_is_there(self):
        at = os.path.join(self.p.base, "a", "b", "store")
        self.assertIn(at, self.p.ok("init", at))
        self.assertTrue(os.path.isdir(at))
        inode = os.stat(at).st_ino
        self.p.ok("init", "--store", at)
        self.assertEqual(os.stat(at).st_ino, inode)
        self.assertEqual(os.stat(at).st_mode & 0o077, 0)
        self.p.ok("init")
        self.assertTrue(os.path.isdir(self.p.store))

    def test_init_where_no_store_can_be_says_so(self):
        self.p.write("file", "")
        self.assertIn("file", self.p.refused(1, "init", "file"))
        self.p.refused(1, "init", "file/store")

    def test_noforce_ends_as_the_command_does(self):
        self.assertEqual(self.p.ggfs("noforce", "sh", "-c", "exit 7").returncode, 7)
        self.assertEqual(self.p.ggfs("noforce", "--", "sh", "-c", 'echo "$GGFS_FORCE"').stdout, b"off\n")
        self.assertIn("nonsense", self.p.refused(127, "noforce", "./nonsense"))
        self.p.write("text", "x", 0o644)
        self.p.refused(126, "noforce", "./text")

    def test_noforce_and_allow_keep_the_stores_lists(self):
        self.p.ok("noforce", "--cgroup", "/sys/fs/cgroup/user.slice/a b")
        self.p.ok("noforce", "--cgroup", "/user.slice", "--policy", "local")
        self.p.ok("allow", "ld", "cc1")
        self.p.ok("allow", "ld")
        for name, lines in (("cgroups", ["off /user.slice/a b", "local /user.slice"]),
                            ("allow", ["ld", "cc1"])):
            with open(os.path.join(self.p.store, name)) as f:
                self.assertEqual([line for line in f.read().splitlines() if line[0] != "#"], lines)
        self.p.refused(1, "allow", "a/b")
        self.p.refused(1, "noforce", "--cgroup", "relative")
        self.p.refused(2, "noforce", "--cgroup", "/a", "--policy", "nonsense")
        self.p.refused(2, "noforce", "--cgroup", "/a", "true")
        self.p.refused(2, "noforce")
        self.assertEqual(self.p.processes(), [])

    def test_stop_and_cancel_start_no_service_to_end_it(self):
        self.p.ok("init")
        self.assertIn("no service", self.p.ok("stop"))
        self.assertIn("no service", self.p.ok("cancel", "--all"))
        self.assertEqual(self.p.processes(), [])

    def test_doctor_says_of_each_thing_how_it_is_and_what_to_do(self):
        text = self.p.ok("doctor")
        for subject in ("/dev/fuse", "libfuse", "sandbox", "infer", "toolchain", "stand-in", "store",
                        "service"):
            self.assertIn(subject, text)
        for finding in self.p.json("doctor"):
            self.assertIn(finding["verdict"], ("ok", "warning", "failure"))
            self.assertEqual(finding["todo"] is None, finding["verdict"] == "ok", finding)

    def test_doctor_puts_a_damaged_blob_aside_and_says_so(self):
        self.p.placeholder("echo hello >o")
        self.p.ok("force", "o")
        digest = self.p.ok("hash", "o").split()[0]
        blob = os.path.join(self.p.store, "objects", digest[:2], digest[2:])
        os.chmod(blob, 0o600)
        with open(blob, "r+b") as f:
            f.write(b"J")
        text = self.p.ok("doctor", "--all")
        self.assertIn("1 of", text)
        self.assertFalse(os.path.exists(blob))


class Thunks(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)

    def test_a_thunk_is_named_by_its_text_and_made_twice_is_the_same(self):
        thunk = self.p.shell_thunk("echo hi >o")
        self.assertEqual(thunk, self.p.shell_thunk("echo hi >o"))
        self.assertNotEqual(thunk, self.p.shell_thunk("echo ho >o"))
        text = self.p.ok("cat", thunk).encode()
        self.assertEqual(self.p.ok("describe", "--raw", thunk).encode(), text)
        self.p.write("text", text)
        self.assertEqual(self.p.ok("hash", "text").split()[0], thunk)

    def test_all_options_of_a_thunk_are_seen_by_the_function(self):
        self.p.write("in put", "from a file\n")
        first = self.p.shell_thunk("echo from a thunk >o")
        thunk = self.p.thunk(
            "-i", "a/in=in put", "--thunk-input", f"b/in={first}:o", "-t", "cat", "-t", "mkdir", "-o", "d/out",
            "--output-dir", "d/tree", "-e", "WORD=word", "-C", "d", "--timeout", "50", "--memory", "64",
            "--", "sh", "-c", 'cat ../a/in ../b/in >out; echo "$WORD $PWD $#" >>out; mkdir -p tree; echo x >tree/x', "sh", "1")
        self.p.ok("force", thunk)
        text = json.loads(self.p.ok("why", "--json", thunk))
        made = self.p.ok("cat", text[0]["result"]["digest"])
        self.assertEqual(made, "from a file\nfrom a thunk\nword /d 1\n")
        described = self.p.json("describe", thunk)[0]
        self.assertEqual((described["timeout"], described["memory"], described["cwd"]), (50, 64, "d"))
        self.assertEqual([o["kind"] for o in described["outputs"]], ["file", "tree"])

    def test_many_thunks_come_by_lines_of_json_and_each_line_has_an_answer(self):
        lines = [{"command": ["sh", "-c", f"echo {i} >o"], "outputs": ["o"]} for i in range(20)]
        feed = "\n".join(json.dumps(line) for line in lines) + "\n"
        feed += "nonsense\n[]\n" + json.dumps({"command": ["sh"], "outptus": ["o"]}) + "\n"
        done = self.p.ggfs("thunk", "--stdin", input=feed.encode())
        answers = done.stdout.decode().split("\n")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(answers[20:], ["", "", "", ""])
        self.assertEqual(len(set(answers[:20])), 20)
        for number in (21, 22, 23):
            self.assertIn(f"line {number}:".encode(), done.stderr)
        self.assertIn(b"outptus", done.stderr)
        self.p.ok("force", *answers[:20])

    def test_what_cannot_be_a_thunk_is_refused(self):
        for words in (["--input", "none", "sh"], ["--output", "../o", "sh"], ["--output", "o", "none"],
                      ["--thunk-input", "x", "sh"], ["--output", "o", "--cwd", "..", "sh"]):
            self.p.refused(1, "thunk", *words)

    def test_describe_shows_command_outputs_and_inputs(self):
        self.p.write("in", "input\n")
        self.p.thunk("-p", "-i", "in", "-t", "cat", "-o", "o", "--", "sh", "-c", "cat in >o")
        text = self.p.ok("describe", "o")
        for word in ("cat in >o", "output   o", "in  ", "toolchain", "usr/bin/"):
            self.assertIn(word, text)
        self.assertTrue(self.p.is_placeholder("o"))
        self.assertIn("ordinary", self.p.ok("describe", "in"))

    def test_graph_is_dot_with_a_box_a_thunk_and_an_arrow_an_input(self):
        first = self.p.shell_thunk("echo 1 >o", output='a "quoted"\n\\name')
        self.p.thunk("-p", "--thunk-input", f'x={first}:a "quoted"\n\\name', "-o", "p", "--", "sh", "-c", "cp x p")
        text = self.p.ok("graph", "p")
        self.assertTrue(text.startswith("digraph ggfs {"))
        self.assertTrue(text.endswith("}\n"))
        self.assertEqual(text.count(" -> "), 1)
        self.assertIn(f'"{first[:16]}" -> ', text)
        self.assertIn('label="a \\"quoted\\"\\n\\\\name"', text)
        if os.path.exists("/usr/bin/dot"):
            self.assertEqual(self.p.run("dot", "-Tcanon", input=text.encode()).returncode, 0)

    def test_graph_of_nothing_prints_no_half_graph(self):
        done = self.p.ggfs("graph", "none")
        self.assertEqual((done.returncode, done.stdout), (1, b""))

    def test_cat_of_an_absent_blob_fails_and_goes_on_with_the_next(self):
        thunk = self.p.shell_thunk("echo hi >o")
        done = self.p.ggfs("cat", ABSENT, thunk)
        self.assertEqual(done.returncode, 1)
        self.assertIn(ABSENT.encode(), done.stderr)
        self.assertIn(b"echo%20hi", done.stdout)


class Telling(unittest.TestCase):
    """status, why, log, retry, cancel, stop."""

    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)

    def test_why_goes_through_all_states(self):
        self.assertEqual(self.p.write("plain", "x") and self.p.state("plain"), "ordinary")
        self.p.endless("endless")
        self.assertEqual(self.p.state("endless"), "unforced")
        force = self.p.start("ggfs", "force", "endless")

        self.p.forcing("endless")
        self.assertIn("ggfs cancel", self.p.ok("why", "endless"))
        self.assertIn("1 cancelled", self.p.ok("cancel", "endless"))
        self.assertEqual(force.wait(place.DEADLINE_S), 1)
        thunk = self.p.shell_thunk("echo hi >o")
        self.p.ok("force", thunk)
        self.assertEqual(self.p.state(thunk), "ready")
        bad = self.p.shell_thunk("exit 9")
        self.p.refused(1, "force", bad)
        self.assertEqual(self.p.state(bad), "failed")
        self.p.write("damaged", b"#!/usr/bin/env ggfs-force\n".ljust(place.PLACEHOLDER_SIZE))
        self.assertEqual(self.p.state("damaged"), "damaged")
        self.p.refused(1, "why", "none")
        self.p.refused(1, "why", ABSENT)

    def test_why_of_a_failure_has_command_stderr_and_what_to_do(self):
        self.p.placeholder("echo its own words >&2; exit 3")
        self.p.refused(1, "force", "o")
        text = self.p.ok("why", "o")
        for word in ("failed", "exit status 3", "its own words", "command: sh -c", "next:", "ggfs retry"):
            self.assertIn(word, text)
        failure = self.p.json("why", "o")[0]["failure"]
        self.assertEqual(failure["exit_status"], 3)
        self.assertEqual(failure["stderr"], "its own words\n")

    def test_why_names_the_input_that_failed_with_its_own_words(self):
        first = self.p.shell_thunk("echo deep trouble >&2; exit 4", output="first")
        self.p.thunk("-p", "--thunk-input", f"x={first}:first", "-o", "o", "--", "sh", "-c", "cp x o")
        self.p.refused(1, "force", "o")
        text = self.p.ok("why", "o")
        for word in ("because: first", "deep trouble", "exit status 4", first):
            self.assertIn(word, text)

    def test_why_says_what_a_force_waits_for(self):
        first = self.p.shell_thunk("exec sleep 100000", output="first")
        self.p.thunk("-p", "--thunk-input", f"x={first}:first", "-o", "o", "--", "sh", "-c", "cp x o")
        force = self.p.start("ggfs", "force", "o")
        self.p.forcing(first)
        self.assertIn(f"waits:   for {first}", self.p.ok("why", "o"))
        self.assertEqual(self.p.json("why", "o")[0]["waits_for"], [first])
        self.p.ok("cancel", "--all")
        self.assertEqual(force.wait(place.DEADLINE_S), 1)

    def test_why_keeps_the_warnings_of_what_was_made(self):
        thunk = self.p.shell_thunk("echo be warned >&2; echo hi >o")
        self.p.ok("force", thunk)
        self.assertIn("be warned", self.p.ok("why", thunk))

    def test_a_failure_is_kept_until_retry_forgets_it(self):
        self.p.placeholder("exit 3")
        self.p.refused(1, "force", "o")
        ran = len(self.p.json("log"))
        self.p.refused(1, "force", "o")
        self.assertEqual(len([r for r in self.p.json("log") if not r["memoised"]]), ran)
        self.assertIn("1 failure forgotten", self.p.ok("retry", "o"))
        self.assertEqual(self.p.state("o"), "unforced")
        self.p.refused(1, "force", "o")
        self.assertGreater(len(self.p.json("log")), ran)

    def test_retry_of_what_needs_a_failed_input_forgets_that_failure(self):
        first = self.p.shell_thunk("exit 4", output="first")
        self.p.thunk("-p", "--thunk-input", f"x={first}:first", "-o", "o", "--", "sh", "-c", "cp x o")
        self.p.refused(1, "force", "o")
        self.p.ok("retry", "o")
        self.assertEqual(self.p.state(first), "unforced")

    def test_status_counts_each_state_and_names_what_failed(self):
        self.p.write("plain", "x")
        self.p.write("sub/plain", "x")
        self.p.placeholder("echo 1 >o", "o")
        self.p.placeholder("exit 1", "sub/bad")
        self.p.refused(1, "force", "sub/bad")
        self.assertEqual({k: v for k, v in self.p.json("status").items() if k != "failures"},
                         {"unforced": 1, "forcing": 0, "ready": 0, "failed": 1, "ordinary": 2})
        self.assertIn("sub/bad", self.p.ok("status", "sub"))
        self.assertEqual(self.p.json("status", "sub")["unforced"], 0)

    def test_names_with_spaces_newlines_and_other_bytes_are_in_valid_json(self):
        for i, name in enumerate([b"with space", b"new\nline", b"\xff\xfe latin", 'quo"te'.encode()]):
            self.p.placeholder(f"echo {i}; exit 1", "o")
            os.rename(self.p.path("o"), os.path.join(self.p.work.encode(), name))
        done = self.p.ggfs("force", "--json", "--keep-going", ".")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)["failed"], 4)
        status = json.loads(self.p.ggfs("status", "--json").stdout)
        self.assertEqual(sorted(f["path"] for f in status["failures"]),
                         ["./new\nline", './quo"te', "./with space", "./\ufffd\ufffd latin"])
        for verb in ("why", "describe"):
            self.assertEqual(len(json.loads(self.p.ggfs(verb, "--json", ".").stdout)), 4)

    def test_log_tells_what_ran_for_whom_and_what_it_said(self):
        self.p.placeholder("echo said this >&2; echo 1 >o")
        self.p.ok("force", "o")
        record = self.p.json("log", "-n", "1")[0]
        self.assertEqual((record["label"], record["errno"], record["stderr"]), ("o", 0, "said this\n"))
        self.assertIn("ggfs", record["asker"])
        text = self.p.ok("log")
        self.assertIn("made", text)
        self.assertIn("said this", text)

    def test_stop_in_the_middle_of_a_force_kills_it_and_loses_nothing(self):
        self.p.endless()
        force = self.p.start("ggfs", "force", "o")
        self.p.forcing("o")
        [service] = self.p.services()
        self.p.ok("stop")
        self.assertNotIn(service, self.p.services())
        # Who waits is not told: the force goes on with the next service.
        self.p.forcing("o")
        self.p.ok("cancel", "--all")
        self.assertEqual(force.wait(place.DEADLINE_S), 1)

    def test_json_of_every_verb_that_has_it_parses(self):
        self.p.placeholder("echo 1 >o")
        for words in (["status"], ["why", "o"], ["describe", "o"], ["log"], ["mounts"], ["doctor"],
                      ["force", "o"]):
            self.p.json(*words)


@unittest.skipIf(why_no_mount(), why_no_mount())
class InAMount(unittest.TestCase):
    def setUp(self):
        self.p = Place()
        self.addCleanup(self.p.close)
        self.p.mount()

    def test_mounts_lists_it_with_its_store_and_process(self):
        [mount] = self.p.mounts()
        self.assertEqual((mount["directory"], mount["store"], mount["stale"]),
                         (self.p.work, self.p.store, False))
        self.assertTrue(os.path.exists(f"/proc/{mount['pid']}"))
        self.assertIn(self.p.work, self.p.ok("mounts"))

    def test_verbs_about_a_lazy_file_do_not_make_it(self):
        self.p.placeholder("echo 1 >o")
        for verb in ("status", "why", "describe", "graph", "retry"):
            self.p.ok(verb, "o")
            self.p.ok(verb, ".")
        self.assertEqual(self.p.state("o"), "unforced")
        self.assertEqual(self.p.json("log"), [])

    def test_force_makes_it_ready_and_changes_nothing_else(self):
        self.p.placeholder("echo 1 >o")
        before = os.stat(self.p.path("o"))
        self.p.ok("force", "o")
        self.assertEqual(self.p.state("o"), "ready")
        after = os.stat(self.p.path("o"))
        self.assertEqual((after.st_ino, after.st_mode, after.st_mtime_ns),
                         (before.st_ino, before.st_mode, before.st_mtime_ns))
        self.assertEqual(self.p.read("o"), b"1\n")

    def test_unmounted_it_is_a_placeholder_and_mounted_again_lazy(self):
        self.p.placeholder("echo 1 >o")
        self.p.umount()
        self.assertTrue(self.p.is_placeholder("o"))
        self.assertEqual(self.p.mounts(), [])
        self.p.mount()
        self.assertEqual(self.p.read("o"), b"1\n")

    def test_umount_goes_by_any_name_of_the_directory(self):
        os.symlink(self.p.work, os.path.join(self.p.base, "link"))
        for name in ("work", "work/", "./work", "link", self.p.work + "//"):
            self.p.ok("umount", name, cwd=self.p.base)
            self.p.mount()
        self.assertIn("work", self.p.refused(1, "mount", "work", cwd=self.p.base))

    def test_umount_of_what_is_not_mounted_is_refused(self):
        self.p.umount()
        self.p.refused(1, "umount", self.p.work)
        self.p.refused(1, "umount", "none")
        self.p.mount()

    def test_a_verb_in_a_mount_uses_the_store_of_the_mount(self):
        self.p.placeholder("echo 1 >o")
        env = {k: v for k, v in self.p.env.items() if k != "GGFS_STORE"}
        env["HOME"] = self.p.base
        env.pop("XDG_CACHE_HOME", None)
        self.p.stores.append(os.path.join(self.p.base, ".cache", "ggfs"))
        self.assertIn("unforced", self.p.ok("why", "o", env=env))
        self.assertIn("1 not made yet", self.p.ok("status", env=env))
        self.p.ok("force", "o", env=env)
        self.assertFalse(os.path.exists(os.path.join(self.p.base, ".cache")))

    def test_noforce_reads_what_is_ready_and_makes_nothing(self):
        self.p.placeholder("echo 1 >o")
        done = self.p.ggfs("noforce", "cat", "o")
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.p.state("o"), "unforced")
        self.p.ok("force", "o")
        self.assertEqual(self.p.ok("noforce", "cat", "o"), "1\n")

    def test_a_mount_left_by_a_crash_is_listed_as_stale_and_replaced(self):
        [mount] = self.p.mounts()
        os.kill(mount["pid"], 9)
        place.wait_for(lambda: self.p.mounts()[0]["stale"], "staleness")
        self.assertIn("stale", self.p.ok("mounts", cwd=self.p.base))
        self.assertIn("heals", self.p.ok("doctor", cwd=self.p.base))
        self.p.mount()
        self.p.placeholder("echo 1 >o")
        self.assertEqual(self.p.read("o"), b"1\n")


if __name__ == "__main__":
    tap.main()
