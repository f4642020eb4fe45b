"""Strategies on recorded branches, from Python::

    import pandas
    from frontrunner.experiments import replay
    table = pandas.DataFrame(replay("races.ndjson", ["majority", "first_to_m"], branches=[8, 16]))

The rows are dataclasses.
"""

from frontrunner.runtime.experiments.comparison import Row
from frontrunner.runtime.experiments.draws import Draw
from frontrunner.runtime.experiments.replay_functions import replay, replay_draws

__all__ = ["Draw", "Row", "replay", "replay_draws"]
