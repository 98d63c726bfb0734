"""Netlists, lists of parts, pin constraints and the wiring page all say what the circuits say."""

from collections import Counter

import pytest

pytest.importorskip("amaranth_boards")

import sexpdata
from amaranth.lib.wiring import Out

from backpulse.gateware.boards.boards import BOARDS
from backpulse.gateware.front_end.kits import KITS
from backpulse.gateware.front_end.page import HARDWARE, stale
from backpulse.gateware.front_end.tile import CONNECTOR, pins_resource, pull_of

KIT = pytest.mark.parametrize("name", KITS)
FRONT_ENDS = {board.name: board for board in BOARDS.values() if board.front_end}


def _pins(name):
    return KITS[name].component(clk_hz=50e6).pins.signature


def _all(tree, name):
    return [branch for branch in tree[1:] if isinstance(branch, list) and branch[0] == sexpdata.Symbol(name)]


def _one(tree, name):
    ((_, value),) = _all(tree, name)
    return value


def test_files_and_page_are_as_the_circuits_say():
    assert stale() == [], "call python -m backpulse.gateware.front_end.page"


@KIT
def test_a_netlist_is_read_as_it_was_meant(name):
    read = sexpdata.loads((HARDWARE / f"{name}.net").read_text())
    circuit = KITS[name].circuit()
    nets = {
        _one(net, "name"): [(_one(node, "ref"), _one(node, "pin")) for node in _all(net, "node")]
        for net in _all(_all(read, "nets")[0], "net")
    }
    assert nets == circuit.nets
    parts = _all(_all(read, "components")[0], "comp")
    assert {_one(part, "ref"): _one(part, "value") for part in parts} == {part.ref: part.value for part in circuit.parts.values()}


@KIT
def test_no_pin_is_left_or_on_two_nets(name):
    circuit = KITS[name].circuit()
    ends = Counter(end for joined in circuit.nets.values() for end in joined)
    assert set(ends.values()) == {1}
    assert {ref for ref, _ in ends} == set(circuit.parts)
    assert [net for net, joined in circuit.nets.items() if len(joined) < 2] == []


@KIT
def test_all_pins_of_the_gateware_are_on_the_header_and_no_others(name):
    header = KITS[name].circuit().header()
    nets = set()
    for pin, member in _pins(name).members.items():
        nets |= {pin} if pin in header else {f"{pin}_{i}" for i in range(member.shape)}
    assert nets == set(header)
    assert len(set(header.values())) == len(header)


@KIT
def test_what_switches_drivers_on_is_held_down_without_an_fpga(name):
    circuit = KITS[name].circuit()
    on = {"toggle", "clr_n", "reset_n", "enable", "alive", "interlock"} & set(circuit.header())
    assert on >= {"enable", "alive", "interlock"}
    for net in on:
        assert [circuit.parts[ref].value for ref, _ in circuit.far_ends(net)].count("10k") == 1
        assert pull_of(circuit, net) == "DOWN"


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_constraints_name_the_header_pins_of_the_circuit(name):
    kit = KITS[FRONT_ENDS[name].front_end]
    circuit, signature = kit.circuit(), _pins(FRONT_ENDS[name].front_end)
    platform = FRONT_ENDS[name].load_platform()()
    platform.add_resources([pins_resource(circuit, signature)])
    port = platform.request("front_end", 0, dir="-")
    platform.request("uart", 0, dir="-")
    sites = platform.connectors[CONNECTOR].mapping
    for pin, member in signature.members.items():
        ports = getattr(port, pin)
        names = ports.io.metadata
        header = circuit.header()
        nets = [pin] if pin in header else [f"{pin}_{i}" for i in range(member.shape)]
        assert [meta.name for meta in names] == [sites[header[net]] for net in nets]
        pull = {meta.attrs["PULLMODE"] for meta in names}
        assert pull == {pull_of(circuit, net) for net in nets}
        assert (ports.direction.value == "o") == (member.flow == Out)
