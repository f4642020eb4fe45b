"""The websocket of the Responses API, by OpenAI's client.

Run it with ``python -m examples.websocket_client`` while the server runs.
"""

import asyncio

from openai import AsyncOpenAI

QUESTION = """Mia has 21 cards.
1. She gives away 7 cards.
2. After a good deal, Mia has 6 times as many cards.
How many cards does Mia have now?"""


async def main() -> None:
    client = AsyncOpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
    async with client.responses.connect() as connection:
        await connection.response.create(model="demo", input=QUESTION)
        async for event in connection:
            if event.type == "response.output_text.delta":
                print(event.delta, end="")
            elif event.type == "response.completed":
                break


if __name__ == "__main__":
    asyncio.run(main())
