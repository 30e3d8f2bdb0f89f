"""JUnit XML, as Jenkins' xUnit plugin and every other CI reads it: a suite for each exercise."""

from __future__ import annotations

from xml.etree import ElementTree

from kata.grading.marks import Mark, Marks
from kata.grading.model import Graded
from kata.grading.points import Points
from kata.grading.reports import words
from kata.verdict import Verdict

FILE = "junit.xml"


def render(graded: Graded, marks: Marks, points: Points) -> str:
    """The document as text."""
    root = ElementTree.Element("testsuites", name=words.line(points.title))
    for mark in marks.exercises:
        root.append(_suite(graded, mark))
    for key in ("tests", "failures"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    root.set("errors", "0")
    root.set("time", f"{sum(graded.seconds.values()):.3f}")
    ElementTree.indent(root, " ")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, "unicode")}\n'


def _suite(graded: Graded, mark: Mark) -> ElementTree.Element:
    tests = list(words.shown(graded, mark))
    failed = [test for test in tests if test.verdict not in (Verdict.PASS, Verdict.NOT_RUN)]
    suite = ElementTree.Element(
        "testsuite",
        name=str(mark.exercise),
        tests=str(len(tests)),
        # Every way to fail is a `failure`: the schemas in use disagree about `error`.
        failures=str(len(failed)),
        errors="0",
        skipped=str(sum(test.verdict is Verdict.NOT_RUN for test in tests)),
        time=f"{graded.seconds.get(mark.exercise.slug, 0):.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    facts = {"points": mark.earned, "max_points": mark.possible, "verdict": words.verdict(mark)}
    for name, value in facts.items():
        ElementTree.SubElement(properties, "property", name=name, value=str(value))
    for test in tests:
        case = ElementTree.SubElement(
            suite, "testcase", name=test.name, classname=mark.exercise.slug.replace("/", ".")
        )
        if test.verdict is Verdict.NOT_RUN:
            ElementTree.SubElement(case, "skipped", message=test.headline)
        elif test.verdict is not Verdict.PASS:
            failure = ElementTree.SubElement(
                case, "failure", type=str(test.verdict), message=test.headline
            )
            failure.text = test.text
    return suite
