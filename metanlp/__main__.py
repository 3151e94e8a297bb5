"""`metanlp` and `python -m metanlp`: the door, and what an exit code means."""

from __future__ import annotations

import os
import signal
import sys


def main() -> None:
    """Exit codes: 0 done, 1 our bug (a traceback), 2 the user's mistake, 130 interrupted, 143 stopped and saved."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from metanlp.cli import app
    from metanlp.errors import Stopped, UserError

    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # not at the interpreter's end, where nobody notices that the reader has gone
    except UserError as error:
        print(f"metanlp: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Stopped as stopped:
        print("metanlp: stopped; everything is saved, and the same command goes on from there", file=sys.stderr)
        sys.exit(128 + int(stopped.args[0]))
    except BrokenPipeError:
        _reader_has_gone()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # which typer would call an error
            _reader_has_gone()
        raise


def _reader_has_gone() -> None:
    """As in `metanlp show demo/numbers | head`: nothing is wrong, and any Unix command ends like this."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGPIPE)


if __name__ == "__main__":
    main()
