"""Agents as branches, and tools inside branches.

``AgentEngine`` races any async function of yours, or a program (``command_agent``).
"""

from frontrunner.runtime.agents.command import command_agent as command_agent
from frontrunner.runtime.agents.engine import Agent as Agent
from frontrunner.runtime.agents.engine import AgentEngine as AgentEngine
from frontrunner.runtime.agents.outcome_reward import Verify as Verify
from frontrunner.runtime.agents.task import AgentTask as AgentTask
from frontrunner.runtime.agents.task import Outcome as Outcome

__all__ = ["Agent", "AgentEngine", "AgentTask", "Outcome", "Verify", "command_agent"]
