# SPDX-License-Identifier: Apache-2.0
"""what this machine lacks, and how to get it"""

from __future__ import annotations

import argparse

from spikefab.scripts.console import Output
from spikefab.scripts.doctor import doctor, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(options: argparse.Namespace, output: Output) -> int:
    return show(doctor(), as_machine=output.as_json)
