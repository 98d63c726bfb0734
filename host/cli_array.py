"""The commands `array`: what lies behind a board's tile contract."""

import typer

from backpulse.host.cli_array_check import check
from backpulse.host.cli_array_live import clear, self_checks

array = typer.Typer(help="Look at an array behind a board, and let it work again after a trip.", no_args_is_help=True)
array.command()(check)
array.command("self-check")(self_checks)
array.command()(clear)
