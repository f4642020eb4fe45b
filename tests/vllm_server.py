"""vLLM's own server with the demo's model, in a process of its own."""

import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from frontrunner.runtime.config import demo_config_path

MODEL = Path(demo_config_path()).parents[1] / "runtime" / "demo" / "model" / "target"
#: Seconds that the server may take to start.
STARTS = 600
#: What vLLM's own metrics say of its requests.
_REQUESTS = re.compile(r"^vllm:num_requests_(?:running|waiting){.*} (\S+)$", re.M)


@dataclass(frozen=True)
class VllmServer:
    """One that runs."""

    url: str
    process: psutil.Popen
    log: Path

    @property
    def family(self) -> list[psutil.Process]:
        """Its processes."""
        return [self.process, *self.process.children(recursive=True)]

    def get(self, path: str, key: str | None = None) -> str:
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        try:
            asked = urllib.request.Request(self.url + path, headers=headers)
            with urllib.request.urlopen(asked) as reply:
                return reply.read().decode()
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            raise

    def wait(self) -> None:
        """Until it serves."""
        for _ in range(STARTS * 5):
            if self.process.poll() is not None:
                break
            with suppress(OSError):
                self.get("/health")
                return
            time.sleep(0.2)
        raise AssertionError(self.log.read_text()[-4000:])

    def end(self) -> None:
        """It, and whatever of it is left."""
        family: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            family = self.family
            self.process.terminate()
        _, left = psutil.wait_procs(family, timeout=20)
        for each in left:
            each.kill()
        self.process.wait()

    def requests(self) -> int:
        """Those that run and those that wait, as vLLM's metrics have it."""
        return sum(int(float(n)) for n in _REQUESTS.findall(self.get("/metrics")))


def start_server(
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> VllmServer:
    """Begin to start a server, whose output goes to ``log``; ``wait`` for it, and ``end`` it."""
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", os.environ.get("FRONTRUNNER_TEST_MODEL") or str(MODEL)]
    command += ["--served-model-name", "demo", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--dtype", "bfloat16", "--enforce-eager", "--max-model-len", "1024"]
    command += ["--max-num-seqs", "64", "--max-num-batched-tokens", "512", "--block-size", "32"]
    command += ["--kv-cache-memory-bytes", str(2**29), "--generation-config", "vllm"]
    command += ["--disable-uvicorn-access-log", *arguments]
    told = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "TOKENIZERS_PARALLELISM": "false",
        **(environment or {}),
    }
    with log.open("ab") as out:
        process = psutil.Popen(command, stdout=out, stderr=out, env=told)
    return VllmServer(f"http://127.0.0.1:{port}", process, log)


@contextmanager
def vllm_server(
    port: int,
    log: Path,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> Iterator[VllmServer]:
    """A server that runs as long as the block; see ``start_server``."""
    server = start_server(port, log, environment, arguments)
    try:
        server.wait()
        yield server
    finally:
        server.end()
