"""The host port of the emulated tile: cells, spread words, random states and device parameters."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportAttributeAccessIssue=false, reportGeneralTypeIssues=false, reportOperatorIssue=false
# pyright: reportReturnType=false

from amaranth.hdl import Array, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config, DeviceKind
from backpulse.firmware_py.registers import (
    CELL_ROW_SHIFT,
    PERSISTENT_SHIFT,
    STREAM_SHIFT,
    TABLE_PART_SHIFT,
    TILE_WORDS,
    WINDOW_SHIFT,
    Stream,
    TileParameter,
    Window,
)
from backpulse.firmware_py.table_device import SPREAD_BITS
from backpulse.rtl.lib.trees import GROUP
from backpulse.rtl.tile.layouts import parameter_layout
from backpulse.rtl.tile.signature import HostSignature, window_code

__all__ = ["TileHost"]

LATENCY = 5
"""Cycles from `active` to the word that was read."""


class TileHost(wiring.Component):
    """Decodes the host port of an emulated tile.

    A request takes nine cycles, a refused one three. Refused are rows and lanes beyond the tile, spread words
    and streams that the configuration does not have, TILE words without a parameter, and all requests while
    `idle` is low. Cells and signed parameters are read sign-extended to 32 bits. Parameters that a
    configuration leaves out read as zero, and writing them does nothing.

    Parameters
    ----------
    config
        Configuration of the tile.

    Members
    -------
    bus
        The port.
    idle
        No command is executing; `free` says that one may be taken.
    active, row, root_at
        An access begins, and its addresses in the lanes' memories, which the host uses while `free` is low.
    write_cell, write_spread, write_state
        One strobe a lane, with `bus.w_data`, a cycle after `active`; `write_root` is for all lanes,
        `write_read` for bank `bank` of the read stream.
    cells, spreads, states, root, read_states
        Words read, within `LATENCY` - 1 cycles of `active`: a register is behind each group of lanes.
    parameters
        Device parameters without the noise table.
    write_persistent, persistents
        Of the table device: like those of cells, for what of them stays.
    table_at, table_write, table_known, table_word
        Of the table device: address in TABLE, write strobe, whether there is such a word, and what it is.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        lanes = config.tile_cols
        self._tables = config.device is DeviceKind.TABLE
        tables = {
            "write_persistent": Out(lanes),
            "persistents": In(signed(config.cell_bits)).array(lanes),
            "table_at": Out(WINDOW_SHIFT),
            "table_write": Out(1),
            "table_known": In(1),
            "table_word": In(32),
        }
        super().__init__(
            {
                "bus": In(HostSignature()),
                "idle": In(1),
                "free": Out(1),
                "active": Out(1),
                "row": Out(range(config.rows)),
                "root_at": Out(range(config.pulse_max + 1)),
                "write_cell": Out(lanes),
                "write_spread": Out(lanes),
                "write_state": Out(lanes),
                "write_root": Out(1),
                "write_read": Out(1),
                "bank": Out(1),
                "cells": In(signed(config.cell_bits)).array(lanes),
                "spreads": In(SPREAD_BITS if self._tables else 8).array(lanes),
                "states": In(32).array(lanes),
                "root": In(16),
                "read_states": In(32).array(2),
                "parameters": Out(parameter_layout(config)),
                **(tables if self._tables else {}),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, bus = self._config, self.bus
        full = config.device is not DeviceKind.IDEAL
        lanes = config.tile_cols

        # The request, registered: it comes from far away.
        address = Signal.like(bus.addr)
        chosen_window = Signal.like(bus.window)
        writes = Signal()
        m.d.sync += [address.eq(bus.addr), chosen_window.eq(bus.window), writes.eq(bus.write)]
        row, column = address >> CELL_ROW_SHIFT, address[:CELL_ROW_SHIFT]
        stream, member = address >> STREAM_SHIFT, address[:STREAM_SHIFT]

        def window(which: Window) -> Value:
            return chosen_window == window_code(which)

        if self._tables:
            persistent = window(Window.CELLS) & address[PERSISTENT_SHIFT]
            of_cells = Mux(persistent, row[: PERSISTENT_SHIFT - CELL_ROW_SHIFT], row)
            row = Mux(window(Window.TABLE), address[:TABLE_PART_SHIFT], of_cells)
        lane = Signal(range(lanes))
        # Larger offsets are refused.
        parameter_at = address[: (TILE_WORDS - 1).bit_length()]
        root = TileParameter.ROOT
        in_table = (parameter_at >= root) & (parameter_at <= root + config.pulse_max)
        in_cells = (row < config.rows) & (column < lanes)
        registers = [p for p in TileParameter if p < root]
        last = max(registers)
        good = Signal()
        # The lane is chosen a cycle before it is used.
        of_writes = Signal()
        m.d.sync += [
            lane.eq(Mux(window(Window.RANDOM), member, column)),
            of_writes.eq(stream == Stream.WRITE),
        ]
        m.d.comb += [
            self.row.eq(row),
            self.root_at.eq(address - root),
            self.bank.eq(member),
            good.eq(
                (window(Window.CELLS) & in_cells)
                | (window(Window.SPREAD) & in_cells & config.spread)
                | (window(Window.RANDOM) & (stream == Stream.READ) & (member < 2) & config.read_noise)
                | (window(Window.RANDOM) & (stream == Stream.WRITE) & (member < lanes) & full)
                | (window(Window.TILE) & ((address <= last) | ((address >= root) & (address < TILE_WORDS))))
            ),
        ]

        if self._tables:
            with m.If(window(Window.TABLE)):
                m.d.comb += good.eq(self.table_known)

        # Reading. Lanes lie all over the chip: first a lane of each group is chosen, then the group.
        def near(words: list[Value]) -> Value:
            groups = [Signal.like(words[0], name="near", reset_less=True) for _ in range(0, lanes, GROUP)]
            m.d.sync += [
                near.eq(Array(words[i * GROUP :][:GROUP])[lane % GROUP]) for i, near in enumerate(groups)
            ]
            return Array(groups)[lane // GROUP]

        read = Signal(32)
        picked = Signal(32)
        own = Signal(32)
        with m.Switch(parameter_at):
            for parameter in registers:
                with m.Case(parameter):
                    m.d.sync += own.eq(self.parameters[parameter.name.lower()])
            with m.Default():
                m.d.sync += own.eq(Mux(in_table, self.root, 0))
        cell = Signal(signed(config.cell_bits))
        spread = near(self.spreads) if config.spread else 0
        state = Array(self.read_states)[self.bank]
        if full:
            state = Mux(of_writes, near(self.states), state)
        of_cell, of_table = near(self.cells), own
        if self._tables:
            of_cell = Mux(persistent, near(self.persistents), of_cell)
            of_table = Mux(window(Window.TABLE), self.table_word, own)
        m.d.comb += [
            cell.eq(of_cell),
            picked.eq(
                Mux(
                    window(Window.CELLS),
                    cell,
                    Mux(window(Window.SPREAD), spread, Mux(window(Window.RANDOM), state, of_table)),
                )
            ),
        ]

        # Writing.
        write = Signal()
        chosen = Const(1, lanes) << lane
        write_cell = write & window(Window.CELLS)
        if self._tables:
            m.d.comb += [
                self.table_at.eq(address),
                self.table_write.eq(write & window(Window.TABLE)),
                self.write_persistent.eq(Mux(write & persistent, chosen, 0)),
            ]
            write_cell &= ~persistent
        m.d.comb += [
            self.write_cell.eq(Mux(write_cell, chosen, 0)),
            self.write_spread.eq(Mux(write & window(Window.SPREAD), chosen, 0)),
            self.write_state.eq(Mux(write & window(Window.RANDOM) & of_writes, chosen, 0)),
            self.write_read.eq(write & window(Window.RANDOM) & (stream == Stream.READ)),
            self.write_root.eq(write & window(Window.TILE) & in_table),
        ]
        m.d.sync += write.eq(0)
        for parameter in registers:
            with m.If(write & window(Window.TILE) & (parameter_at == parameter)):
                m.d.sync += self.parameters[parameter.name.lower()].eq(bus.w_data)

        error = Signal()
        waiting = Signal(range(LATENCY + 1))
        m.d.comb += [bus.r_data.eq(read), bus.error.eq(error)]
        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += self.free.eq(1)
                with m.If(bus.request):
                    m.next = "CHECK"
            with m.State("CHECK"):
                m.d.sync += error.eq(~(self.idle & good))
                m.next = "ANSWER"
                with m.If(self.idle & good):
                    m.next = "ACCESS"
            with m.State("ACCESS"):
                m.d.comb += self.active.eq(1)
                m.d.sync += [waiting.eq(LATENCY), write.eq(writes)]
                m.next = "PICK"
            with m.State("PICK"):
                m.d.sync += [read.eq(picked), waiting.eq(waiting - 1)]
                with m.If(waiting == 1):
                    m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += bus.ack.eq(1)
                m.next = "WAIT"
        return m
