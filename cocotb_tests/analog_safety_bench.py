"""Bench of the analog tile: arming, refusals, aborts, trips, limits and the budget."""

import cocotb
from cocotb.triggers import FallingEdge, ReadOnly

from backpulse.firmware_py.analog import ARM_FIRST, ARM_SECOND, CALIBRATION, DIRECT_CODES, DIRECT_SAMPLES, LINE_WORDS, PROFILES, Direct
from backpulse.firmware_py.isa import Op
from backpulse.firmware_py.registers import ArrayWord, Capability, Cause, TileKind, TileState, Window
from backpulse.rtl.tile.signature import Status, window_code
from cocotb_tests.analog_tb import LIMIT, LINES, PARAMETERS, READ_LIMIT, TB, WIDTH_MIN, ending
from cocotb_tests.streams import cycles

OPERATIONS = (Op.READ, Op.READT, Op.PULSE)
PARK = 200
"""Cycles, beyond a pulse, within which the tile ends what was cut short here: a set of codes, a conversion."""


def data(tb: TB, command: dict) -> list:
    """Return random data of a command."""
    return tb.rows_of_counts(command, 5) if command["op"] == Op.PULSE else tb.drives(command)


async def works(tb: TB) -> None:
    """Do a read and some pulses, which must be right."""
    command = tb.command(Op.READ)
    await tb.read(command, tb.drives(command))
    command = tb.command(Op.PULSE)
    await tb.pulse(command, tb.rows_of_counts(command, 2))


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def windows(dut):
    """The words say what the tile is; tables are read as they were written; the rest is an error."""
    tb = TB(dut)
    await tb.begin(armed=False)
    claims = await tb.get(ArrayWord.CAPABILITIES)
    assert claims == Capability.TWO_PHASE | Capability.TRIPS | Capability.PULSE_ABORT | Capability.WORK | Capability.BUDGET | (
        Capability.ARM | Capability.DIRECT
    )
    for word, value in (
        (ArrayWord.KIND, TileKind.ANALOG),
        (ArrayWord.PROFILES, PROFILES),
        (ArrayWord.SAFE_CYCLES, LIMIT + 8),
        (ArrayWord.STATE, TileState.SAFE | TileState.INTERLOCK),
        (ArrayWord.BUDGET, 0xFFFFFFFF),
        (ArrayWord.ARM, 0),
        (ArrayWord.LIMIT, LIMIT),
        (ArrayWord.READ_LIMIT, READ_LIMIT),
        (ArrayWord.CLOCK_KHZ, 100),
        (ArrayWord.WIDTH_MIN, WIDTH_MIN),
        (ArrayWord.LINES, LINES.to_word()),
        (ArrayWord.CALIBRATION, 0),
    ):
        assert await tb.get(word) == value, word.name
    for word in (ArrayWord.KIND, ArrayWord.PULSES, ArrayWord.LINES, ArrayWord.CALIBRATION + 1):
        assert not await tb.put(word, 1)
    for word, value in ((ArrayWord.CALIBRATION, 0x12345678), (ArrayWord.SDO_DELAY, 5)):
        assert await tb.put(word, value)
        assert await tb.get(word) == value
    assert int(dut.front__sdo_delay.value) == 5
    for number, profile in tb.model.profiles.items():
        assert [await tb.look(64 * number + i) for i in range(64)] == profile.to_words()
    for line, words in enumerate(tb.model.calibration):
        assert [await tb.look(CALIBRATION + LINE_WORDS * line + i) for i in range(LINE_WORDS)] == words.to_words()
    for offset in (CALIBRATION + LINE_WORDS * LINES.count, DIRECT_CODES + LINES.count, DIRECT_SAMPLES + LINES.count, 4096, 1 << 27):
        for value in (None, 1):
            assert (await tb.host.access(offset, value, window=window_code(Window.TILE)))[1], f"TILE {offset}"
    assert (await tb.host.access(DIRECT_SAMPLES, 1, window=window_code(Window.TILE)))[1]
    for window in (Window.CELLS, Window.SPREAD, Window.RANDOM):
        assert (await tb.host.access(0, window=window_code(window)))[1], window.name


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def arming(dut):
    """Two right words, one behind the other, and nothing else; any word but these disarms; without it nothing is driven."""
    tb = TB(dut)
    await tb.begin(armed=False)

    async def unarmed(what: str) -> None:
        assert not await tb.get(ArrayWord.STATE) & TileState.ARMED, what
        assert not int(dut.front__on.value), what

    for words in ([ARM_SECOND], [ARM_FIRST], [ARM_FIRST, ARM_FIRST], [ARM_SECOND, ARM_FIRST], [ARM_FIRST, 1, ARM_SECOND], [0, 0]):
        for word in words:
            assert await tb.put(ArrayWord.ARM, word)
            await unarmed(str(words))
        await tb.put(ArrayWord.ARM, 0)
    for between in (tb.put(ArrayWord.LIMIT, LIMIT), tb.table(0, [tb.model.profiles[0].to_words()[0]])):
        await tb.put(ArrayWord.ARM, ARM_FIRST)
        await between
        await tb.put(ArrayWord.ARM, ARM_SECOND)
        await unarmed("a write between the steps")
    for op in OPERATIONS:
        command = tb.command(op)
        tb.cmd.send([command])
        assert await tb.completion.get() == ending(command, status=Status.FAILED, cause=Cause.UNARMED)
    await tb.direct(Direct.MEASURE, 0, 0, tb.settings())
    assert not tb.front.drives
    assert await tb.get(ArrayWord.TRIP) == Cause.NONE
    await tb.arm()
    await works(tb)
    assert await tb.put(ArrayWord.ARM, 7)
    await unarmed("another word")
    await cycles(dut, 4)
    await tb.arm()
    await works(tb)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def refusals(dut):
    """A profile that is not valid, pulses that are too short, an operation that is none: no data is taken and nothing driven."""
    tb = TB(dut)
    await tb.begin()
    short = tb.model.profiles[3].to_words()
    await tb.table(64 * 9 + 4, [WIDTH_MIN - 1])
    await tb.table(64 * 9, [short[0]])
    refused = [tb.command(op, profile=7) for op in OPERATIONS] + [tb.command(Op.PULSE, profile=9), {**tb.command(Op.READ), "op": Op.ERR}]
    for command in refused:
        tb.cmd.send([command])
        assert await tb.completion.get() == ending(command, status=Status.REFUSED), command
    for kind, profile in ((Direct.MEASURE, 7), (Direct.PULSE, 7), (Direct.PULSE, 9), (3, 0)):
        await tb.direct(kind, profile, 2, tb.settings())
    assert not tb.front.drives
    await works(tb)


def judge_pulses(tb: TB, command: dict, taken: list, ended: dict) -> None:
    """Compare what was given and counted of a PULSE that was cut short: only the last pulse may be less than whole, and is not counted."""
    width = tb.model.profiles[command["profile"]].width
    pulses, drives = list(tb.model.pulses(command, taken)), tb.front.drives
    assert [drive.codes for drive in drives] == [codes for codes, _, _ in pulses[: len(drives)]]
    assert all(drive.width == width for drive in drives[:-1])
    assert all(drive.width <= width for drive in drives)
    whole = [(cells, row) for drive, (_, cells, row) in zip(drives, pulses, strict=False) if drive.width == width]
    asked = [sum(map(abs, line)) for line in taken]
    done = [sum(cells for cells, row in whole if row == command["row0"] + i) for i in range(len(taken))]
    assert (ended["asked"], ended["done"]) == (sum(asked), sum(done)), f"counted {ended}, given {whole}"
    rows = enumerate(zip(asked, done, strict=True), command["row0"])
    tb.short.expect([{"row": row, "asked": one, "done": two} for row, (one, two) in rows if one != two])


@cocotb.test(timeout_time=5, timeout_unit="ms")
@cocotb.parametrize(pause=PARAMETERS["pauses"])
async def aborts(dut, pause):
    """An abort at any moment ends a command at a pulse boundary, soon, with the right count; the next command is right."""
    tb = TB(dut, pause=pause)
    await tb.begin()
    ends = []
    for i in range(PARAMETERS.get("aborts", 36)):
        command = tb.command(OPERATIONS[i % 3], whole=True)
        words = data(tb, command)
        source = tb.counts if command["op"] == Op.PULSE else tb.drive
        before = source.sent
        tb.front.drives.clear()
        tb.send(command, words)
        await cycles(dut, tb.rng.randint(1, 400))
        dut.abort.value = 1
        tb.cmd.drop()
        tb.drive.drop()
        tb.sense.forget()
        await cycles(dut, tb.rng.randint(1, 3))
        dut.abort.value = 0
        tb.counts.drop()
        await cycles(dut, LIMIT + 6)
        await ReadOnly()
        assert int(dut.safe.value), "not safe in time after an abort"
        await cycles(dut, PARK * 2)
        assert len(tb.completion.words) <= 1
        if tb.completion.words:
            ended = await tb.completion.get()
            ends.append(ended["status"])
            if command["op"] == Op.PULSE:
                judge_pulses(tb, command, words[: source.sent - before], ended)
        tb.sense.words, tb.sense.times = [], []
        if i % 4 == 0:
            await works(tb)
    assert Status.ABORTED in ends


REASONS = (Cause.INTERLOCK, Cause.CRC, Cause.SUPPLY, Cause.UNARMED)


@cocotb.test(timeout_time=5, timeout_unit="ms")
async def trips(dut):
    """Whatever opens at any moment: off in the same time step, the cut pulse not counted, nothing more until cleared and armed again."""
    tb = TB(dut)
    await tb.begin()
    cut = 0
    for i in range(PARAMETERS.get("trips", 48)):
        command, reason = tb.command(OPERATIONS[i % 3], whole=True), REASONS[i // 3 % 4]
        words = data(tb, command)
        source = tb.counts if command["op"] == Op.PULSE else tb.drive
        before = source.sent
        tb.front.drives.clear()
        tb.send(command, words)
        await cycles(dut, tb.rng.randint(1, 400))
        await FallingEdge(dut.clk)
        outstanding = not tb.completion.words
        if reason is Cause.UNARMED:
            await tb.put(ArrayWord.ARM, 0)
        else:
            if reason is Cause.INTERLOCK:
                dut.front__closed.value = 0
            else:
                tb.front.fail(reason)
            await ReadOnly()
            assert not int(dut.front__on.value), "drivers are on with a reason to be off"
            assert not int(dut.front__gate.value), "the gate is up with a reason to be off"
            await FallingEdge(dut.clk)
        tb.drive.drop()
        tb.cmd.drop()
        begun = len(tb.front.drives)
        await cycles(dut, PARK)
        tb.counts.drop()
        assert len(tb.front.drives) == begun
        if outstanding:
            ended = await tb.completion.get()
            if ended["status"] is not Status.OK:
                assert (ended["status"], ended["cause"]) == (Status.FAILED, reason)
                if command["op"] == Op.PULSE:
                    cut += any(drive.width < tb.model.profiles[command["profile"]].width for drive in tb.front.drives)
                    judge_pulses(tb, command, words[: source.sent - before], ended)
        tb.sense.words, tb.sense.times, tb.completion.words, tb.completion.times = [], [], [], []
        tb.short.words, tb.short.times = [], []
        tripped = Cause.NONE if reason is Cause.UNARMED else reason
        assert await tb.get(ArrayWord.TRIP) == tripped == int(dut.trip.value)
        if tripped:
            await tb.put(ArrayWord.ARM, ARM_FIRST)
            await tb.put(ArrayWord.ARM, ARM_SECOND)
            assert not await tb.get(ArrayWord.STATE) & TileState.ARMED, "armed while tripped"
            dut.front__closed.value = 1
            assert not int(dut.cmd__ready.value)
            assert await tb.put(ArrayWord.TRIP, 0)
        await tb.arm()
        if i % 6 == 0:
            await works(tb)
    assert cut, "no pulse was cut"


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def limits(dut):
    """A pulse or a read that is longer than its limit is cut there and trips; codes are within whatever the host has written."""
    tb = TB(dut)
    await tb.begin()
    profile = tb.model.profiles[0]
    for op, word, limit in ((Op.PULSE, ArrayWord.LIMIT, profile.width - 1), (Op.READ, ArrayWord.READ_LIMIT, 9), (Op.READ, ArrayWord.READ_LIMIT, 0)):
        assert await tb.put(word, limit)
        command = tb.command(op, profile=0, whole=True)
        tb.front.drives.clear()
        tb.send(command, [[1] * LINES.logical_cols] * LINES.rows if op is Op.PULSE else tb.drives(command))
        ended = await tb.completion.get()
        assert (ended["status"], ended["cause"], ended["done"]) == (Status.FAILED, Cause.WIDTH, 0)
        assert [drive.width for drive in tb.front.drives] == [limit][: limit > 0]
        tb.counts.drop()
        tb.short.words, tb.short.times = [], []
        assert await tb.put(word, LIMIT if op is Op.PULSE else READ_LIMIT)
        assert await tb.put(ArrayWord.TRIP, 0)
        await tb.arm()
    for limit in (0, 1, 77, 32767):
        tb.model.code_limit, tb.model.read_code_limit = limit, limit // 2
        await tb.upload()
        for op in OPERATIONS:
            command = tb.command(op, whole=True)
            words = data(tb, command)
            await (tb.pulse if op is Op.PULSE else tb.read)(command, words)
            for drive in tb.front.drives:
                most = limit if op is Op.PULSE else limit // 2
                assert all(abs(code or 0) <= most for code in drive.codes)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def budget(dut):
    """As many pulses as the budget holds, the last of them for the first columns of a slot; then a trip."""
    tb = TB(dut)
    await tb.begin()
    for left in (0, 1, LINES.cols, 2 * LINES.cols + 1):
        command = tb.command(Op.PULSE, profile=1, whole=True)
        assert await tb.put(ArrayWord.BUDGET, left)
        tb.front.drives.clear()
        tb.send(command, [[3] * LINES.logical_cols] * LINES.rows)
        ended = await tb.completion.get()
        assert (ended["status"], ended["cause"]) == (Status.FAILED, Cause.BUDGET)
        if LINES.pieces == 1:
            assert ended["done"] == left
        assert await tb.get(ArrayWord.BUDGET) == 0
        assert await tb.get(ArrayWord.PULSES) == left
        tb.counts.drop()
        tb.short.words, tb.short.times = [], []
        assert await tb.put(ArrayWord.TRIP, 0)
        assert await tb.put(ArrayWord.BUDGET, 0xFFFFFFFF)
        await tb.arm()
    await works(tb)
