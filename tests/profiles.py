"""How many examples property tests try: few and always the same ones, or many and new ones.

``HYPOTHESIS_PROFILE`` (or pytest's ``--hypothesis-profile``) names the profile:

- ``ci``, the default, tries the same examples in every run, so that nothing fails by chance.
- ``thorough`` tries new ones in every run, as many as each test names: ``make test-thorough``.
- ``fast`` tries ten of those of ``ci``: ``make test-fast``.
"""

import os

from hypothesis import HealthCheck, settings

_CI = 50
_FAST = 10


def register_profiles() -> None:
    """Tell hypothesis of the profiles, and load the one that the environment names."""
    # No deadline: how long an example takes depends on what else the machine does.
    common = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
    same = settings(common, derandomize=True, database=None)
    settings.register_profile("ci", same, max_examples=_CI)
    settings.register_profile("fast", same, max_examples=_FAST)
    settings.register_profile("thorough", common, max_examples=100)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def examples(thorough: int) -> int:
    """How many examples to try where a thorough run tries this many: else about a tenth."""
    match settings.get_current_profile_name():
        case "ci":
            return max(min(thorough, _CI), thorough // 10)
        case "fast":
            return min(thorough, _FAST)
        case _:
            return thorough
