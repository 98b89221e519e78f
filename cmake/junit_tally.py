"""Adds up ctest's JUnit files: `N passed, N failed`, with `, N skipped` where tests were; exit code 1 if any failed.

    python3 junit_tally.py FILE...

A test that could not be run counts as failed, although ctest writes it down next to the skipped ones.
"""

import sys
import xml.etree.ElementTree as xml


def verdict(case: xml.Element) -> str:
    status = case.get("status")
    if status == "run":
        return "passed"
    skipped = case.find("skipped")
    asked_to_skip = skipped is not None and skipped.get("message", "").startswith("SKIP_")
    return "skipped" if status == "disabled" or asked_to_skip else "failed"


def main():
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for path in sys.argv[1:]:
        for case in xml.parse(path).getroot().iter("testcase"):
            result = verdict(case)
            count[result] += 1
            if result == "failed":
                print(f"failed: {case.get('name')} ({path})")
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    print(f"{count['passed']} passed, {count['failed']} failed{skipped}")
    sys.exit(1 if count["failed"] or not count["passed"] else 0)


if __name__ == "__main__":
    main()
