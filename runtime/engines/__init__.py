"""Engines: what runs the branches."""

from .protocol import Chunk as Chunk
from .protocol import Engine as Engine
from .protocol import EngineInfo as EngineInfo
from .protocol import EngineLoad as EngineLoad
from .protocol import FinishReason as FinishReason
from .protocol import Generation as Generation
from .protocol import Message as Message
from .protocol import Sampling as Sampling
from .scripted import BranchScript as BranchScript
from .scripted import Piece as Piece
from .scripted import Script as Script
from .scripted import ScriptedEngine as ScriptedEngine
