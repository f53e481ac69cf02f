#!/usr/bin/python3
"""The scanner against the compiler's own scan: each compile is inferred by both.

    test_scanner.py MODEL_TOOL [Scanner.test_NAME...]

Where the scanner is certain, the dependency file must be the same bytes, and the function's inputs
the same files (but for headers that are only asked about: the scanner knows which questions are
put). It may be unsure, but not of what is listed here as ordinary.
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../lib"))
sys.path.insert(0, os.path.dirname(__file__))
import cases  # noqa: E402
import tap  # noqa: E402
from test_commands import TOOL_PATH, lay_out, split_command  # noqa: E402

FETCH = os.path.join(os.path.dirname(os.path.realpath(__file__)), "../../lib/fetch-source")
model_tool = None

COMPILE = re.compile(r"(\S+=\S+ )*(\S*gcc|\S*g\+\+|cc|c\+\+)(-12)? .*-[cS] .*\.(c|cc|S)\b")

# Cases of cases.py in which only the compiler can tell.
UNSURE = ("pragma_operators", "counter", "assertions")

# What includes do, beyond cases.py: (name, command, files).
MORE = [
    ("once_by_two_links", "gcc -c a.c",
     {"a.c": '#include "o.h"\n#include "p.h"\n#include "q.h"\n', "o.h": "#pragma once\nint o;\n",
      "p.h": "-> o.h", "q.h": "-> ./o.h"}),
    ("once_in_a_copy", "gcc -c a.c",
     {"a.c": '#include "o.h"\n#include "d/o.h"\n#include "o.h"\n', "o.h": "#pragma once\nint o;\n",
      "d/o.h": "#pragma once\nint o;\n"}),
    ("once_later", "gcc -c a.c",
     {"a.c": '#include "o.h"\n#include "./o.h"\n#define L\n#include "o.h"\n#include "./o.h"\n#include "p/../o.h"\n',
      "o.h": "#ifdef L\n#pragma once\n#endif\n", "p/x": ""}),
    ("include_next_of_what_stands_beside", "gcc -Id1 -Id2 -c a.c",
     {"a.c": '#include "d1/w.h"\n#include <w.h>\n', "d1/w.h": "#include_next <w.h>\n", "d2/w.h": "int two;\n"}),
    ("include_next_in_the_source", "gcc -Id1 -c a.c",
     {"a.c": '#include_next "w.h"\n', "w.h": "int here;\n", "d1/w.h": "int there;\n"}),
    ("include_next_by_a_full_path", "gcc -Id1 -c a.c",
     {"a.c": '#define S_(x) #x\n#define S(x) S_(x)\n#include S(DIR/d2/w.h)\n', "d1/w.h": "int one;\n",
      "d2/w.h": "#include_next <w.h>\n"}),
    ("directories_by_two_names", "gcc -Id -I./d -I d/ -Id/../d -isystem d -c a.c",
     {"a.c": '#include <w.h>\n#include "w.h"\n', "d/w.h": "#include <v.h>\n", "d/v.h": "int v;\n"}),
    ("quote_directories", "gcc -iquote d1 -I d2 -c a.c",
     {"a.c": '#include "w.h"\n#include <w.h>\n', "d1/w.h": "int one;\n", "d2/w.h": "int two;\n"}),
    ("the_environments_directories", "CPATH=d1: C_INCLUDE_PATH=d2::d3 gcc -c a.c",
     {"a.c": "#include <v.h>\n#include <w.h>\n#include <x.h>\n#include <here.h>\n", "d1/v.h": "", "d2/v.h": "",
      "d2/w.h": "", "d3/x.h": "", "here.h": ""}),
    ("a_system_directory_by_a_long_name", "gcc -isystem d/../d/../d -isystem @DIR@/d/../e -c a.c",
     {"a.c": "#include <w.h>\n#include <v.h>\n", "d/w.h": "#include \"x.h\"\n", "d/x.h": "", "e/v.h": "#include \"u.h\"\n",
      "e/u.h": ""}),
    ("no_canonical_names", "gcc -fno-canonical-system-headers -isystem @DIR@/d/../d -c a.c",
     {"a.c": "#include <w.h>\n", "d/w.h": "int w;\n"}),
    ("a_header_that_includes_itself", "gcc -c a.c",
     {"a.c": '#define N 1\n#include "r.h"\nint i = N;\n',
      "r.h": "#if N == 1\n#undef N\n#define N 2\n#include \"r.h\"\n#elif N == 2\n#include \"h/a.h\"\n#endif\n"}),
    ("forced_includes_and_macro_files", "gcc -include f.h -include h/a.h -imacros m.h -c a.c",
     {"a.c": "#if M && F && A\n#include \"h/b.h\"\n#endif\n", "f.h": "#define F M\n#include \"g.h\"\n", "g.h": "int g;\n",
      "m.h": "#define M 1\n#include \"n.h\"\nint m;\n", "n.h": "int n;\n"}),
    ("nothing_predefined", "gcc -undef -nostdinc -c a.c",
     {"a.c": "#ifdef __GNUC__\n#include \"h/a.h\"\n#else\n#include \"h/b.h\"\n#endif\n"}),
    ("freestanding", "gcc -ffreestanding -c a.c", {"a.c": "#include <stddef.h>\n#include <limits.h>\n#include <stdint.h>\n"}),
    ("definitions_in_turn", "gcc -DA=1 -UA -DA=2 -DB -D'F(x)=x' -DC= -Wp,-DA=3 -c a.c",
     {"a.c": "#undef h\n#if A == 3 && B == 1 && F(1) C\n#include \"h/b.h\"\n#else\n#include \"h/a.h\"\n#endif\n"}),
    ("raw_strings", "gcc -c a.c",
     {"a.c": 'const char *s = R"x(\n#include "nope.h"\n)" /* )x";\n#include "h/a.h"\n'}),
    ("no_raw_strings", "gcc -std=c99 -c a.c", {"a.c": '#define R\nconst char *s = R"(";\n#include "h/a.h"\n'}),
    ("separators", "g++ -std=c++17 -c a.cc",
     {"a.cc": "#if 1'000 == 1000\n#include \"h/a.h\"\n#endif\nint i = 1'0; char c = '\\'';\n#include \"h/b.h\"\n"}),
    ("c90_comments", "gcc -std=c90 -c a.c", {"a.c": "#if 1 //**/ 2\n#include \"h/a.h\"\n#else\n#include \"h/b.h\"\n#endif\n"}),
    ("comments_in_directives", "gcc -I. -c a.c",
     {"a.c": '/* x */ # /* y\n */ include /* z */ "h/a.h" // "\n#if /* 0 */ 1 /*\n*/\n#include <h/b.h>\n#endif\n', "i/x": ""}),
    ("a_name_with_slashes", "gcc -I. -c a.c", {"a.c": "#include <h//a.h>\n#include \"h/./b.h\"\n"}),
    ("macros_that_look_like_calls", "gcc -c a.c",
     {"a.c": "#define F(x) x\n#define E\n#if F (1) E\n#include \"h/a.h\"\n#endif\n#if F + 1\n#include \"h/b.h\"\n#endif\n"}),
    ("skipped_garbage", "gcc -c a.c",
     {"a.c": "#if 0\n#if )(\n#elif\n#else\n#endif\n#garbage 'x\n#include <unended\n#else\n#include \"h/a.h\"\n#endif\n"
             "#if 1\n#elif 1 / 0 (\n#endif\n"}),
    ("includes_of_included_directories", "gcc -Id -c a.c",
     {"a.c": "#include <e/f.h>\n", "d/e/f.h": "#include \"g.h\"\n#include \"../k.h\"\n", "d/e/g.h": "", "d/k.h": ""}),
    ("a_computed_include_of_linux", "gcc -Id -c a.c", {"a.c": "#define N(x) <x/a.h>\n#include N(linux)\n", "d/1/a.h": ""}),
    ("stringified_arguments", "gcc -c a.c",
     {"a.c": '#define S(x) #x\n#define T(x) S(x)\n#define D h\n#include T(D/a.h)\n#include S( h/b.h )\n'}),
    ("attributes_by_their_value", "g++ -c a.cc",
     {"a.cc": "#if __has_cpp_attribute(nodiscard) >= 201603L && __has_cpp_attribute(gnu::unused)\n#include \"h/a.h\"\n#endif\n"}),
    ("assembler", "gcc -c a.S",
     {"a.S": "# a comment, isn't it\n#include \"h/a.h\"\n#ifdef __ASSEMBLER__\n#include \"h/b.h\"\n#endif\n"}),
    ("pushed_and_popped", "gcc -c a.c",
     {"a.c": '#pragma push_macro("M")\n#define M 1\n#pragma push_macro("M")\n#define M 2\n#pragma pop_macro("M")\n'
             '#if M == 1\n#include "h/a.h"\n#endif\n#pragma pop_macro("M")\n#ifndef M\n#include "h/b.h"\n#endif\n'}),
    ("a_byte_order_mark", "gcc -c a.c", {"a.c": "\ufeff#include \"h/a.h\"\n"}),
    ("the_same_call_for_two", "gcc -Ih -c x.c a.c", {"a.c": "#include <b.h>\n"}),
]

STANDARDS = ["c90", "gnu90", "c99", "gnu11", "c17", "gnu2x"]
CXX_STANDARDS = ["c++98", "gnu++11", "c++14", "gnu++17", "c++20", "gnu++23"]
HEADERS = """stdio.h stdlib.h string.h unistd.h math.h complex.h tgmath.h fenv.h limits.h stdint.h
    inttypes.h errno.h assert.h ctype.h wchar.h locale.h setjmp.h signal.h time.h stdarg.h stdbool.h stddef.h
    stdatomic.h stdalign.h sys/types.h sys/stat.h sys/socket.h sys/mman.h sys/wait.h sys/ioctl.h sys/time.h
    sys/epoll.h sys/uio.h netinet/in.h netinet/tcp.h arpa/inet.h netdb.h pthread.h semaphore.h dirent.h fcntl.h
    poll.h termios.h dlfcn.h sched.h pwd.h grp.h regex.h glob.h ucontext.h execinfo.h spawn.h syslog.h getopt.h
    linux/fs.h linux/types.h linux/fuse.h sys/syscall.h sys/ptrace.h immintrin.h x86intrin.h""".split()
CXX_HEADERS = """algorithm array atomic bitset chrono complex condition_variable deque exception fstream functional
    future iomanip iostream iterator limits list locale map memory mutex new numeric queue random ratio regex set
    sstream stack stdexcept streambuf string system_error thread tuple type_traits typeinfo unordered_map
    utility valarray vector cstdint cmath cstring""".split()


class Scanner(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = os.path.realpath(tempfile.mkdtemp(prefix="ggfs-scanner-"))
        cls.store = os.path.join(cls.top, "store")
        cls.directory = os.path.join(cls.top, "tree")

    @classmethod
    def tearDownClass(cls):
        subprocess.run(["chmod", "-R", "u+w", cls.top], check=False)
        shutil.rmtree(cls.top, ignore_errors=True)

    def compare(self, command, directory, root=None, name=""):
        """What model-tool says of a command line in directory; what cannot be at all fails."""
        variables, argv = split_command(command, directory)
        env = {"PATH": TOOL_PATH, "LC_ALL": "C", "HOME": "/", "PWD": directory,
               "SOURCE_DATE_EPOCH": "1700000000", **variables}
        done = subprocess.run([model_tool, "compare", self.store, root or directory, *argv], cwd=directory,
                              env=env, capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, check=False)
        answer = done.stdout.strip()
        self.assertEqual(done.returncode, 0, command + ": " + done.stderr)
        # of -imacros the preprocessed text, which -MMD needs, says nothing; nor -M of questions
        known = "|scanned" if ("-imacros" in command and "-MMD" in command) or "computed" in name else ""
        self.assertRegex(answer[:300], f"^(same|real|unsure{known})", command)
        if answer.startswith("same dependencies"):
            # what the compiler's scan adds can only be what is asked about; and it leaves out a
            # file that is read only to be found the copy of one that is read once
            self.assertIn("-M", command)
            self.assertTrue(" +" not in answer or "once" in name, command + ": " + answer)
        return answer

    def compare_all_ways(self, command, files, setup=(), name=""):
        lay_out(self.directory, {**cases.FILES, **cases.REAL_FILES, **files})
        for line in setup:
            variables, argv = split_command(line, self.directory)
            subprocess.run(argv, cwd=self.directory, env={"PATH": TOOL_PATH, **variables}, check=True)
        ways = [""] if "-M" in command else [" -MD", " -MMD -MP"]
        return [self.compare(command + way, self.directory, name=name) for way in ways]

    def test_ordinary_compiles_and_traps(self):
        for name, steps, files, setup in cases.cases():
            for expected, command in steps:
                if expected != "lazy" or "plain.s" in command or not COMPILE.match(command):
                    continue
                for answer in self.compare_all_ways(command, files, setup, name):
                    if not any(word in name for word in UNSURE):
                        self.assertRegex(answer, "^(same|scanned)", f"{name}: {command}")

    def test_more_traps(self):
        for name, command, files in MORE:
            files = {n: t.replace("DIR", self.directory) for n, t in files.items()}
            for answer in self.compare_all_ways(command, files, name=name):
                self.assertRegex(answer, "^(same|scanned)", f"{name}: {command}")

    def test_what_fails_is_never_certain(self):
        for text in ('#include "nope.h"\n', "#error no\n", "#if 1 +\n#endif\n", "#if 1\n", "#endif\n", "#garbage\n",
                     "#define F(x) x\n#if F(\n#endif\n", "#include\n", "#ifdef\n#endif\n", "#pragma GCC error \"x\"\n",
                     "#if 1 / 0\n#endif\n", "#define defined\n", "/* never"):
            for answer in self.compare_all_ways("gcc -c a.c", {"a.c": text}):
                self.assertTrue(answer.startswith("real"), f"{text}: {answer}")

    def compare_system(self, tool, standards, headers, suffix):
        lay_out(self.directory, {f"{n}{suffix}": "".join(f"#include <{h}>\n" for h in headers[n::5])
                                 for n in range(5)})
        unsure = 0
        for n, standard in enumerate(standards):
            for extra in ("", "-O2 -D_GNU_SOURCE -D_FORTIFY_SOURCE=2"):
                answer = self.compare(f"{tool} -std={standard} {extra} -MD -c {n % 5}{suffix}", self.directory)
                unsure += answer.startswith("unsure")
        self.assertEqual(unsure, 0)

    def test_headers_of_the_system(self):
        self.compare_system("gcc", STANDARDS, HEADERS, ".c")

    def test_headers_of_cxx(self):
        self.compare_system("g++", CXX_STANDARDS, CXX_HEADERS, ".cc")

    def fetched(self, package):
        tree = os.path.join(self.top, package)
        done = subprocess.run([FETCH, package, tree], capture_output=True, text=True, check=False)
        if done.returncode:
            self.skipTest(f"the sources of {package} cannot be fetched: {done.stderr.strip()[-200:]}")
        return tree

    def compare_project(self, tree, folder, commands):
        counts = {"same": 0, "real": 0, "unsure": 0}
        for command in commands:
            answer = self.compare(command, folder, tree)
            counts[re.match("[a-z]+", answer)[0]] += 1
        self.assertEqual(counts["unsure"], 0, counts)
        self.assertGreater(counts["same"], 30, counts)

    def test_sources_of_lua(self):
        tree = self.fetched("lua5.4")
        done = subprocess.run(["make", "-n", "linux"], cwd=tree, capture_output=True, text=True, check=True)
        commands = [l + " -MD" for l in done.stdout.splitlines() if re.match("(gcc|cc) .* -c ", l)]
        self.compare_project(tree, os.path.join(tree, "src"), commands)

    def test_sources_of_redis(self):
        tree = self.fetched("redis")
        folder = os.path.join(tree, "src")
        for header in ("release.h",):
            with open(os.path.join(folder, header), "a", encoding="utf-8"):
                pass
        flags = "-pedantic -DREDIS_STATIC='' -std=c11 -Wall -O3 -g " + " ".join(
            f"-I../deps/{d}" for d in ("hiredis", "linenoise", "lua/src", "hdr_histogram"))
        sources = sorted(glob.glob("*.c", root_dir=folder) + glob.glob("../deps/*/*.c", root_dir=folder)
                         + glob.glob("../deps/lua/src/*.c", root_dir=folder))
        commands = [f"cc {flags} -MMD -o {n}.o -c {shlex.quote(s)}" for n, s in enumerate(sources)]
        self.compare_project(tree, folder, commands)


if __name__ == "__main__":
    model_tool = os.path.abspath(sys.argv.pop(1))
    tap.main()
