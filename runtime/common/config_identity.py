"""Which config a process runs on, told without reading what is in it.

``frontrunner solve`` asks a server that runs on this machine on the same config instead of starting
an engine of its own. It must know that in a few milliseconds, so nothing here imports the settings.
"""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import orjson

#: The environment variable with the path of a config file.
CONFIG_VARIABLE: Final = "FRONTRUNNER_CONFIG"
#: The environment variable with the key that a client sends.
KEY_VARIABLE: Final = "FRONTRUNNER_API_KEY"
#: Tables of the file that say what comes out of a race. All others say how it is served.
RACING_TABLES: Final = (
    "engine",
    "prompt",
    "thinking",
    "sampling",
    "race",
    "forcing",
    "answers",
    "rewards",
    "lengths",
    "planning",
)
#: The path under which a server tells its config's fingerprint.
PATH: Final = "/frontrunner/server"
_HOST, _PORT, _SOCKET = "127.0.0.1", 8000, ""
#: Addresses to listen on that mean every one of this machine.
_ANY: Final = ("0.0.0.0", "::", "")


def demo_config_path() -> Path:
    """The shipped ``configs/demo.toml``."""
    return Path(__file__).resolve().parents[2] / "configs" / "demo.toml"


def config_path(path: str | Path | None, environ: Mapping[str, str] | None = None) -> Path:
    """The file that is read: ``path``, or the one that ``FRONTRUNNER_CONFIG`` names, or the
    demo's."""
    environ = os.environ if environ is None else environ
    return Path(path or environ.get(CONFIG_VARIABLE) or demo_config_path()).expanduser()


@dataclass(frozen=True, slots=True)
class ConfigIdentity:
    """What a file, the environment and ``--set`` say, unchecked."""

    fingerprint: str
    """The same for two processes that race alike by their configs: what is in the tables of
    ``RACING_TABLES``, and the folder that paths are relative to."""
    address: str
    """Where a server of this config listens: ``http://host:port``, or ``unix:/path``."""
    keys_env: str | None
    key_file: str | None

    @classmethod
    def read(
        cls,
        path: str | Path | None,
        sets: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> "ConfigIdentity | None":
        """None: the file cannot be read, which whoever needs its settings says."""
        environ = os.environ if environ is None else environ
        file = config_path(path, environ)
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            return None
        said = _said_beside(sets, environ)
        server = data.get("server")
        served: dict[str, Any] = dict(server) if isinstance(server, dict) else {}
        if served.get("socket"):
            served["socket"] = str(file.parent.absolute() / Path(served["socket"]).expanduser())
        for key in ("host", "port", "socket", "keys_env", "key_file"):
            if f"server.{key}" in said:
                served[key] = said[f"server.{key}"].strip("\"'")
        racing = {
            "file": {name: data[name] for name in RACING_TABLES if name in data},
            "folder": str(file.resolve().parent),
            "beside": sorted(
                [key, value, os.getcwd()]
                for key, value in said.items()
                if key.partition(".")[0] in RACING_TABLES
            ),
        }
        text = orjson.dumps(racing, default=str, option=orjson.OPT_SORT_KEYS)
        keys_env, key_file = served.get("keys_env"), served.get("key_file")
        return cls(
            fingerprint=sha256(text).hexdigest(),
            address=_address(served),
            keys_env=str(keys_env) if keys_env else None,
            key_file=str(file.parent / Path(str(key_file)).expanduser()) if key_file else None,
        )


def _said_beside(sets: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """What the environment and ``sets`` say, as ``table.key`` and text; a key's own dots and
    underscores do not matter here."""
    tables = (*RACING_TABLES, "server")
    said: dict[str, str] = {}
    for variable, value in environ.items():
        for table in tables:
            prefix = f"FRONTRUNNER_{table.upper()}_"
            if value and variable.startswith(prefix):
                said[f"{table}.{variable.removeprefix(prefix).lower()}"] = value
    for text in sets:
        key, _, value = text.partition("=")
        said[key.strip()] = value.strip()
    return said


def _address(server: Mapping[str, Any]) -> str:
    socket = str(server.get("socket") or _SOCKET)
    if socket:
        return f"unix:{socket}"
    host, port = str(server.get("host", _HOST)), server.get("port", _PORT)
    host = _HOST if host in _ANY else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
