"""Bench of the vendor's cell models: block memory, multiplier and single-port memory against plain Python."""

import cocotb

from cocotb_tests.streams import cycles, generator, start


def signed(word: int) -> int:
    """Return a word of 16 bits as a signed number."""
    return word - (word >> 15 << 16)


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def memory(dut):
    """Every word keeps what each byte enable let in; what is read comes a cycle later and stays while not enabled."""
    rng = generator(1)
    words, read = [0] * 256, None
    dut.byte_en.value, dut.r_en.value = 0, 0
    await start(dut)
    for _ in range(2000):
        w_addr, data, mask = rng.randrange(256), rng.getrandbits(16), rng.randrange(4)
        r_addr, enabled = (w_addr + rng.randrange(1, 256)) % 256, rng.randrange(2)
        dut.w_addr.value, dut.w_data.value, dut.byte_en.value = w_addr, data, mask
        dut.r_addr.value, dut.r_en.value = r_addr, enabled
        await cycles(dut)
        if enabled:
            read = words[r_addr]
        bits = (mask & 1) * 0xFF | (mask >> 1) * 0xFF00
        words[w_addr] = words[w_addr] & ~bits | data & bits
        assert read is None or int(dut.r_data.value) == read


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def multiplier(dut):
    """Signed and unsigned products, extreme ones among them."""
    rng = generator(2)
    corners = [0, 1, 0x7FFF, 0x8000, 0xFFFF]
    pairs = [(a, b) for a in corners for b in corners] + [(rng.getrandbits(16), rng.getrandbits(16)) for _ in range(500)]
    await start(dut)
    for a, b in pairs:
        dut.a.value, dut.b.value = a, b
        await cycles(dut)
        assert dut.product.value.to_signed() == signed(a) * signed(b)
        assert int(dut.product_unsigned.value) == a * b


@cocotb.test(timeout_time=1, timeout_unit="ms")
async def single_port(dut):
    """Words far apart keep what was written."""
    rng = generator(3)
    await start(dut)
    written = {rng.randrange(1 << 14): rng.getrandbits(16) for _ in range(200)}
    dut.store_en.value = 1
    dut.store_write.value = 1
    for address, word in written.items():
        dut.store_addr.value, dut.store_in.value = address, word
        await cycles(dut)
    dut.store_write.value = 0
    for address, word in written.items():
        dut.store_addr.value = address
        await cycles(dut)
        assert int(dut.store_out.value) == word
