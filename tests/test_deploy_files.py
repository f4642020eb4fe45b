"""What ships for operators says what is so: names of metrics, of settings, of files."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from frontrunner.runtime.config import Settings
from frontrunner.runtime.serving.observability.metrics import Metrics
from frontrunner.testing import Script, ScriptedEngine

DEPLOY = Path(__file__).resolve().parents[1] / "docs" / "deploy"


def read(name: str) -> Any:
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in read("alerts.yml")["groups"] for rule in group["rules"]]


def exposed() -> str:
    from frontrunner import Runtime

    metrics = Metrics()
    metrics.read_load(Runtime(ScriptedEngine(Script([]))))
    return metrics.exposition()[0].decode()


def of_some_engines() -> str:
    """Figures that only a supervised engine or a pool has."""
    from frontrunner.runtime.serving.observability import metrics

    source = Path(metrics.__file__).read_text(encoding="utf-8")
    assert '"frontrunner_engine_restarts"' in source
    members = re.findall(r'\("(\w+)", "[^"]+", lambda m', source)
    names = ["frontrunner_engine_restarts", *(f"frontrunner_member_{name}" for name in members)]
    return "".join(f"# TYPE {name} gauge\n" for name in names)


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_is_about_metrics_that_there_are(rule: dict[str, Any]) -> None:
    names = set(re.findall(r"frontrunner_[a-z_]+", rule["expr"]))
    text = exposed() + of_some_engines()
    families = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in names} <= {
        family.removesuffix("_total") for family in families
    }
    assert names or rule["expr"].startswith("up{")
    assert {"summary", "action"} <= set(rule["annotations"])


def test_the_limits_that_alerts_ask_for_are_buckets() -> None:
    limits = {limit for rule in rules() for limit in re.findall(r'le="([^"]+)"', rule["expr"])}
    assert limits
    assert all(f'le="{limit}"' in exposed() for limit in limits)


def test_prometheus_takes_its_files() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool")
    command = [promtool, "check", "config", str(DEPLOY / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules())} rules found" in done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Dockerfile", "compose.yaml", "frontrunner.service"])
def test_variables_that_are_set_are_settings(name: str) -> None:
    text = (DEPLOY / name).read_text(encoding="utf-8")
    environ = dict(re.findall(r"\b(FRONTRUNNER_[A-Z_]+)=([^\s$]+)", text))
    Settings.from_environment({k: v for k, v in environ.items() if k != "FRONTRUNNER_KEYS"})


def test_what_compose_mounts_is_there() -> None:
    services = read("compose.yaml")["services"]
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    files = [m.split(":")[0] for m in mounts if m.startswith(".")]
    assert len(files) >= 5
    assert all((DEPLOY / file).exists() for file in files)


def test_all_of_it_asks_the_port_of_the_metrics() -> None:
    (scrape,) = read("prometheus.yml")["scrape_configs"]
    (target,) = scrape["static_configs"][0]["targets"]
    host, port = target.split(":")
    assert f"FRONTRUNNER_SERVER_METRICS_PORT={port}" in (DEPLOY / "Dockerfile").read_text()
    aliases = read("compose.yaml")["services"]["server"]["networks"]["default"]["aliases"]
    assert host in aliases
    assert read("prometheus.yml")["rule_files"] == ["alerts.yml"]


def test_whoever_ends_it_waits_long_enough() -> None:
    unit = (DEPLOY / "frontrunner.service").read_text(encoding="utf-8")
    needed = 5 + Settings().server.drain_limit
    found = re.search(r"TimeoutStopSec=(\d+)", unit)
    assert found is not None
    assert int(found[1]) > needed
    assert int(read("compose.yaml")["services"]["server"]["stop_grace_period"][:-1]) > needed


def test_proxies_wait_for_the_longest_deadline() -> None:
    longest = Settings().server.max_deadline
    for name, pattern in (
        ("nginx.conf", r"proxy_read_timeout (\d+)s"),
        ("Caddyfile", r"timeout (\d+)s"),
    ):
        times = re.findall(pattern, (DEPLOY / name).read_text(encoding="utf-8"))
        assert times
        assert all(int(seconds) > longest for seconds in times)
