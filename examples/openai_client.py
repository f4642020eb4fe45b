"""OpenAI's client against ``frontrunner serve``: only the address is another.

Run it with ``python -m examples.openai_client`` while the server runs.
"""

from openai import OpenAI

QUESTION = """Mia has 21 cards.
1. She gives away 7 cards.
2. After a good deal, Mia has 6 times as many cards.
How many cards does Mia have now?"""


def main() -> None:
    client = OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
    reply = client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": QUESTION}],
        extra_body={"frontrunner": {"deadline": 5, "branches": 16, "strategy": "majority"}},
    )
    print(reply.choices[0].message.content, (reply.model_extra or {})["frontrunner"])


if __name__ == "__main__":
    main()
