"""`make demo`: a network learns the digits on the RTL; the software reference and the golden model stand beside it."""

import os
import sys
from pathlib import Path

from backpulse.host.errors import HostError, SignalError
from backpulse.host.settings import Settings, prepare
from backpulse.host.software import train_software
from backpulse.host.stop import ended_by_signals, stop_on_signals
from backpulse.host.training import Trainer
from backpulse.host.urls import board_config, open_board
from backpulse.host.view import TrainView, console

EPOCHS = 5
LEAST_ACCURACY = 0.92
PICTURE = Path("demo.png")
SAME = ("conductance_digest", "predictions", "test_accuracy", "train_loss", "steps", "cycles", "pulses_up", "pulses_down")
"""Results that must be equal on every board."""


def main(board: str = "sim://", picture: Path = PICTURE) -> int:
    """Run the demonstration on a board; return the exit code."""
    os.environ.pop("MPLBACKEND", None)  # as in `__main__`
    from backpulse.host.plots import plot_training

    settings = Settings()
    config = board_config(settings.network, settings.device_model)
    data = prepare(settings, config.drive_max)
    console.print("Preparing the virtual board", style="dim")
    with open_board(board, config=config, progress=lambda text: console.print(text, style="dim")) as opened, stop_on_signals() as stop:
        with TrainView(
            f"{settings.layers} on {settings.dataset} in the RTL: {settings.schedule}, {settings.device_model.name} device"
        ) as view:
            trainer = Trainer(opened, settings, EPOCHS, data=data, watch=view, stop=stop)
            complete = trainer.run()
        if not complete:
            raise SignalError("The demonstration was stopped: start it again with make demo", stop)
        result, after = trainer.result(), trainer.cells
    console.print("Repeating the run in float64 and on the golden model", style="dim")
    software = train_software(settings, data, EPOCHS, config.drive_max)
    with open_board("golden://", config=config) as golden_board:
        golden_trainer = Trainer(golden_board, settings, EPOCHS, data=data)
        golden_trainer.run()
        golden = golden_trainer.result()
    plot_training(picture, result, program=trainer.program, before=trainer.initial, after=after, reference=software)
    console.print()
    for name, run in ((f"RTL ({board})", result), ("golden model", golden), ("software, float64", software)):
        console.print(f"  {name:<20} test accuracy {100 * run['test_accuracy'][-1]:.2f} %   {run['steps_per_second']:>10,.0f} steps/s")
    differing = [key for key in SAME if result[key] != golden[key]]
    if differing:
        raise HostError(f"RTL and golden model differ in {', '.join(differing)}: backpulse divergence finds the first difference")
    console.print(
        f"\n  The bits match: RTL and golden model end with the same {after.size:,} cells, digest {result['conductance_digest'][:16]}, "
        f"after {result['steps']:,} steps of {result['cycles_per_step']:.0f} cycles.",
        soft_wrap=True,
        style="bold green",
    )
    console.print(f"  The picture is in {picture}.", soft_wrap=True)
    if result["test_accuracy"][-1] < LEAST_ACCURACY:
        raise HostError(f"The test accuracy is below {100 * LEAST_ACCURACY:.0f} %: something is wrong with this build")
    return 0


def _command() -> None:
    try:
        sys.exit(main())
    except HostError as error:
        console.print(f"Error: {error}", soft_wrap=True, style="red")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    ended_by_signals(_command)
