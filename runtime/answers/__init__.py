"""Finding answers in model output, and which of them are the same vote.

Model output is hostile input: nothing here takes unbounded time or memory, or blocks the event
loop. An `Extractor` finds an answer of its kind. Those that are mathematics are spelled by
`canonicalize`, and `Equivalence` gives them keys, asking a `WorkerPool` where it takes algebra;
`AnswerClusters` holds the classes of one race. All others have keys of their own (`ExactClusters`).
"""

from .algebra.worker_pool import NoKey as NoKey
from .algebra.worker_pool import WorkerPool as WorkerPool
from .equivalence.answer_keys import Equivalence as Equivalence
from .equivalence.answer_keys import KeySource as KeySource
from .equivalence.canonical import Canonical as Canonical
from .equivalence.canonical import canonicalize as canonicalize
from .equivalence.clusters import AnswerClusters as AnswerClusters
from .equivalence.clusters import Clusters as Clusters
from .equivalence.clusters import ExactClusters as ExactClusters
from .equivalence.rules import DEFAULT_RULES as DEFAULT_RULES
from .equivalence.rules import ComparisonRules as ComparisonRules
from .extraction.boxed import extract_answer as extract_answer
from .registry import BOXED as BOXED
from .registry import Extractor as Extractor
from .registry import extractor_names as extractor_names
from .registry import make_extractor as make_extractor
from .registry import register_extractor as register_extractor
