"""smolagents' OpenAIServerModel."""

from checking import BASE, QUESTION, check
from smolagents import OpenAIServerModel

model = OpenAIServerModel(model_id="scripted", api_base=BASE, api_key="none")
asked = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
check("chat", lambda: "42" in model.generate(asked).content)
check("stream", lambda: "42" in "".join(d.content or "" for d in model.generate_stream(asked)))
