"""Strategies on recorded branches, from Python::

    import pandas
    from frontrunner.experiments import replay
    table = pandas.DataFrame(replay("races.ndjson", ["majority", "first_to_m"], branches=[8, 16]))

The rows are dataclasses. Recordings of a form of your own are read by what
``register_trace_reader`` is given.
"""

from frontrunner.runtime.experiments.calls import replay, replay_draws
from frontrunner.runtime.experiments.comparison import Row
from frontrunner.runtime.experiments.draws import Draw
from frontrunner.runtime.traces.reading import register_trace_reader, trace_reader_names
from frontrunner.runtime.traces.recordings import RecordedBranch, RecordedQuestion

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
