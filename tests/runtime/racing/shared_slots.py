"""Slots as an engine with other races has them."""

from dataclasses import dataclass


@dataclass
class SharedSlots:
    """Slots of which others take and give back some; satisfies ``Slots``."""

    held: int
    free: int

    def acquire_up_to(self, total: int) -> int:
        more = max(0, min(total - self.held, self.free))
        self.held, self.free = self.held + more, self.free - more
        return self.held

    def release_down_to(self, total: int) -> None:
        back = max(0, self.held - total)
        self.held, self.free = self.held - back, self.free + back
