"""An array in the lab, over the tile contract: the read map, response curves, endurance, retention, program-and-verify."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backpulse.firmware_py.dead import Dead
from backpulse.host.array_cells import ROUNDS, Areas
from backpulse.host.array_map import around
from backpulse.host.array_operations import Tell, cell_sense, read_map, rectangle
from backpulse.host.array_session import Session
from backpulse.host.array_targets import map_target, read_target
from backpulse.host.cell_names import cell_name, parse_cells
from backpulse.host.cell_values import Cycle, Look, NamedCells, Point, endurance, response_curves, retention
from backpulse.host.errors import InputError
from backpulse.host.lab_results import Curves, Endurance, Programmed, ReadMap, Retention


class CellLab(Session):
    """The part of `Lab` that any array can do, emulated ones too. A stop leaves what was found until then as the result."""

    def map(self, *, read_profile: int = 0, averages: int = 4) -> ReadMap:
        """Measure the conductance of every cell, by reads in both directions, each line alone.

        Parameters
        ----------
        read_profile : int
            Of the array's settings for reads.
        averages : int
            Reads of each line.

        Raises
        ------
        InputError
            If the array is not armed, or does not know the profile.
        FaultError
            If it has tripped.
        SignalError
            If it was stopped, as half a map is none.
        """
        self.prepare(read_profile)
        ways = []
        for name, transposed in (("forward", False), ("backward", True)):
            with self.going(f"reading {name}") as tell:
                ways.append(self._whole(transposed, read_profile, averages, tell))
            self.finish("nothing was written")
        forward, backward = (self._siemens(way) for way in ways)
        return ReadMap(
            **self._found(),
            read_profile=read_profile,
            averages=averages,
            forward=forward,
            backward=backward,
            figures=self._figures(forward, backward),
            config=self.board.config,
        )

    def pulse(
        self,
        cells: str | None = None,
        *,
        pulses: int = 50,
        cycles: int = 1,
        read_profile: int = 0,
        pulse_profile: int = 0,
        averages: int = 1,
    ) -> Curves:
        """Pulse cells up and down again, one pulse at a time, and measure each after every pulse: response curves.

        Parameters
        ----------
        cells : str, optional
            Cells and areas, as in r3c5,r0-3c0-7; all if not given.
        pulses : int
            In each direction.
        cycles : int
            How often up and down.
        read_profile, pulse_profile, averages
            As of `map`.

        Raises
        ------
        InputError
            As of `map`; if there is no such cell, or the pulses would go beyond its budget.
        """
        named = self._named(cells, read_profile, pulse_profile, averages)
        found: list[Point] = []
        with self.going("pulsing") as tell:
            for point in response_curves(named, pulses, cycles, tell):
                found.append(point)
        return Curves(
            **self._found(),
            read_profile=read_profile,
            pulse_profile=pulse_profile,
            places=named.places,
            pulses=[point.pulse for point in found],
            directions=[point.direction for point in found],
            conductance=self._values([point.values for point in found], named),
        )

    def endurance(
        self,
        cells: str,
        *,
        cycles: int = 100,
        pulses: int = 50,
        every: int = 1,
        read_profile: int = 0,
        pulse_profile: int = 0,
        averages: int = 1,
    ) -> Endurance:
        """Pulse cells up and down again many times: window and midpoint of each over the cycles, and the pulses of its budget.

        Parameters
        ----------
        cells : str
            As of `pulse`.
        cycles : int
            How often up and down.
        pulses : int
            In each direction of a cycle.
        every : int
            Every so many cycles are measured, and the first and the last.
        read_profile, pulse_profile, averages
            As of `map`.

        Raises
        ------
        InputError
            As of `pulse`.
        """
        named = self._named(cells, read_profile, pulse_profile, averages)
        found: list[Cycle] = []
        with self.going("cycling") as tell:
            for cycle in endurance(named, pulses, cycles, every, tell):
                found.append(cycle)
        return Endurance(
            **self._found(),
            read_profile=read_profile,
            pulse_profile=pulse_profile,
            places=named.places,
            cycles=[cycle.number for cycle in found],
            pulses_a_cycle=2 * pulses,
            high=self._values([cycle.high for cycle in found], named),
            low=self._values([cycle.low for cycle in found], named),
            budget=self.budget.figures() if self.budget else {},
            pulses_ever=self.budget.pulses[*named.places.T] if self.budget else None,
        )

    def retention(
        self, times: str | Sequence[float] = "1,10,100", cells: str | None = None, *, read_profile: int = 0, averages: int = 4
    ) -> Retention:
        """Measure cells now and at some times from now on, without pulses.

        Parameters
        ----------
        times : str or sequence of float
            Seconds after the first look, rising.
        cells, read_profile, averages
            As of `pulse`.

        Raises
        ------
        InputError
            As of `pulse`, or if the times do not rise.
        """
        wanted = _rising(times)
        named = self._named(cells, read_profile, 0, averages)
        found: list[Look] = []
        with self.going("waiting") as tell:
            for look in retention(named, wanted, time.monotonic, self.board.link.wait, tell):
                found.append(look)
        return Retention(
            **self._found(),
            read_profile=read_profile,
            places=named.places,
            seconds=[look.seconds for look in found],
            conductance=self._values([look.values for look in found], named),
        )

    def program(
        self, target: str | Path | np.ndarray, *, rounds: int = ROUNDS, read_profile: int = 0, pulse_profile: int = 0
    ) -> Programmed:
        """Pulse cells until they read as a target says: program-and-verify.

        Parameters
        ----------
        target : path or ndarray
            A file as of `array program`, or siemens of shape (rows of all tiles, columns), NaN where a cell may be anything.
        rounds : int
            Most rounds of reading and pulsing.
        read_profile, pulse_profile : int
            As of `pulse`.

        Raises
        ------
        InputError
            As of `pulse`, or if the target is none of this array.
        SignalError
            If it was stopped.
        """
        self.prepare(read_profile, pulse_profile)
        if isinstance(target, np.ndarray):
            wanted = map_target("target", np.asarray(target, np.float64), self.board.config, self.array)
        else:
            dead = Dead.parse(str(around({}, self.address.array).get("dead", "")))
            wanted = read_target(Path(target), self.board.config, self.array, dead)
        areas = Areas(self.board, wanted.program, read_profile=read_profile, pulse_profile=pulse_profile, budget=self.budget)
        done = None
        with self.going("programming") as tell:
            done = areas.verify(wanted.units, self.device.dw_min, rounds=rounds, report=tell)
        self.finish("the cells are as the pulses until then have left them")
        assert done is not None  # it was not stopped
        found, verified = done
        return Programmed(
            **self._found(),
            target=wanted.what,
            conductance=self._siemens(np.where(np.isnan(wanted.units), np.nan, found)),
            left=(wanted.units - found) * areas.unit,
            verified=verified,
            config=self.board.config,
        )

    def _found(self) -> dict[str, Any]:
        return {"board": self.url, "array": self.facts, "scale": self.scale, "complete": not self.stop.asked}

    def _siemens(self, units: np.ndarray) -> np.ndarray:
        return self.array.cells.mid + self.array.cells.per_unit * units

    def _named(self, cells: str | None, read_profile: int, pulse_profile: int, averages: int) -> NamedCells:
        self.prepare(read_profile, pulse_profile)
        named = parse_cells(cells, self.board.config)
        profiles = {"read_profile": read_profile, "pulse_profile": pulse_profile}
        return NamedCells(self.board, named, **profiles, averages=averages, budget=self.budget)

    def _values(self, values: list[np.ndarray], named: NamedCells) -> np.ndarray:
        return self._siemens(np.array(values).reshape(len(values), len(named.places)))

    def _whole(self, transposed: bool, profile: int, averages: int, tell: Tell) -> np.ndarray:
        """Return all cells in device units, as read in one direction."""
        config = self.board.config
        maps = []
        for tile in range(config.tiles):

            def far(done: int, total: int, tile: int = tile) -> None:
                tell(tile * total + done, config.tiles * total)

            area = rectangle(config, tile)
            maps.append(read_map(self.board, area, transposed=transposed, profile=profile, averages=averages, report=far))
        return np.concatenate(maps) / cell_sense(config)

    def _figures(self, forward: np.ndarray, backward: np.ndarray) -> dict[str, Any]:
        mean, config = (forward + backward) / 2, self.board.config
        differ = np.abs(forward - backward)
        row, col = (int(at) for at in np.unravel_index(int(differ.argmax()), differ.shape))
        lines = max(config.tile_rows, self.array.pieces * config.tile_cols)
        return {
            "least_s": float(mean.min()),
            "mean_s": float(mean.mean()),
            "most_s": float(mean.max()),
            "ways_differ_s": float(np.sqrt(np.mean(differ**2))),
            "ways_differ_worst_s": float(differ[row, col]),
            "ways_differ_worst_at": cell_name(row, col),
            "n2gr": self.array.n2gr(lines, float(mean.max())) if self.address.array else None,
        }


def _rising(times: str | Sequence[float]) -> list[float]:
    """Return times of a text or a list."""
    try:
        found = [float(time) for time in (times.split(",") if isinstance(times, str) else times)]
    except (ValueError, TypeError):
        found = []
    if not found or found != sorted(found) or not all(0 < time <= 1e9 for time in found):
        raise InputError(f"--times takes rising numbers of seconds joined by commas, as in 1,10,100, not {times!r:.60}")
    return found
