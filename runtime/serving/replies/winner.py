"""The branch whose text a client reads."""

from ...result import BranchReport, Result


def shown_branch(result: Result) -> BranchReport | None:
    """The branch whose text is the result's; None: there is none."""
    if result.branch is not None:
        return next((b for b in result.branches if b.index == result.branch), None)
    standing = [b for b in result.branches if b.text.startswith(result.text)]
    return next((b for b in standing if b.answer == result.answer), next(iter(standing), None))


def shown_tokens(result: Result) -> int:
    """Tokens of the result's text."""
    branch = shown_branch(result)
    if branch is None or not result.text:
        return 0
    # Without an answer what the branch was forced to say is not shown.
    hidden = branch.forced_tokens if len(branch.text) > len(result.text) else 0
    return branch.tokens + branch.inherited_tokens - hidden
