#!/usr/bin/env python3
"""Talks to a Backpulse board with nothing but pyserial: a network of 4 inputs and 3 outputs, written by hand and run on 4 samples.

    python bare_client.py /dev/ttyUSB1

All that it knows is in docs/protocol.md (frames, commands, addresses, CONFIG) and docs/machine.md (instructions, numbers, parameters).
"""

import argparse
import binascii
import math
import os
import struct
import sys
import time

import serial

HELLO, READ, WRITE, START, GRANT, HALT = range(1, 7)  # commands
STATUS = ["OK", "NO_SESSION", "BAD_ADDRESS", "BUSY", "BAD_LENGTH", "UNKNOWN_OPCODE", "FULL", "NOT_RUNNING", "SEQUENCE"]
PROGRAM, REGIONS, VECTORS, VECTOR_MEMORY, STORE, RESULTS = (window << 28 for window in range(1, 7))
CELLS, READ_SIGMA = 0x80000000, 0xB0000008
MAGIC, STATE, FAULT, ENTRY, BANK, STRIDE, CONFIG, CONFIG_DIGEST, BUILD_DIGEST = 0, 6, 7, 9, 10, 11, 0x10, 0x40, 0x48
STEPS, HITS = 0x60, 0x61  # counters
PAUSED, FAULTY = 2, 3  # values of STATE
FIELDS = [
    *("tile_rows", "tile_cols", "tiles", "device", "spread", "read_noise"),
    *("vector_bits", "vector_frac", "pre_frac", "acc_bits", "drive_bits", "sense_bits", "sense_scale_log2", "cell_bits", "cell_frac"),
    *(
        "pulse_max",
        "steps",
        "bounds",
        "prefetch",
        "lean",
        "program_words",
        "regions",
        "vectors",
        "vector_words",
        "page_bytes",
        "store_words",
    ),
    *("order_depth", "result_depth", "output_depth", "trace_words"),
]
FORMATS = (16, 12, 10, 24, 8, 10, 2, 16, 14)  # vector_bits to cell_frac, as machine.md has them

WEIGHTS = [[1.5, -0.75, 0.25], [-1.0, 1.25, 0.5], [0.5, 0.375, -1.75], [-0.25, -1.5, 1.0]]  # [input][output], below 2
SAMPLES = [[127, 0, 64, -32], [0, 100, 0, -127], [-20, 30, -127, 127], [90, -90, 10, 5]]  # bytes; 128 would be 1.0
# The sense word is rounded to 1/128, the sigmoid's argument to 1/64, where its slope is at most 1/4, and its value to 1/4096.
TOLERANCE = (1 / 256 + 1 / 128) / 4 + 1 / 4096


class BoardError(Exception):
    """The board, or the line to it, does not do what is asked of it."""


def encode(opcode, seq, payload):
    """One frame: CRC, then COBS, then the zero that ends it."""
    frame = bytes([opcode, seq]) + payload
    frame += binascii.crc32(frame).to_bytes(4, "little")
    return b"".join(bytes([len(piece) + 1]) + piece for piece in frame.split(b"\0")) + b"\0"


def decode(encoded):
    """(opcode, sequence, payload) from the bytes before a zero; None if they are damaged."""
    pieces = []
    while encoded:
        pieces.append(encoded[1 : encoded[0]])
        encoded = encoded[encoded[0] :]
    frame = b"\0".join(pieces)
    if len(frame) < 7 or binascii.crc32(frame[:-4]).to_bytes(4, "little") != frame[-4:]:
        return None
    return frame[0], frame[1], frame[2:-4]


class Board:
    """One command at a time, and the same again until it is answered."""

    def __init__(self, port, baud):
        self.line = serial.Serial(port, baud, timeout=0.05)
        self.received = b""
        self.seq = 0
        self.abi, self.seq, _ = struct.unpack("<IBB", self.command(HELLO, os.urandom(8)))

    def command(self, opcode, payload=b""):
        """Return the data of the answer."""
        for _ in range(8):
            self.line.write(b"\0" + encode(opcode, self.seq, payload))
            answer = self.answer(opcode | 0x80, time.monotonic() + 1)
            if answer:
                if opcode not in (HELLO, HALT):
                    self.seq = (self.seq + 1) % 256
                if answer[0]:
                    raise BoardError(f"the board answers {STATUS[answer[0]]} to command {opcode}")
                return answer[1:]
        raise BoardError(f"the board does not answer command {opcode}")

    def answer(self, opcode, deadline):
        """Return status and data of the answer that is awaited; damaged ones, and second ones to earlier frames, are passed over."""
        while time.monotonic() < deadline:
            self.received += self.line.read(max(1, self.line.in_waiting))
            *frames, self.received = self.received.split(b"\0")
            for found in map(decode, frames):
                if found and found[:2] == (opcode, self.seq):
                    return found[2]
        return None

    def read(self, address, count=1):
        """Return up to 60 words."""
        return struct.unpack(f"<{count}I", self.command(READ, struct.pack("<IB", address, count)))

    def write(self, address, *words):
        """Write up to 60 words; negative ones in two's complement."""
        self.command(WRITE, struct.pack(f"<{len(words) + 1}I", address, *(word & 0xFFFFFFFF for word in words)))

    def wait(self, ready, what):
        """Ask until a condition on the counter STEPS and the register STATE holds."""
        deadline = time.monotonic() + 60
        while not ready(*self.read(STEPS), *self.read(STATE)):
            if time.monotonic() > deadline:
                raise BoardError(f"the board does not {what}")


def identify(board):
    """Print who answers, and stop if it is not what this script is written for."""
    magic = board.read(MAGIC)[0].to_bytes(4, "little")
    print(f"magic {magic.decode(errors='replace')}, ABI {board.abi}")
    if magic != b"BKPL" or board.abi != 4:
        raise BoardError("this is no Backpulse board of ABI 4")
    config = board.read(CONFIG, len(FIELDS))
    for field, value in zip(FIELDS, config, strict=True):
        print(f"  {field} {value}")
    for name, address in (("configuration", CONFIG_DIGEST), ("build", BUILD_DIGEST)):
        print(f"{name} digest {struct.pack('<8I', *board.read(address, 8)).hex()}")
    if config[6:15] != FORMATS or config[0] < len(WEIGHTS) or config[1] < len(WEIGHTS[0]):
        raise BoardError("this board's tile is too small, or has other number formats than this script computes with")


def instruction(op, *, region=0, a=0, b=0, c=0, function=0):
    """Return an instruction word; the four flags above bit 37 stay 0."""
    return op | region << 4 | a << 16 | b << 22 | c << 28 | function << 34


def load(board):
    """Write three instructions, one region, four vectors, the weights and the samples."""
    inputs, outputs = len(WEIGHTS), len(WEIGHTS[0])
    program = [
        instruction(1, region=0, a=0, b=2, function=4),  # READ region 0, vector 0 > vector 2, SIGMOID
        instruction(4, a=1, b=2, c=3, function=1),  # ERR vector 1, vector 2 > vector 3, NONE: counts hits, names the class
        instruction(7, region=0),  # NEXT: waits for a sample, goes on at address 0
    ]
    for address, word in enumerate(program):
        board.write(PROGRAM + 2 * address, word & 0xFFFFFFFF, word >> 32)
    board.write(REGIONS, 0, outputs | inputs << 16, 0, 0)  # in the corner of tile 0, scale_log2 0, no offsets
    vectors = [(0, inputs, 1), (inputs, outputs, 1), (0, outputs, 0), (outputs, outputs, 0)]  # input, target, output, error
    board.write(VECTORS, *(base | length << 16 | sample << 31 for base, length, sample in vectors))
    for row, weights in enumerate(WEIGHTS):
        board.write(CELLS + (row << 8), *(round(weight * 2**14) for weight in weights))
    board.write(READ_SIGMA, 0)  # no read noise
    stride = (inputs + outputs + 3) // 4
    board.write(STRIDE, stride)
    for i, sample in enumerate(SAMPLES):
        target = [127 if y == max(expected(sample)) else 0 for y in expected(sample)]
        record = struct.pack(f"{inputs + outputs}b", *sample, *target).ljust(4 * stride, b"\0")
        board.write(STORE + i * stride, *struct.unpack(f"<{stride}I", record))
    board.write(ENTRY, len(program) - 1)
    board.write(BANK, 1)


def expected(sample):
    """Return sigmoid(W x) in floating point."""
    sums = [sum(x / 128 * w for x, w in zip(sample, column, strict=True)) for column in zip(*WEIGHTS, strict=True)]
    return [1 / (1 + math.exp(-z)) for z in sums]


def rounded(values):
    """Return numbers as text."""
    return " ".join(f"{value:.4f}" for value in values)


def infer(board, index):
    """Run one sample; print its output vector and compare it with floating point."""
    (before,) = board.read(STEPS)
    board.command(GRANT, struct.pack("<H", index))
    board.wait(lambda steps, state: state == FAULTY or (steps != before and state == PAUSED), "finish a sample")
    if board.read(STATE) == (FAULTY,):
        raise BoardError(f"the board stopped with fault {board.read(FAULT)[0]:#x}")
    want = expected(SAMPLES[index])
    got = [struct.unpack("<i", struct.pack("<I", word))[0] / 4096 for word in board.read(VECTOR_MEMORY, len(want))]
    prediction = board.read(RESULTS + index // 2)[0] >> 16 * (index % 2) & 0xFFFF
    print(f"sample {index}: class {prediction}, output {rounded(got)}, expected {rounded(want)}")
    if any(abs(g - w) > TOLERANCE for g, w in zip(got, want, strict=True)) or prediction != want.index(max(want)):
        raise BoardError(f"sample {index} is not what floating point gives within {TOLERANCE:.4f}")


def main():
    """Run it all; return the exit code."""
    parser = argparse.ArgumentParser(description="Run a hand-written network on a Backpulse board.")
    parser.add_argument("port", help="serial port or pty")
    parser.add_argument("--baud", type=int, default=1_000_000)
    arguments = parser.parse_args()
    try:
        board = Board(arguments.port, arguments.baud)
        identify(board)
        board.command(HALT)
        board.wait(lambda steps, state: state in (0, FAULTY), "stop")
        load(board)
        (hits,) = board.read(HITS)
        board.command(START)
        for index in range(len(SAMPLES)):
            infer(board, index)
        hits = (board.read(HITS)[0] - hits) & 0xFFFFFFFF
        board.command(HALT)
        if hits != len(SAMPLES):
            raise BoardError(f"the board counts {hits} hits, not {len(SAMPLES)}")
    except (BoardError, OSError) as error:
        print(f"Error: {error}.", file=sys.stderr)
        return 1
    print(f"all {hits} samples agree with sigmoid(W x) within {TOLERANCE:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
