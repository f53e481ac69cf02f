"""Counts single tests in meson's testlog.json files and shows what failed.

    tally.py [LABEL=FILE…]        a LABEL without a FILE is one failure that was told already

Prints the output of each failed program, and as the last line "N passed, N failed". A TAP
line counts as one test; so does a program that speaks no TAP, and one that ended badly without a
"not ok" to show for it. Exits 1 when something failed or nothing at all was run.
"""
import json
import os
import re
import sys

OK = re.compile(r"^\s*ok \d+\b(.*)", re.M)
NOT_OK = re.compile(r"^\s*not ok \d+\b(.*)", re.M)
SKIP = re.compile(r"#\s*skip", re.I)
OUTPUT_LINES_MAX = 400
EXIT_SKIPPED = 77
MUST_WORK = os.environ.get("GGFS_MUST_WORK") == "1"


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add(self, label, record):
        """One program's record; returns whether it went well."""
        out = record.get("stdout") or ""
        # Under a sanitizer some things cannot be done (a process with its thread has no unshare of
        # users); the ordinary build has tried them.
        if record.get("returncode") == EXIT_SKIPPED and label != "ordinary":
            self.skipped += 1
            return True
        good = record["result"] in ("OK", "EXPECTEDFAIL", "SKIP")
        oks = OK.findall(out)
        skipped = sum(1 for line in oks if SKIP.search(line))
        bad = NOT_OK.findall(out)
        failed = len(bad)
        # cmocka writes "not ok N # SKIP", which its exit code takes for no failure, but meson does.
        passed_over = sum(1 for line in bad if SKIP.search(line))
        if record.get("returncode") == 0 and passed_over == failed and not MUST_WORK:
            self.passed += len(oks) - skipped
            self.skipped += skipped + passed_over
            return True
        if not oks and not failed:
            if record["result"] == "SKIP":
                self.skipped += 1
            elif good:
                self.passed += 1
        if not good and not failed:
            failed = 1
        self.passed += len(oks) - skipped
        self.skipped += skipped
        self.failed += failed
        return good and not failed


def show(label, record):
    print(f"\n=== {label}: {record['name']}: {record['result']} "
          f"(exit {record.get('returncode')}, {record.get('duration', 0):.1f} s)")
    for stream in ("stdout", "stderr"):
        lines = (record.get(stream) or "").splitlines()
        if len(lines) > OUTPUT_LINES_MAX:
            print(f"  [{len(lines) - OUTPUT_LINES_MAX} lines left out]")
        for line in lines[-OUTPUT_LINES_MAX:]:
            if not re.match(r"^\s*ok\b", line):
                print("  " + line)


def main():
    tally = Tally()
    for argument in sys.argv[1:]:
        label, path = argument.split("=", 1)
        if not path:
            print(f"=== {label} failed, see above")
            tally.failed += 1
            continue
        try:
            with open(path, encoding="utf-8", errors="replace") as log:
                records = [json.loads(line) for line in log if line.strip()]
        except OSError as fault:
            print(f"=== {label}: no results: {fault}")
            tally.failed += 1
            continue
        for record in records:
            if not tally.add(label, record):
                show(label, record)
    if tally.skipped:
        print(f"{tally.skipped} skipped: not tried here, see above for why"
              if tally.failed else f"{tally.skipped} skipped: not tried here")
    print(f"{tally.passed} passed, {tally.failed} failed")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
