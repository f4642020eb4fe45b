"""Strategies on recorded branches, from Python::

    import pandas
    from frontrunner.experiments import replay
    table = pandas.DataFrame(replay("races.ndjson", ["majority", "first_to_m"], branches=[8, 16]))

The rows are dataclasses. Recordings of a form of your own are read by what
``register_trace_reader`` is given.
"""

from frontrunner.runtime.experiments.comparison import Row
from frontrunner.runtime.experiments.draws import Draw
from frontrunner.runtime.experiments.replay_functions import replay, replay_draws
from frontrunner.runtime.traces.recordings import RecordedBranch, RecordedQuestion
from frontrunner.runtime.traces.trace_files import register_trace_reader, trace_reader_names

__all__ = [
    "Draw",
    "RecordedBranch",
    "RecordedQuestion",
    "Row",
    "register_trace_reader",
    "replay",
    "replay_draws",
    "trace_reader_names",
]
