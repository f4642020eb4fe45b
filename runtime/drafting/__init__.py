"""Drafting across branches: draft tokens for a branch from what its siblings wrote.

vLLM loads ``CrossBranchProposer`` in its worker process (method ``custom_class``). Nothing else of
the package imports these modules: they need numba, which vLLM brings.
"""

from typing import Final

#: What vLLM is told to load, and where in its ``additional_config`` the settings stand.
PROPOSER: Final = "frontrunner.runtime.drafting.proposer.CrossBranchProposer"
SETTINGS_KEY: Final = "frontrunner_drafting"
