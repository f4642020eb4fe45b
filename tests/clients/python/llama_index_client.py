"""LlamaIndex's OpenAILike."""

from checking import BASE, QUESTION, check
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike

llm = OpenAILike(model="scripted", api_base=BASE, api_key="none", is_chat_model=True, max_retries=0)
check(
    "chat", lambda: "42" in llm.chat([ChatMessage(role="user", content=QUESTION)]).message.content
)
check(
    "stream",
    lambda: (
        "42"
        in [
            r.message.content for r in llm.stream_chat([ChatMessage(role="user", content=QUESTION)])
        ][-1]
    ),
)
check(
    "completions",
    lambda: (
        "42"
        in str(
            OpenAILike(
                model="scripted", api_base=BASE, api_key="none", is_chat_model=False
            ).complete(QUESTION)
        )
    ),
)
