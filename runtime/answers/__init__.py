"""Finding answers in model output, and which of them are the same vote.

Model output is hostile input: nothing here takes unbounded time or memory, or blocks the event
loop. `extract_answer` finds an answer, `canonicalize` spells it, `Equivalence` compares two, asking
a `WorkerPool` where it takes algebra, and `AnswerClusters` holds the classes of one race.
"""

from .canonical import Canonical as Canonical
from .canonical import canonicalize as canonicalize
from .canonical import needs_only_string_comparison as needs_only_string_comparison
from .equivalence import AnswerClusters as AnswerClusters
from .equivalence import Equivalence as Equivalence
from .equivalence import Verifier as Verifier
from .extraction import extract_answer as extract_answer
from .workers import WorkerPool as WorkerPool
