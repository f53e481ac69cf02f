"""ggfs_log.py count|seconds: of what `ggfs log --json` prints, how many functions really ran (not
from the memo), or how many seconds they took one after another."""
import json
import sys


def records(text):
    """The records of a JSON array, of an object that holds one, or of one object a line."""
    text = text.strip()
    if not text:
        return []
    try:
        whole = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.splitlines()]
    if isinstance(whole, dict):
        lists = [value for value in whole.values() if isinstance(value, list)]
        return lists[0] if lists else [whole]
    return whole


def ran(text):
    """The records of functions that ran, well or badly."""
    return [r for r in records(text) if not r.get("memoised")]


if __name__ == "__main__":
    RAN = ran(sys.stdin.read())
    print(sum(r["micros"] for r in RAN) / 1e6 if sys.argv[1:] == ["seconds"] else len(RAN))
