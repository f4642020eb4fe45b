"""``[engine]`` of kind ``openai``."""

from typing import Any

import pytest

from frontrunner.runtime.config import Settings
from frontrunner.runtime.engines.factory import make_engine
from frontrunner.runtime.engines.openai.engine import OpenAIEngine
from frontrunner.runtime.errors import ConfigError


def test_the_settings_make_the_engine() -> None:
    settings = Settings.from_dict({"engine": {"kind": "openai", "url": "https://host/v1"}})
    assert isinstance(make_engine(settings.engine), OpenAIEngine)
    assert settings.engine.model == ""
    assert Settings.from_dict(settings.model_dump(exclude_unset=True)) == settings


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ({"kind": "openai"}, 'kind "openai" needs engine.url'),
        ({"url": "http://host"}, 'engine.url: has no meaning with engine.kind "vllm"'),
        ({"key_env": "K"}, 'engine.key_env: has no meaning with engine.kind "vllm"'),
        ({"kind": "openai", "url": "host:80"}, "engine.url: must begin with http"),
        ({"kind": "openai", "url": "http://a:b@host"}, "engine.url: must begin with http"),
        ({"kind": "openai", "url": "http://host", "dtype": "auto"}, "engine.dtype: has no meaning"),
        (
            {"kind": "openai", "url": "http://host", "speculation": {"method": "ngram"}},
            "engine.speculation: has no meaning",
        ),
    ],
)
def test_a_key_that_has_no_meaning_is_refused_by_name(engine: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_dict({"engine": engine})
    assert told in str(caught.value)


def test_two_members_of_one_address_are_refused() -> None:
    members = [
        {"kind": "openai", "name": "a", "url": "http://a:1/v1"},
        {"kind": "openai", "name": "b", "url": "http://a:1/v1/"},
    ]
    with pytest.raises(ConfigError, match="two members have the same url"):
        Settings.from_dict({"engine": {"kind": "pool", "members": members}})
