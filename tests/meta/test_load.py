"""Loading one exercise into a package of its own."""

import dataclasses
import os
import sys

import pytest

from kata.load import PREFIX, Source, fresh
from tests.meta import minicourse


@pytest.fixture
def course(tmp_path):
    return minicourse.make_course(tmp_path)


def source(course, number="1.1", imports=None, **replace):
    """The learner's answer to an exercise; its imports come from the references."""
    trees = imports or (course.solutions_dir,)
    return Source(course.find(number), course.exercises_dir, trees, replace)


def packages():
    """The made-up packages that are imported now."""
    return {name for name in sys.modules if name.startswith(PREFIX)}


def test_nothing_is_executed_before_it_is_asked_for(course):
    minicourse.answer(course, "1.1").write_text("raise SystemExit\n")
    with fresh(source(course)) as module:
        assert not packages()
        with pytest.raises(SystemExit):
            module.get()


def test_a_module_is_executed_once(course):
    minicourse.answer(course, "1.1")
    with fresh(source(course)) as module:
        assert module.get() is module.get()
        assert module.get().double(3) == 6


def test_each_load_is_a_package_of_its_own(course):
    minicourse.answer(course, "1.1")
    with fresh(source(course)) as one, fresh(source(course)) as two:
        assert one.package != two.package
        assert one.get() is not two.get()
        one.get().seen = True
        assert not hasattr(two.get(), "seen")


def test_nothing_is_left_behind(course):
    minicourse.answer(course, "1.2")
    with fresh(source(course, "1.2")) as module:
        module.get()
        assert {name.split(".", 1)[1] for name in packages() if "." in name} == {
            "ch01_demo",
            "ch01_demo.ex01_double",
            "ch01_demo.ex02_pick",
        }
    assert not packages()


def test_nothing_is_left_behind_after_an_error(course):
    minicourse.answer(course, "1.1").write_text("1 / 0\n")
    with pytest.raises(ZeroDivisionError), fresh(source(course)) as module:
        module.get()
    assert not packages()


def test_relative_imports_come_from_the_trees_in_order(course):
    minicourse.answer(course, "1.1", "return 0")
    minicourse.answer(course, "1.2")
    with fresh(source(course, "1.2")) as module:
        assert module.get().pick([5], 1) == 10
    own = source(course, "1.2", imports=(course.exercises_dir, course.solutions_dir))
    with fresh(own) as module:
        assert module.get().pick([5], 1) == 0


def test_a_file_that_only_the_answers_have_is_found_last(course):
    folder = course.exercises_dir / "ch01_demo"
    (folder / "helper.py").write_text("from .ex01_double import double\nSIX = double(3)\n")
    minicourse.answer(course, "1.2").write_text("from .helper import SIX\n")
    with fresh(source(course, "1.2")) as module:  # the helper's imports come from there too
        assert module.get().SIX == 6


def test_another_chapter_is_reached(course):
    other = course.solutions_dir / "ch02_more"
    other.mkdir()
    (other / "ex01_more.py").write_text('"""2.1 More   [easy, ~5 min]"""\nMORE = 7\n')
    minicourse.answer(course, "1.2").write_text("from ..ch02_more.ex01_more import MORE\n")
    with fresh(source(course, "1.2")) as module:
        assert module.get().MORE == 7


def test_missing_files_are_named(course):
    path = minicourse.answer(course, "1.1")
    path.unlink()
    with fresh(source(course)) as module, pytest.raises(FileNotFoundError, match="ex01_double"):
        module.get()
    minicourse.answer(course, "1.2").write_text("from .nope import x\n")
    with fresh(source(course, "1.2")) as module, pytest.raises(ModuleNotFoundError, match="nope"):
        module.get()


def test_a_replacement_is_seen_by_the_rest_of_the_module(course):
    minicourse.answer(course, "1.2")
    with fresh(source(course, "1.2", double=lambda x: -x)) as module:
        assert module.get().pick([5], 1) == -5
    with fresh(source(course, "1.2")) as module:
        assert module.get().pick([5], 1) == 10


def test_an_edit_of_the_same_size_and_time_is_seen(course):
    path = minicourse.answer(course, "1.1", "return 2 * x")
    before = path.stat()
    with fresh(source(course)) as module:
        assert module.get().double(5) == 10
    minicourse.answer(course, "1.1", "return 3 * x")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with fresh(source(course)) as module:
        assert module.get().double(5) == 15


def test_bytecode_is_neither_written_nor_read(course, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    minicourse.answer(course, "1.2")
    with fresh(source(course, "1.2")) as module:
        module.get()
    assert not list(course.root.rglob("__pycache__"))


def test_a_declared_encoding_is_respected(course):
    path = minicourse.answer(course, "1.1")
    path.write_bytes("# -*- coding: latin-1 -*-\nNAME = 'café'\n".encode("latin-1"))
    with fresh(source(course)) as module:
        assert module.get().NAME == "café"


def test_dataclasses_and_annotations_work(course):
    minicourse.answer(course, "1.1").write_text(
        "from __future__ import annotations\nimport dataclasses\n"
        "@dataclasses.dataclass\nclass Point:\n    x: dataclasses.KW_ONLY\n    y: int = 3\n"
    )
    with fresh(source(course)) as module:
        point = module.get().Point()
        assert dataclasses.asdict(point) == {"y": 3}


def test_other_imports_are_left_alone():
    import colorsys  # not imported by anything before

    assert colorsys.__name__ == "colorsys"
    with pytest.raises(ModuleNotFoundError):
        __import__("_kata_0.ch01_demo.ex01_double")
