"""The command `replay`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from backpulse.host import options as o
from backpulse.host.errors import HostError
from backpulse.host.ledger import check_ledger_file
from backpulse.host.output import STDOUT, Results, RunLog, check_outputs, write_json
from backpulse.host.replay import Outcome
from backpulse.host.run_logs import replay_trace, write_outcome
from backpulse.host.tables import count
from backpulse.host.terminal import plain
from backpulse.host.trace_file import read_trace
from backpulse.host.view import Terminal, console


def replay(
    trace: Annotated[Path, typer.Argument(help="A trace, also of a run that still goes on.", metavar="TRACE")],
    ledger: Annotated[
        Path | None,
        typer.Option(help="Write what each cell was asked for and got (.npz, .csv or .parquet).", metavar="FILE", rich_help_panel=o.FILES),
    ] = None,
    plot: o.Plot = None,
    pulse_log: Annotated[
        Path | None, typer.Option(help="Write every pulse (.npz or .csv).", metavar="FILE", rich_help_panel=o.FILES)
    ] = None,
    json: o.Json = None,
) -> None:
    """Replay what a board recorded on the golden model, and compare every number that the trace holds."""
    check_outputs({"--ledger": ledger, "--json": json, "--plot": plot, "--pulse-log": pulse_log}, {"TRACE": trace})
    if ledger:
        check_ledger_file(ledger)
    recorded = read_trace(trace)
    log = RunLog(pulse_log) if pulse_log else None
    outcome = replay_trace(recorded, log, Terminal())
    results = Results()
    with results.each():
        write_json(json, _result(outcome))
    if json != STDOUT:
        _tell(outcome)
    write_outcome(results, outcome, recorded.config, trace.name, log=log, ledger=ledger, plot=plot)
    results.finish()
    if outcome.divergence:
        raise HostError(f"The board and the golden model differ: {outcome.divergence}", "what is behind that was not compared")


def _result(outcome: Outcome) -> dict[str, Any]:
    return {
        "trace_digest": outcome.digest,
        "units": outcome.units,
        "ended": outcome.ended,
        "training_samples": outcome.training,
        "evaluation_samples": outcome.evaluation,
        "pulses": outcome.pulses,
        "compared": outcome.compared,
        "stopped": outcome.stopped or None,
        "divergence": outcome.divergence or None,
    }


def _tell(outcome: Outcome) -> None:
    done, asked, unsure = (outcome.pulses[name] for name in ("done", "asked", "unsure"))
    if not outcome.divergence:
        said = f"{count(outcome.training, 'training sample')} and {outcome.evaluation:,} of evaluation replayed: no difference"
        console.print(said, style="bold green", soft_wrap=True)
    compared = ", ".join(f"{n:,} {what}" for what, n in outcome.compared.items()) or "no numbers at rest"
    console.print(f"Compared: the pulses and rows of every PULSE, the order of {outcome.units:,} units, {compared}", soft_wrap=True)
    short = f", {unsure:,} unsure" if unsure else ""
    console.print(f"Pulses: {asked:,} asked, {done:,} done{short}; trace digest {outcome.digest[:16]}", style="dim", soft_wrap=True)
    if outcome.stopped:
        console.print(f"Note: {plain(outcome.stopped)}", style="yellow", soft_wrap=True)
    if not outcome.ended:
        console.print("Note: the recording was not ended: this is the beginning of a trace", style="yellow", soft_wrap=True)
