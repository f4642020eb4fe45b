"""LangGraph: agents and a graph of one's own over chat completions and Responses, and raced."""

from checking import BASE, QUESTION, WEATHER_TWICE, check
from examples.race_langgraph import forecaster, verify
from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from racing import raced

asked_of: list[str] = []


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    asked_of.append(city)
    return {"Paris": "21", "Rome": "30"}[city]


def model(*, responses: bool = False) -> ChatOpenAI:
    return ChatOpenAI(
        model="scripted",
        base_url=BASE,
        api_key="none",
        max_retries=0,
        use_responses_api=responses,
    )


def own_graph(llm: ChatOpenAI):
    bound = llm.bind_tools([get_weather])
    graph = StateGraph(MessagesState)
    graph.add_node("model", lambda state: {"messages": [bound.invoke(state["messages"])]})
    graph.add_node("tools", ToolNode([get_weather]))
    graph.add_edge(START, "model")
    graph.add_conditional_edges("model", tools_condition)
    graph.add_edge("tools", "model")
    return graph.compile()


def said(agent, question: str) -> str:
    return agent.invoke({"messages": [("user", question)]})["messages"][-1].text


def stream() -> bool:
    agent = create_agent(model(), [get_weather])
    asked = {"messages": [("user", QUESTION)]}
    chunks = agent.stream(asked, stream_mode="messages")
    return "42" in "".join(chunk.text for chunk, _ in chunks)


def tool_loop() -> bool:
    for make in (lambda llm: create_agent(llm, [get_weather]), own_graph):
        for responses in (False, True):
            asked_of.clear()
            reply = said(make(model(responses=responses)), WEATHER_TWICE)
            assert asked_of == ["Paris", "Rome"], asked_of
            assert "21 and 30" in reply, reply
    return True


check("chat", lambda: "42" in said(create_agent(model(), [get_weather]), QUESTION))
check(
    "responses",
    lambda: "42" in said(create_agent(model(responses=True), [get_weather]), QUESTION),
)
check("stream", stream)
check("tool loop", tool_loop)
check("raced", lambda: raced(forecaster, verify))
