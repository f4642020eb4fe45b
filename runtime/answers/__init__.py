"""Finding answers in model output, and which of them are the same vote.

Model output is hostile input: nothing here takes unbounded time or memory, or blocks the event
loop. An `Extractor` finds an answer of its kind. Those that are mathematics are spelled by
`canonicalize` and compared by `Equivalence`, which asks a `WorkerPool` where it takes algebra, and
`AnswerClusters` holds the classes of one race; all others are the same if their keys are
(`ExactClusters`).
"""

from .canonical import Canonical as Canonical
from .canonical import canonicalize as canonicalize
from .canonical import needs_only_string_comparison as needs_only_string_comparison
from .equivalence import AnswerClusters as AnswerClusters
from .equivalence import Equivalence as Equivalence
from .equivalence import Verifier as Verifier
from .exact import Clusters as Clusters
from .exact import ExactClusters as ExactClusters
from .extraction import extract_answer as extract_answer
from .registry import BOXED as BOXED
from .registry import Extractor as Extractor
from .registry import extractor_names as extractor_names
from .registry import make_extractor as make_extractor
from .registry import register_extractor as register_extractor
from .workers import WorkerPool as WorkerPool
