"""``[planning]``: how many branches a race is given where nobody says."""

from .sections import Section


class PlanningSettings(Section):
    """B by the deadline left and the load of the moment."""

    models: str | None = None
    """The file with the step-time and accuracy models that ``frontrunner plan --out`` leaves beside
    its config (relative to the config file). Not set: every race gets ``race.branches``."""
