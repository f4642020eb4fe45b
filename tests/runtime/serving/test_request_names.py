"""The name of a request: in its reply, and in whatever is logged for it."""

from structlog.contextvars import get_contextvars

from .conftest import Serve

CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "6 times 7?"}]}


async def test_what_a_race_logs_has_the_name_of_its_request(serve: Serve) -> None:
    bound: list[object] = []
    async with serve() as served:
        generate = served.engine.generate

        def noted(request: object) -> object:
            bound.append(get_contextvars().get("request_id"))
            return generate(request)

        served.engine.generate = noted
        for name in ("mine", "another"):
            async with served.http.post(
                "v1/chat/completions", json=CHAT, headers={"X-Request-Id": name}
            ) as response:
                assert response.status == 200
                assert response.headers["X-Request-Id"] == name
            assert set(bound) == {name}
            bound.clear()


async def test_a_request_without_a_name_is_given_one(serve: Serve) -> None:
    async with serve() as served, served.http.get("livez") as response:
        assert response.headers["X-Request-Id"].startswith("req_")
    assert "request_id" not in get_contextvars()
