import pytest

from backpulse.firmware_py.registers import REG, REGISTERS, STREAM_SHIFT, Counter, Stream, Window, word_name
from backpulse.host.commands import reads, writes


@pytest.mark.parametrize(
    ("address", "name"),
    [
        *((REG["COUNTER"].address + counter, f"counter {counter.name}") for counter in Counter),
        *((register.address, f"register {register.name}") for register in REGISTERS if register.count == 1),
        (REG["SCALE"].address + 7, "register SCALE[7]"),
        (REG["COUNTER"].address + len(Counter), "REGISTERS 0x6d"),
        (Window.CELLS.base | 3 << 8 | 5, "CELLS row 3 column 5"),
        (Window.SPREAD.base, "SPREAD row 0 column 0"),
        (Window.RANDOM.base | Stream.READ << STREAM_SHIFT | 1, "RANDOM READ 1"),
        (Window.RANDOM.base | 3 << STREAM_SHIFT, "RANDOM 0xc00"),
        (Window.STORE.base | 0x12, "STORE 0x12"),
        (15 << 28, "0xf0000000"),
    ],
)
def test_words_have_names(address, name):
    assert word_name(address) == name


def test_commands_name_counters_and_registers():
    assert [request.what for request in reads(REG["COUNTER"].address, len(Counter))] == ["READ of 13 words at counter STEPS"]
    assert [request.what for request in writes(REG["ENTRY"].address, [1, 0])] == ["WRITE of 2 words at register ENTRY"]
