"""The proof of the tests: who catches whom, and whether every mistake is named to who makes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kata.course import Course, Exercise
from kata.grade import Ledger
from kata.verdict import Finding, Verdict
from kata.wrong import Bank, WrongVersion

Findings = Mapping[str, Mapping[str, tuple[str, Finding]]]


def proof(course: Course, findings: Mapping[Exercise, Findings]) -> dict[str, Any]:
    """What --prove writes.

    Args:
        course: the course.
        findings: of each exercise, see `unnamed`.

    Returns:
        `rows`: by slug and wrong version the verdict on each test, where one parameter that fails
        is enough; `unnamed`: by slug what the function of that name says.
    """
    return {
        "rows": {
            exercise.slug: {name: _verdicts(row) for name, row in rows.items()}
            for exercise, rows in findings.items()
        },
        "unnamed": {
            exercise.slug: unnamed(course, exercise, Bank(course, exercise).versions(), rows)
            for exercise, rows in findings.items()
        },
    }


def _verdicts(row: Mapping[str, tuple[str, Finding]]) -> dict[str, str]:
    verdicts: dict[str, Verdict] = {}
    for test, finding in row.values():
        before = verdicts.get(test, Verdict.NOT_RUN)
        # One parameter that passes shows that the test was run.
        if before is Verdict.NOT_RUN or (before is Verdict.PASS and finding.verdict.failed):
            verdicts[test] = finding.verdict
    return {test: str(verdict) for test, verdict in verdicts.items()}


def unnamed(
    course: Course,
    exercise: Exercise,
    versions: Sequence[WrongVersion],
    findings: Findings,
) -> dict[str, list[str]]:
    """The tests that fail a wrong version without saying its sentence, by its name.

    Args:
        course: the course.
        exercise: whose wrong versions they are.
        versions: all of them.
        findings: by wrong version and by test with its parameters: the name of the test and what
            came out.
    """
    rows = {version.name: findings.get(version.name, {}) for version in versions}
    found = {}
    for version in versions:
        ledger = Ledger(course, course.solutions_dir, None)
        for node_id, (test, finding) in rows[version.name].items():
            alike = {
                other.name: [other.sentence, sorted(other.fails), int(likeness)]
                for other in versions
                if test in other.fails and node_id in rows[other.name]
                if (likeness := rows[other.name][node_id][1].likeness(finding))
            }
            ledger.rows.setdefault(exercise.slug, {})[node_id] = {
                "exercise": exercise.slug,
                "test": test,
                "verdict": str(finding.verdict),
                "candidates": alike if finding.verdict.failed else {},
            }
        failed = [r for r in ledger.rows.get(exercise.slug, {}).values() if r and r["candidates"]]
        found[version.name] = [
            record["test"] for record in failed if version.sentence not in ledger.looks_like(record)
        ]
    return {name: tests for name, tests in found.items() if tests}
