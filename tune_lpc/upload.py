"""Upload what the end of a search could not: ``python -m tune_lpc.upload s3://BUCKET/PATH``."""

from __future__ import annotations

import argparse
import sys

from tune_lpc.cli.options import Parser, exit_status
from tune_lpc.cli.paths import path_given
from tune_lpc.cli.terminal import terminal
from tune_lpc.plan import UserError
from tune_lpc.plan.places import is_address


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 2 (bad input, store not writable) or 130 (interrupted)."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    return exit_status(lambda: _command(options))


def _parser() -> Parser:
    parser = Parser(
        prog="python -m tune_lpc.upload",
        description="Upload the local copy of results whose search ended while their store could not be reached.",
    )
    parser.add_argument("address", metavar="s3://BUCKET/PATH", help="what --out of the search was")
    parser.add_argument(
        "--local-copy", metavar="DIR", type=path_given, help="where the copy is (default: below the cache folder)"
    )
    return parser


def _command(options: argparse.Namespace) -> int:
    if not is_address(options.address):
        raise UserError(f"{options.address} is no address; give s3://BUCKET/PATH")
    from tune_lpc.cli.storage import opened

    console = terminal(highlight=False)
    with opened(options.address, options.local_copy, console, resume=True) as uploader:
        if problem := uploader.flush():
            raise UserError(problem)
    print(f"uploaded to {options.address}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
