"""Grading of code that is not trusted: a judge that decides, and a worker that only runs it."""
