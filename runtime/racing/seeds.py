"""One seed per branch, derived from the request's."""

from hashlib import blake2b


def branch_seed(seed: int | None, branch: int, *, forced: bool = False) -> int | None:
    """A 63-bit seed for a branch (or its forced answer); None if the request has none.

    Depends on nothing but its arguments, so that a race of 8 and one of 16 share their first 8
    branches.
    """
    if seed is None:
        return None
    key = f"{seed}/{branch}/{'forced' if forced else 'branch'}".encode()
    return int.from_bytes(blake2b(key, digest_size=8).digest()) >> 1
