"""Inspect AI's model interface, for evaluations."""

import asyncio

from checking import BASE, QUESTION, check
from inspect_ai.model import get_model

model = get_model("openai-api/frontrunner/scripted", base_url=BASE, api_key="none")
check("chat", lambda: "42" in asyncio.run(model.generate(QUESTION)).completion)
