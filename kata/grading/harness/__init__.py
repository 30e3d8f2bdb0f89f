"""Gradescope and PrairieLearn: a container, the scripts that they call, and what these run."""
