"""The published document says what the server does: schemathesis looks for where it does not.

``FRONTRUNNER_API_CASES`` is about how many requests it makes, 150 if not said.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runtime.cli.conftest import read_until, scripted_process

from frontrunner.runtime.config import reference

from .conftest import Serve

pytestmark = pytest.mark.slow  # it starts processes of its own

CASES = int(os.environ.get("FRONTRUNNER_API_CASES", "150"))

_SERVER = """
[race]
deadline = 1.0
[answers]
workers = 0
[server]
port = 0
drain_grace = 0
max_deadline = 1.0
"""
# What one value may be depends on another (a strategy's parameters, n and branches), which a
# schema cannot say: a request of the right form may be refused, with 400.
_CHECKS = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "400", "404", "426"]
"""


async def test_the_document_names_every_path_that_is_served(serve: Serve) -> None:
    async with serve() as served:
        async with served.http.get("openapi.json") as response:
            assert response.status == 200
            document = await response.json()
        described = {
            (method.upper(), path)
            for path, item in document["paths"].items()
            for method in item
            if method != "parameters"
        }
        routed = {
            (route.method, route.resource.canonical)
            for route in served.app.router.routes()
            if route.resource is not None
            and route.method != "HEAD"
            # The page is for people.
            and route.resource.canonical != "/"
            and not route.resource.canonical.startswith("/playground/")
        }
        assert described == routed


async def test_names_that_only_this_server_knows_are_in_it(serve: Serve) -> None:
    async with serve() as served, served.http.get("openapi.json") as response:
        document = await response.json()
    options = document["components"]["schemas"]["FrontrunnerOptions"]["properties"]
    assert "majority" in options["strategy"]["anyOf"][0]["enum"]
    assert "boxed" in options["answers"]["anyOf"][0]["enum"]
    asked = document["components"]["schemas"]["AnswerFields"]["properties"]
    assert "boxed" in asked["kind"]["anyOf"][0]["enum"]
    assert options["branches"]["anyOf"][0]["maximum"] == 256


def test_schemathesis_finds_no_lie_in_it(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis")
    server, checks = tmp_path / "server.toml", tmp_path / "schemathesis.toml"
    server.write_text(_SERVER)
    checks.write_text(_CHECKS)
    with scripted_process("quick", "serve", "--config", str(server)) as process:
        base = read_until(process.stdout, b"serving").decode().split(" on ")[1].strip()
        run = subprocess.run(
            [
                *(
                    sys.executable,
                    "-c",
                    "from schemathesis.cli import schemathesis as main; main()",
                ),
                *("--config-file", str(checks)),
                *("run", f"{base.removesuffix('/v1')}/openapi.json"),
                *("--phases", "examples,coverage,fuzzing" if CASES > 1000 else "fuzzing"),
                *("--max-examples", str(max(1, CASES // 8))),
                *("--checks", "all", "--mode", "all", "--continue-on-failure", "--seed", "1"),
                *("--generation-database", "none"),
            ],
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        output = run.stdout.decode() + run.stderr.decode()
        if CASES > 1000:
            print(output)  # for pytest -rP: how many there were
        assert run.returncode == 0, output
        # It is still there, and nothing was a fault of the server.
        assert process.poll() is None


async def test_what_the_config_says_too_is_described_as_there(serve: Serve) -> None:
    async with serve() as served, served.http.get("openapi.json") as response:
        schemas = (await response.json())["components"]["schemas"]
    options = schemas["FrontrunnerOptions"]["properties"]
    assert options["deadline"]["description"].startswith(reference.describe("race.deadline"))
    assert options["on_disconnect"]["description"]
    units = schemas["AnswerFields"]["properties"]["units"]["description"]
    assert units.startswith(reference.describe("answers.units"))
    assert schemas["ChatRequest"]["properties"]["top_p"]["description"]
