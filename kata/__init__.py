"""The tool behind LLM Katas: loads, checks, explains and grades what a learner wrote."""
