"""DSPy, which parses markers of its own in the reply."""

import dspy
from checking import BASE, QUESTION, check

lm = dspy.LM("openai/scripted", api_base=BASE, api_key="none", cache=False)
check("chat", lambda: "42" in str(lm(QUESTION)[0]))
