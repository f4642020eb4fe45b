"""What runs branches.

Implement ``Engine`` to race on something else, and pass it to ``Runtime``. ``make_engine`` makes
the one that settings describe (``Settings().engine``), and ``PoolEngine`` makes one of several.
Agents as engines are in ``frontrunner.agents``.
"""

from frontrunner.runtime.engines.factory import make_engine as make_engine
from frontrunner.runtime.engines.pool.engine import PoolEngine as PoolEngine
from frontrunner.runtime.engines.pool.members import MemberReport as MemberReport
from frontrunner.runtime.engines.protocol import ChatSupport as ChatSupport
from frontrunner.runtime.engines.protocol import Chunk as Chunk
from frontrunner.runtime.engines.protocol import Engine as Engine
from frontrunner.runtime.engines.protocol import EngineInfo as EngineInfo
from frontrunner.runtime.engines.protocol import EngineLoad as EngineLoad
from frontrunner.runtime.engines.protocol import FinishReason as FinishReason
from frontrunner.runtime.engines.protocol import Generation as Generation
from frontrunner.runtime.engines.protocol import Message as Message
from frontrunner.runtime.engines.protocol import Sampling as Sampling

__all__ = [
    "ChatSupport",
    "Chunk",
    "Engine",
    "EngineInfo",
    "EngineLoad",
    "FinishReason",
    "Generation",
    "MemberReport",
    "Message",
    "PoolEngine",
    "Sampling",
    "make_engine",
]
