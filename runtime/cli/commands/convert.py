"""``frontrunner convert``: recorded branches in the plain form."""

from ...common.whole_files import write_whole
from ...traces.public_formats import plain_line
from ..common.console import print_lines
from ..common.recording_files import load_recordings, warn_of_cut_branches
from ..common.running import ExitStatus
from ..options.convert import ConvertCommand


def run_convert(command: ConvertCommand) -> int:
    """Run the command and return its exit status.

    Raises:
        FrontrunnerError: a file cannot be read or written.
        OutputClosed: nobody reads standard output any more.
        Interrupted: a signal came.
    """
    questions = load_recordings(command.traces, reader=command.reader)
    warn_of_cut_branches(questions, remedy="record with --param stop=none and a generous deadline")
    lines = [plain_line(question) for question in questions]
    if command.out is None:
        print_lines(line.decode() for line in lines)
    else:
        write_whole(command.out, *(line + b"\n" for line in lines))
    return ExitStatus.DONE
