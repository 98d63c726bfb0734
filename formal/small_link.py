"""Properties of the small link's program, for all frames in all states: what holds at a few places of it, and on every way between them.

The solver follows each path from one of these places to the next, with all that is known at the first, and shows what must be known at the
second. Together they are an induction over the instructions of a run of any length. That the processor does what each instruction is
taken for here, `SmallLinkStep` proves.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import z3

from backpulse.firmware_py.framing import (
    HEADER_BYTES,
    MAX_FRAME,
    MAX_PAYLOAD,
    MAX_WORDS,
    NONCE_BYTES,
    RESPONSE,
    WINDOW,
    Opcode,
    Status,
)
from backpulse.firmware_py.registers import REG
from backpulse.gateware.boards.boards import BOARDS
from backpulse.gateware.link import memory, program
from backpulse.gateware.link.microcode import Mode, Op, Strobe, When, assemble

from .harness import Proof
from .microprogram import Path, feasible, follow
from .prove import Verdict
from .small_frame import FIRST, Frame, any_frame, equal, number, session, wide

__all__ = ["SmallExactlyOnce", "SmallFrame", "SmallGrantFits"]

CONFIG = BOARDS["icebreaker"].config
"""What a board carries; of it only the order's depth is in the program."""


class Claim(NamedTuple):
    """What must hold, and which proof it belongs to; none if it only helps the induction."""

    proof: str
    rule: z3.BoolRef


# What is known at each place.


def at_byte(path: Path, frame: Frame) -> Iterator[Claim]:
    """The next byte of the line: a frame is being received."""
    received = z3.BitVecVal(MAX_FRAME + 1, 8) - path.byte(memory.ROOM)
    yield Claim("once", equal(session(path), frame.session))
    yield Claim("frame", z3.And(path.x - FIRST == received, z3.ULE(path.byte(memory.ROOM), MAX_FRAME + 1)))


def at_judge(path: Path, frame: Frame) -> Iterator[Claim]:
    """A good frame has been received."""
    yield Claim("once", equal(session(path), frame.session))
    yield Claim("frame", z3.ULE(path.byte(memory.LENGTH), MAX_PAYLOAD))


def in_hand(path: Path, frame: Frame) -> Iterator[Claim]:
    """What holds while a command is executed."""
    yield Claim("once", equal(session(path), frame.session))
    yield Claim("", z3.And(path.byte(memory.FRAME) == frame.opcode, path.byte(memory.FRAME + 1) == frame.number))
    yield Claim("", path.byte(memory.FRESH) == z3.If(frame.due, z3.BitVecVal(1, 8), z3.BitVecVal(0, 8)))
    yield Claim("", path.byte(memory.SLOT) == memory.STATUSES + (frame.number & WINDOW - 1))


def at_nonce(path: Path, frame: Frame) -> Iterator[Claim]:
    """The next byte of a HELLO's nonce takes the place of the session's."""
    done, nonce = NONCE_BYTES - path.a, frame.session[2 + WINDOW :]
    now = session(path)
    yield Claim("", z3.And(frame.of(Opcode.HELLO), frame.length == NONCE_BYTES, path.byte(memory.FRAME) == frame.opcode))
    yield Claim("", z3.And(path.pages[1] == frame.page, path.byte(memory.FRAME + 1) == frame.number))
    yield Claim("", z3.And(z3.ULT(done, NONCE_BYTES), path.x == memory.NONCE + done))
    yield Claim("once", equal(now[: 2 + WINDOW], frame.session[: 2 + WINDOW]))
    moved = [z3.If(z3.UGT(done, i), frame.payload(i), byte) for i, byte in enumerate(nonce)]
    yield Claim("", equal(now[2 + WINDOW :], moved))
    same = z3.And(*(z3.Or(z3.ULE(done, i), frame.payload(i) == byte) for i, byte in enumerate(nonce)))
    yield Claim("", path.byte(memory.SAME) == z3.If(same, frame.session[0], z3.BitVecVal(0, 8)))


def at_word(path: Path, frame: Frame) -> Iterator[Claim]:
    """The next word of a READ or WRITE."""
    yield from in_hand(path, frame)
    at, rest = path.byte(memory.AT), path.byte(memory.REST)
    yield Claim("once", z3.Or(z3.And(frame.of(Opcode.WRITE), frame.due), z3.And(frame.of(Opcode.READ), z3.Or(frame.due, frame.repeated))))
    read = z3.LShR(at - ((memory.ANSWER + 3) & 0xFF), 2)
    fits = z3.And((at - ((memory.ANSWER + 3) & 0xFF)) & 3 == 0, z3.ULE(wide(read) + wide(rest), MAX_WORDS), rest != 0)
    yield Claim("", z3.Implies(frame.of(Opcode.READ), fits))
    done = at - (FIRST + 6)
    left = z3.And(done + rest == frame.length - 4, z3.ULE(rest, frame.length - 4), done & 3 == 0, rest & 3 == 0, rest != 0)
    page, address = frame.page, [path.byte(byte) for byte in memory.ADDRESS]
    for place, byte in zip(memory.ADDRESS, address, strict=True):
        page = z3.Store(page, z3.BitVecVal(place & 0xFF, 8), byte)
    given = number(*(frame.payload(i) for i in (2, 1, 0)))
    # An address that runs over its 24 bits was too large for the bus before.
    moved = z3.And(
        number(*address[2::-1]) == given + z3.ZeroExt(16, z3.LShR(done, 2)),
        z3.Or(done == 0, z3.ULT(given, 1 << program.OFFSET_BITS)),
        address[3] == frame.payload(3),
    )
    yield Claim("", z3.Implies(frame.of(Opcode.WRITE), z3.And(left, path.pages[1] == page, moved)))


def at_sample(path: Path, frame: Frame) -> Iterator[Claim]:
    """The next sample of a GRANT."""
    yield from in_hand(path, frame)
    left = path.byte(memory.LENGTH)
    yield Claim("once", z3.And(frame.due, frame.of(Opcode.GRANT)))
    yield Claim("once", path.x == FIRST + HEADER_BYTES + frame.length - left)
    yield Claim("", z3.And(left & 1 == 0, left != 0, z3.ULE(left, frame.length), path.pages[1] == frame.page))
    yield Claim("grant", z3.UGE(frame.room, z3.LShR(wide(left), 1)))


def at_answer(path: Path, frame: Frame) -> Iterator[Claim]:
    """The command is executed, and its status is in the accumulator."""
    status, now = path.a, session(path)
    opened, expected, *rest = now
    statuses, nonce = rest[:WINDOW], rest[WINDOW:]
    unchanged = equal(now, frame.session)
    greeted = z3.And(frame.of(Opcode.HELLO), frame.length == NONCE_BYTES)
    anew = z3.And(
        opened == 1, expected == 0, *(s == Status.SEQUENCE for s in statuses), *(byte == frame.payload(i) for i, byte in enumerate(nonce))
    )
    moved = z3.And(
        opened == frame.session[0],
        expected == frame.expected + 1,
        *(s == z3.If(frame.number & WINDOW - 1 == i, status, was) for i, (s, was) in enumerate(zip(statuses, frame.statuses, strict=True))),
        equal(nonce, frame.session[2 + WINDOW :]),
    )
    yield Claim("once", z3.If(z3.And(greeted, z3.Not(frame.continues)), anew, z3.If(frame.due, moved, unchanged)))
    stops = z3.Or(frame.of(Opcode.HALT), frame.of(Opcode.ABORT))
    told = z3.If(frame.length == 0, z3.BitVecVal(Status.OK, 8), z3.BitVecVal(Status.BAD_LENGTH, 8))
    answers = [
        (frame.of(Opcode.HELLO), status == z3.If(greeted, z3.BitVecVal(Status.OK, 8), z3.BitVecVal(Status.BAD_LENGTH, 8))),
        (z3.Not(frame.opened), status == Status.NO_SESSION),
        (stops, status == told),
        (frame.due, status != Status.SEQUENCE),
        (z3.And(frame.repeated, frame.of(Opcode.READ)), z3.BoolVal(True)),
        (frame.repeated, status == frame.cached),
    ]
    rule = z3.And(status == Status.SEQUENCE, path.byte(memory.ANSWER + 3) == frame.expected)
    for when, answer in reversed(answers):
        rule = z3.If(when, answer, rule)
    yield Claim("once", rule)
    yield Claim("", z3.And(path.byte(memory.FRAME) == frame.opcode, path.byte(memory.FRAME + 1) == frame.number))


def at_rest(path: Path, frame: Frame) -> Iterator[Claim]:
    """The answer is on its way."""
    yield Claim("once", equal(session(path), frame.session))


def written(now: Path, frame: Frame) -> Iterator[Claim]:
    """A word of a WRITE goes to its place, and is that of the frame."""
    at = now.byte(memory.AT)
    ahead = z3.ZeroExt(24, z3.LShR(at - (FIRST + 6), 2))
    address = number(z3.Extract(7, 4, now.address[3]), z3.BitVecVal(0, 8), z3.Extract(3, 0, now.address[2]), *now.address[1::-1])
    word = number(*(z3.Select(frame.page, at + i) for i in (3, 2, 1, 0)))
    yield Claim("once", z3.And(frame.due, frame.of(Opcode.WRITE)))
    yield Claim("once", address == number(*(frame.payload(i) for i in (3, 2, 1, 0))) + ahead)
    yield Claim("once", number(now.a, *now.low[::-1]) == word)


def told(operand: int, now: Path, frame: Frame) -> Iterator[Claim]:
    """A strobe is what the frame asks for."""
    bare = frame.length == 0
    rules = {
        Strobe.START: z3.And(frame.due, frame.of(Opcode.START), bare),
        Strobe.HALT: z3.And(frame.opened, frame.of(Opcode.HALT), bare),
        Strobe.ABORT: z3.And(frame.opened, frame.of(Opcode.ABORT), bare),
        Strobe.CLEAR_CREDIT: z3.And(frame.of(Opcode.HELLO), frame.length == NONCE_BYTES, z3.Not(frame.continues)),
        Strobe.ORDER: z3.And(
            frame.due, frame.of(Opcode.GRANT), number(now.a, now.low[0]) == number(*(z3.Select(frame.page, now.x - i) for i in (1, 2)))
        ),
    }
    yield Claim("once", rules[Strobe(operand.bit_length() - 1)] if operand.bit_count() == 1 else z3.BoolVal(False))
    if operand >> Strobe.ORDER & 1:
        yield Claim("grant", frame.room != 0)


def moved_on(start: Path, place: str, path: Path, frame: Frame, end: str) -> Iterator[Claim]:
    """What was told on the way is once what was asked for, and the next word or sample is another one."""
    kinds = [(op, operand) for op, operand, _ in path.effects]
    writes, orders = kinds.count((Op.BUS, 1)), kinds.count((Op.STROBE, 1 << Strobe.ORDER))
    starts, clears = kinds.count((Op.STROBE, 1 << Strobe.START)), kinds.count((Op.STROBE, 1 << Strobe.CLEAR_CREDIT))
    done = z3.And(z3.BoolVal(end == "answer"), path.a == Status.OK)
    writing = frame.of(Opcode.WRITE)
    yield Claim("once", z3.BoolVal(max(writes, orders, starts, clears) <= 1))
    if place in ("judge", "nonce"):
        yield Claim("once", z3.Implies(done, z3.BoolVal(starts == 1) == z3.And(frame.due, frame.of(Opcode.START))))
        anew = z3.And(frame.of(Opcode.HELLO), done, z3.Not(frame.continues))
        yield Claim("once", z3.BoolVal(clears == 1) == anew)
        yield Claim("once", z3.Not(z3.And(frame.due, done, z3.Or(writing, frame.of(Opcode.GRANT), frame.of(Opcode.READ)))))
    elif place == "word":
        last = start.byte(memory.REST) == 4
        yield Claim("once", z3.Implies(z3.And(writing, done), z3.And(z3.BoolVal(writes == 1), last)))
        if end == "word":
            step = path.byte(memory.AT) == start.byte(memory.AT) + 4
            yield Claim("once", z3.And(step, z3.BoolVal(writes == 1) == writing))
    elif place == "sample":
        rest = start.byte(memory.LENGTH) - 2
        yield Claim("once", z3.And(z3.BoolVal(orders == 1), rest == path.byte(memory.LENGTH), z3.BoolVal(end == "sample") == (rest != 0)))
        yield Claim("once", z3.Or(z3.BoolVal(end == "sample"), done))
    else:
        yield Claim("once", z3.BoolVal(all(op not in (Op.BUS, Op.STROBE) for op, _ in kinds)))


KNOWN: dict[str, Callable[[Path, Frame], Iterator[Claim]]] = {
    "byte": at_byte,
    "judge": at_judge,
    "nonce": at_nonce,
    "word": at_word,
    "sample": at_sample,
    "answer": at_answer,
    **dict.fromkeys(("check", "scan", "send byte"), at_rest),
}
"""What is known at each place of the program; every loop of it passes one of them."""


def first_paths(labels: dict[str, int]) -> Iterator[tuple[str, Path, Frame]]:
    """Yield a path from each place, and from the reset, with all that is known there."""
    for place in ("reset", *KNOWN):
        path, frame = Path(labels.get(place, 0)), any_frame()
        if place == "judge":
            # The frame is what lies there, whatever it is.
            path.known += [frame.page == path.pages[1], frame.length == path.byte(memory.LENGTH)]
            path.known += [frame.opcode == path.byte(memory.FRAME), frame.number == path.byte(memory.FRAME + 1)]
        known = at_rest if place in ("reset", "answer") else KNOWN[place]
        path.known += [claim.rule for claim in known(path, frame)]
        if place == "answer":
            path.known += [frame.opcode == path.byte(memory.FRAME), frame.number == path.byte(memory.FRAME + 1)]
        if not feasible(path.known):
            raise RuntimeError(f"What is known at {place} contradicts itself: nothing would be proved from there")
        yield place, path, frame


def obligations(words: list[int], labels: dict[str, int]) -> Iterator[tuple[Path, list[Claim]]]:
    """Yield every path of the program from a place to the next, and what must hold along it and at its end."""
    ends = {labels[place]: place for place in KNOWN}
    for place, start, frame in first_paths(labels):
        for path in follow(words, start, set(ends)):
            end = ends[path.pc]
            after = frame
            if place == "reset":
                after = replace(frame, session=[z3.BitVecVal(0, 8), *frame.session[1:]])
            elif place == "sample":
                # The machine may begin samples meanwhile, and then there is more room.
                after = replace(frame, room=frame.room - 1)
            elif end == "sample":
                credit = number(*path.word[::-1])
                path.known.append(z3.ULE(credit, CONFIG.order_depth))
                after = replace(frame, room=CONFIG.order_depth - z3.Extract(15, 0, credit))
            claims = [*effects(place, path, frame), *moved_on(start, place, path, frame, end), *KNOWN[end](path, after)]
            if place == "answer":
                claims.append(Claim("once", begun(start, path, frame)))
            yield path, claims


def begun(start: Path, path: Path, frame: Frame) -> z3.BoolRef:
    """Return whether an answer begins with the opcode, the number and the status."""
    opcode, given, status = (path.byte(memory.ANSWER + i) for i in range(3))
    return z3.And(opcode == frame.opcode | RESPONSE, given == frame.number, status == start.a)


def effects(place: str, path: Path, frame: Frame) -> Iterator[Claim]:
    """What the machine is told on the way is what the frame asks for, and what is received stays in its page."""
    for op, operand, now in path.effects:
        if op is Op.ST and operand >> 8 and place == "byte":
            yield Claim("frame", z3.ULE(now.x - FIRST, MAX_FRAME))
        elif op is Op.BUS and operand & 1:
            yield from written(now, frame)
        elif op is Op.BUS:
            yield Claim("once", z3.Or(frame.of(Opcode.READ), z3.And(frame.of(Opcode.GRANT), frame.due)))
            credit = z3.And(now.address[0] == REG["CREDIT"].address, *(byte == 0 for byte in now.address[1:]))
            yield Claim("grant", z3.Implies(frame.of(Opcode.GRANT), credit))
        elif op is Op.STROBE:
            yield from told(operand, now, frame)


class _Program(Proof):
    """A proof of the program, with what `claims` of this kind say."""

    block = "gateware.link.small_link.SmallLink, its program"
    kind = ""

    @classmethod
    def method(cls) -> str:
        return "every path of the program"

    def break_(self, words: list[int], labels: dict[str, int]) -> None:
        """Change the program to the mutant's."""
        raise NotImplementedError

    def verdict(self) -> Verdict:
        if not self.broken:
            return _whole()
        words, labels = assembled()
        self.break_(words, labels)
        return judged(words, labels, self.kind)


def assembled() -> tuple[list[int], dict[str, int]]:
    """Return the program and its labels."""
    return assemble(program.listing(CONFIG))


def judged(words: list[int], labels: dict[str, int], *kinds: str) -> Verdict:
    """Judge a program by claims of some kinds, or all."""
    for path, claims in obligations(words, labels):
        rules = [claim.rule for claim in claims if claim.proof in kinds or not kinds]
        if feasible(path.known, z3.Not(z3.And(*rules))):
            return Verdict(status="FAIL", step=path.pc, log="")
    return Verdict(status="PASS", step=None, log="")


@cache
def _whole() -> Verdict:
    """Return the verdict of the program as it is: its proofs rest on each other's claims."""
    return judged(*assembled())


class SmallExactlyOnce(_Program):
    """A duplicate never passes; a command that has its turn has it once: each word of a WRITE and each sample of a GRANT once, in order."""

    kind = "once"
    mutant = "the number that is expected next does not move on"

    def break_(self, words, labels):
        moves = Op.ADD << 12 | Mode.IMMEDIATE << 9 | 1
        words[words.index(moves, labels["done"])] -= 1


class SmallGrantFits(_Program):
    """A granted sample always has room."""

    kind = "grant"
    mutant = "a grant is not compared with the room there is"

    def break_(self, words, labels):
        words[words.index(Op.JUMP << 12 | When.CARRY << 9 | labels["fits"])] = Op.JUMP << 12 | When.ALWAYS << 9 | labels["fits"]


class SmallFrame(_Program):
    """Whatever the line brings, a frame never runs over the page that it is received in, and its length is that of its bytes."""

    kind = "frame"
    mutant = "the bytes of an overlong frame are stored on"

    def break_(self, words, labels):
        full = labels["take"] + 1
        words[full] = words[full - 1]
