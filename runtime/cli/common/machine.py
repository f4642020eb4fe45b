"""What this machine has, as far as it can be told without importing torch."""

import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which
from typing import Final

from ...model_files.proposal import Machine

_ASK: Final = ("--query-gpu=memory.free", "--format=csv,noheader,nounits")
#: Seconds that nvidia-smi may take.
_LIMIT: Final = 20.0
#: Devices of NVIDIA's and of AMD's driver.
_GPUS: Final = ("/dev/nvidiactl", "/dev/kfd")


def this_machine() -> Machine:
    """Where a model would run that vLLM loads in this process."""
    if installed_version("torch", "").endswith("+cpu") or not any(
        Path(device).exists() for device in _GPUS
    ):
        memory = memory_bytes()
        return Machine(on_cpu=True, free_bytes=None if memory is None else memory[1])
    return Machine(on_cpu=False, free_bytes=_gpu_bytes())


def memory_bytes() -> tuple[int, int] | None:
    """The memory of this machine or container, and what of it is free, in bytes; None: unknown."""
    amounts: dict[str, int] = {}
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            amounts[name] = int(rest.split()[0]) * 1024
    total, free = amounts.get("MemTotal"), amounts.get("MemAvailable")
    if total is None or free is None:
        return None
    with suppress(OSError, ValueError):  # a container's own limit; "max" is none
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        free = min(free, total - used)
    return total, free


def _gpu_bytes() -> int | None:
    """Free memory of the first GPU, where NVIDIA's tool tells."""
    if (tool := which("nvidia-smi")) is None:
        return None
    with suppress(OSError, ValueError, IndexError, subprocess.SubprocessError):
        said = subprocess.run(
            [tool, *_ASK], capture_output=True, text=True, timeout=_LIMIT, check=True
        )
        return int(said.stdout.splitlines()[0]) * 2**20
    return None


def installed_version(name: str, otherwise: str) -> str:
    """The version of an installed distribution."""
    try:
        return version(name)
    except PackageNotFoundError:
        return otherwise
