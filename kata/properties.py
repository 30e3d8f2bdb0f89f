"""Property tests with hypothesis, always with the same examples: import `given` from here."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers

# hypothesis also tries the constants that it finds in the code of the project. That would be the
# learner's code: other examples for every learner, and "inconsistent data generation" when the
# answer is executed during the first example. There is no setting for it.
if hasattr(providers, "_get_local_constants"):
    providers._get_local_constants = lambda: providers._local_constants

COMMON = {
    "max_examples": 25,
    "derandomize": True,  # the same examples for every learner, and at every run
    "database": None,
    "deadline": None,
    "report_multiple_bugs": False,
    "suppress_health_check": list(HealthCheck),
}
settings.register_profile("kata", **COMMON)  # type: ignore[arg-type]
settings.register_profile(  # whether a test fails, not the shortest reason why
    "kata-prove",
    **COMMON,  # type: ignore[arg-type]
    phases=(Phase.explicit, Phase.generate),
)
settings.load_profile("kata")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
"""Any text that has a UTF-8 form: everything but lone surrogates."""

__all__ = ["assume", "example", "given", "settings", "st", "texts"]
