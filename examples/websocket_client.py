"""The websocket of the Responses API, by OpenAI's client.

Run it with ``python -m examples.websocket_client`` while the server runs.
"""

import asyncio

from openai import AsyncOpenAI


async def main() -> None:
    client = AsyncOpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
    async with client.responses.connect() as connection:
        await connection.response.create(model="demo", input="What is 6 times 7?")
        async for event in connection:
            if event.type == "response.output_text.delta":
                print(event.delta, end="")
            elif event.type == "response.completed":
                break


if __name__ == "__main__":
    asyncio.run(main())
