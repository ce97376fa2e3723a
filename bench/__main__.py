# SPDX-License-Identifier: Apache-2.0
"""A command a bar: measures, and prints the figure beside the bar and what others reach."""

from __future__ import annotations

import argparse
import importlib
import sys

from bench.figures import as_json
from bench.runs import BenchError
from spikefab.gen.errors import InputError

COMMANDS = (
    "engine",
    "ulx3s",
    "up5k",
    "mnist",
    "lanes",
    "stop",
    "integers",
    "golden",
    "elaborate",
    "proofs",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    # Only what is asked for: snnTorch's environment needs nothing that `golden` does not use.
    asked = sys.argv[1:2] if sys.argv[1:2] and sys.argv[1] in COMMANDS else COMMANDS
    modules = {name: importlib.import_module(f"bench.{name}") for name in asked}
    for name, module in modules.items():
        assert module.__doc__ is not None
        one = commands.add_parser(
            name,
            help=module.__doc__.splitlines()[0],
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(one)
        one.add_argument("--json", action="store_true", help="the tables as JSON")
    options = parser.parse_args()
    try:
        tables = modules[options.command].run(options)
    except (BenchError, InputError) as error:
        print(f"bench {options.command}: {error}", file=sys.stderr)
        return 1
    print(as_json(tables) if options.json else "\n\n".join(table.text() for table in tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
