"""An array in the lab, whole: what drives its lines by volts, arming, and checks, beside what `CellLab` measures over the tile contract."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from backpulse.firmware_py.array import Array, FrontEnd
from backpulse.firmware_py.registers import ArrayWord, TileState
from backpulse.host.analog_tile import AnalogTile
from backpulse.host.array_arm import Plan, carry_out, check_arm, check_code, code_of_plan, own_limits, plan
from backpulse.host.array_calibration import Found, calibrate
from backpulse.host.array_cells import Areas
from backpulse.host.array_forming import forming_limits
from backpulse.host.array_operations import Tell
from backpulse.host.array_session import make_safe
from backpulse.host.array_sweeps import CellBench, Point, check_volts, form, ramp, sweep
from backpulse.host.array_targets import most_of_map, read_ohms
from backpulse.host.cell_names import one_cell, parse_cells
from backpulse.host.errors import InputError, SignalError
from backpulse.host.lab_cells import CellLab
from backpulse.host.lab_results import Forming, IVCurve
from backpulse.host.self_check import SelfCheck, self_check
from backpulse.host.stop import StoppedError
from backpulse.host.tables import count
from backpulse.host.tile import facts_text, is_exact

if TYPE_CHECKING:
    from backpulse.host.array_check import Check, Conformance, Result


class Lab(CellLab):
    """An array that is worked with: opened by `open_array`, closed by `close` or as a context manager.

    No line is driven before the board says that the array is armed, where it must be. A wish to stop ends an operation behind the pulse
    under way, switches the drivers off and disarms the array; what was found until then is the result, its `complete` False. Pulses are
    counted in the ledger that the array file names, and refused beyond its budget.
    """

    @property
    def armed(self) -> bool:
        """Whether its lines may be driven, of an array that is armed by hand."""
        return TileState.ARMED in self.board.tile_state()[0]

    def arm(self, confirm: str | None = None, *, map_file: str | Path | None = None) -> Plan:
        """Switch the drivers on, in two steps: without a code it says what lines may be driven with, and with the code of that, it arms.

        Parameters
        ----------
        confirm : str, optional
            `code` of the plan that was looked at.
        map_file : path, optional
            A measured map that N² g R is taken from, as `map` saves it.

        Returns
        -------
        Plan
            `said`, names and values; `limits`; `n2gr`; `code`.

        Raises
        ------
        InputError
            If the array needs no arming, or the code is not that of what would be driven now.
        HostError
            If it has tripped, or the drivers stay off.
        """
        check_arm(self.board.capabilities)
        self.board.check_tripped()
        analog = AnalogTile(self.board)
        found = plan(analog, self.array, most_of_map(Path(map_file), self.board.config) if map_file else None)
        if confirm is not None:
            check_code(found.code, confirm)
            carry_out(analog, found.limits)
        return found

    def disarm(self) -> str:
        """Switch all drivers off until it is armed again; return what to tell of it.

        Raises
        ------
        InputError
            If the array needs no arming.
        HostError
            If the board does not say that they are off.
        """
        check_arm(self.board.capabilities)
        return make_safe(self.board)

    def clear(self) -> int:
        """Clear a trip, once its cause is seen to; return the cause, 0 if it had not tripped.

        Raises
        ------
        FaultError
            If the cause is still there.
        """
        cause = self.board.clear_trip()
        self.board.check_tripped()
        return cause

    def calibrate(self, known: float | str | Path | None = None, *, read_profile: int = 0) -> Found:
        """Measure offsets, trims, gains and factors of the lines, and load them into the board.

        Parameters
        ----------
        known : float or path, optional
            Ohms of all cells, or a CSV of them; without it gains are those of perfect parts.
        read_profile : int
            Of the array's settings for reads.

        Returns
        -------
        Found
            `calibration`, whose `save` writes the file; `figures`; `remarks`.

        Raises
        ------
        InputError
            If the array has no front end, or is not armed.
        HostError
            If a line or cell reads as it cannot.
        SignalError
            If it was stopped: the board then has the calibration of perfect parts.
        """
        self.board.check_ready()
        analog, (array, _) = AnalogTile(self.board), self._front_end()
        self.check_profiles(read_profile)
        ohms = None if known is None else read_ohms(str(known), analog.lines)
        found = None
        with self.going("calibrating") as tell:
            found = calibrate(analog, array, None if ohms is None else 1 / ohms, profile=read_profile, report=tell)
            analog.write_calibration(found.calibration.tables, found.calibration.number)
        self.finish("nothing was written, and the board has the calibration of perfect parts")
        assert found is not None  # it was not stopped
        self.warn(found.remarks)
        return found

    def iv(self, cell: str, stop: float, compliance: float, *, start: float = 0.0, step: float = 0.02, read_profile: int = 0) -> IVCurve:
        """Measure the current of one cell over its voltage, there and back again.

        Parameters
        ----------
        cell : str
            As in r3c5.
        stop : float
            Volts where the sweep turns.
        compliance : float
            Amperes at which it turns earlier.
        start, step : float
            Volts of the first point, and from one to the next.
        read_profile : int
            Of the array's settings for reads.

        Raises
        ------
        InputError
            If the array has no front end, or is not armed; if a voltage or current is beyond its limits. No line is driven then.
        """
        volts = ramp(start, stop, step, "--step")
        self.board.check_ready()
        analog, (array, front) = AnalogTile(self.board), self._front_end()
        self.check_profiles(read_profile)
        row, col = one_cell(cell, self.board.config)
        if not 0 < compliance <= (most := front.most_amperes):
            raise InputError(
                f"--compliance must be above 0 and at most {most:.3g} A, where the amplifier is at its rail, not {compliance:g}"
            )
        check_volts(analog, array, max(map(abs, volts)), ArrayWord.READ_CODE_LIMIT, "sweep less, or raise read_volts in [limits]")
        bench, found = CellBench(analog, array, row, col, read_profile), list[Point]()
        with self.going("sweeping") as tell:
            for point in sweep(bench, volts, compliance, tell):
                found.append(point)
        return IVCurve(
            **self._found(),
            cell=cell,
            compliance=compliance,
            volts=np.array([point.volts for point in found]),
            amperes=np.array([point.amperes for point in found]),
            back=np.array([point.back for point in found], bool),
            over=np.array([point.over for point in found], bool),
        )

    def form(
        self,
        cells: str,
        start: float,
        stop: float,
        step: float,
        target: float,
        *,
        width: float | None = None,
        confirm: str | None = None,
        read_profile: int = 0,
        pulse_profile: int = 0,
    ) -> Forming:
        """Form cells: pulses of rising voltage until the resistance is below a target. In two steps, as `arm`, with limits of its own.

        Behind it the array is disarmed, and has the limits that it had.

        Parameters
        ----------
        cells : str
            Cells and areas, as in r3c5,r0-3c0-7.
        start, stop, step : float
            Volts of the first pulse, of the last if need be, and from one to the next.
        target : float
            Ohms.
        width : float, optional
            Seconds of a pulse; the profile's if not given.
        confirm : str, optional
            `code` of what the call without it has returned; without it nothing is driven.
        read_profile, pulse_profile : int
            Of the array's settings.

        Raises
        ------
        InputError
            If the array needs no arming, has no front end, or the code is another one; if a pulse is beyond the cells' budget.
        """
        volts = ramp(start, stop, step, "--step")
        if not target > 0:
            raise InputError(f"--target must be a positive number of ohms, not {target:g}")
        check_arm(self.board.capabilities)
        self.board.check_tripped()
        analog, (array, front) = AnalogTile(self.board), self._front_end()
        self.check_profiles(read_profile, pulse_profile)
        places = [(int(row), int(col)) for row, col in np.argwhere(parse_cells(cells, self.board.config))]
        words = analog.profile(pulse_profile)
        allowed, said = forming_limits(analog, array, front, volts, width, words)
        said = [("forming", f"{count(len(places), 'cell')}, {cells}"), ("until", f"below {target:g} Ω"), *said]
        code = code_of_plan(said, [words, list(allowed.values())])
        found: dict[tuple[int, int], list[tuple[float, float]]] = {}
        if confirm is not None:
            check_code(code, confirm)
            with self.going("forming") as tell, own_limits(analog, allowed, pulse_profile, words):
                for n, place in enumerate(places):
                    steps, bench = found.setdefault(place, []), CellBench(analog, array, *place, read_profile)
                    for one in form(bench, volts, target, pulse_profile, self._counted(place)):
                        steps.append((one.volts, one.ohms))
                    tell(n + 1, len(places))
        return Forming(**self._found(), code=code, drives=said, target=target, steps=found)

    def check(
        self,
        only: str | None = None,
        *,
        wires: float = 0.0,
        reads: int | None = None,
        begin: "Callable[[Check], None] | None" = None,
        watch: "Callable[[Result], None] | None" = None,
        report: Tell | None = None,
    ) -> "Conformance":
        """Check that the array keeps the tile contract. Afterwards it is as it was where its cells can be read and written, and at rest.

        Parameters
        ----------
        only : str, optional
            Numbers of checks joined by commas; all if not given.
        wires : float
            Sense words by which a cell's two directions may differ for its wires.
        reads : int, optional
            Of check 12; 100,000 if not given, which takes a virtual board half an hour.
        begin, watch, report : callable, optional
            Called with each check before it is made, with its result, and with how far it is.

        Raises
        ------
        InputError
            If there is no such check, or the array is not armed.
        SignalError
            If it was stopped.
        HostError
            If the line to the board breaks.
        """
        from backpulse.host.array_bench import DISTURBS, Bench  # matplotlib and compiled kernels take their time
        from backpulse.host.array_check import Conformance, check_array, chosen

        checks, board, results = chosen(only), self.board, list["Result"]()
        board.check_armed()
        bench = Bench(board, self.device, wires=wires, reads=reads or DISTURBS, budget=self.budget, report=report)
        try:
            with board.heeding(self.stop), bench.kept():
                for result in check_array(bench, checks, begin or (lambda check: None)):
                    results.append(result)
                    if watch:
                        watch(result)
        except StoppedError:
            raise SignalError(f"Stopped after {len(results)} of {len(checks)} checks; the board is at rest", self.stop) from None
        finally:
            board.pulsed = None
            if self.budget:
                self.warn(self.budget.save())
        config = board.config
        about = {
            "board": self.url,
            "facts": facts_text(board.facts),
            "limits": bench.limits,
            "rows": config.tile_rows,
            "cols": config.tile_cols,
            "tiles": config.tiles,
            "build": board.build_digest[:16],
        }
        return Conformance(results=results, about=about, facts=self.facts)

    def self_check(self) -> SelfCheck:
        """Pulse the cells of the network that it was opened with, or all, and name lines and cells that do not do what was asked.

        Cells get as many pulses up as down; where they can be written, they are left as they were.

        Raises
        ------
        InputError
            If the array is not armed, or the pulses would go beyond the cells' budget.
        SignalError
            If it was stopped.
        """
        self.prepare()
        board, settings = self.board, self._settings
        if settings:
            settings.check_profiles(board.facts.profiles)
        areas = Areas(board, settings.compile(board.config) if settings else None)
        kept = board.read_cells() if is_exact(board.facts) else None
        board.pulsed = self.budget.pulsed if self.budget else None
        found = None
        try:
            with self.going("checking") as tell:
                found = self_check(areas, self.device.dw_min, report=tell)
        finally:
            board.pulsed = None
        if kept is not None:
            board.write_cells(kept)
        self.finish("the cells are as the pulses until then have left them")
        assert found is not None  # it was not stopped
        return SelfCheck(board=self.url, array=self.facts, areas=found)

    def _front_end(self) -> tuple[Array, FrontEnd]:
        """Return the array, and its front end.

        Raises
        ------
        InputError
            If the array file has none.
        """
        front = self.array.front_end
        if front is None:
            raise InputError(
                "What volts and amperes are is in the table [front_end] of an array file: give it as ?array=FILE; no line was driven"
            )
        return self.array, front

    def _counted(self, place: tuple[int, int]) -> Callable[[float], None]:
        """Return what is told of each pulse of a cell, by its voltage, before it is given: the budget counts it, and may refuse it."""

        def before(volts: float) -> None:
            if self.budget:
                plane = np.zeros(self.budget.pulses.shape, np.int64)
                plane[place] = 1
                self.budget.check(plane)
                self.budget.add(plane if volts > 0 else -plane)
            self.stop.heed()

        return before
