"""Agents as branches, and tools inside branches.

``AgentEngine`` races any async function of yours, or a program (``command_agent``). ``tool`` makes
tools of async functions, for ``Runtime(tools=…)``, ``solve(…, tools=…)`` and ``act``.
"""

from frontrunner.runtime.agents.acting import Act as Act
from frontrunner.runtime.agents.acting import Acted as Acted
from frontrunner.runtime.agents.calculator import calculator as calculator
from frontrunner.runtime.agents.command import command_agent as command_agent
from frontrunner.runtime.agents.engine import Agent as Agent
from frontrunner.runtime.agents.engine import AgentEngine as AgentEngine
from frontrunner.runtime.agents.mcp_tools import mcp_tools as mcp_tools
from frontrunner.runtime.agents.outcome_reward import Verify as Verify
from frontrunner.runtime.agents.task import AgentTask as AgentTask
from frontrunner.runtime.agents.task import Outcome as Outcome
from frontrunner.runtime.agents.tools import Tool as Tool
from frontrunner.runtime.agents.tools import ToolError as ToolError
from frontrunner.runtime.agents.tools import ToolFailed as ToolFailed
from frontrunner.runtime.agents.tools import tool as tool

__all__ = [
    "Act",
    "Acted",
    "Agent",
    "AgentEngine",
    "AgentTask",
    "Outcome",
    "Tool",
    "ToolError",
    "ToolFailed",
    "Verify",
    "calculator",
    "command_agent",
    "mcp_tools",
    "tool",
]
