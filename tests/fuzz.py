"""Command lines and data files that a person could get wrong, made from a number: the same number, the same case."""

import gzip
import io
import random

import numpy as np

from .test_datasets import write_idx

NASTY = [
    "",
    " ",
    "-",
    "--",
    "0",
    "-1",
    "1e999",
    "nan",
    "x",
    "x" * 300,
    "a b",
    "$x$",
    "[bold]",
    "[/]",
    "ä",
    "\udcff",
    "\x1b[31m",
    "1" * 5000,
]
NUMBERS = ["1", "0", "-1", "2", "1.5", "1e3", str(10**12), str(10**30), "0x10", "١"]
SHARES = [*NUMBERS, "0.3", "0.99"]
FILES = [
    "r.json",
    "p.png",
    "l.npz",
    "no/r.json",
    ".",
    "/",
    "/dev/full",
    "/dev/null",
    "/sys/r.json",
    "table.csv",
    "run.npz",
    "[red].png",
    "$a$.svg",
]
NAMES = [
    "sigmoid",
    "tanh",
    "linear",
    "relu",
    "squared",
    "cross-entropy",
    "ideal",
    "ecram",
    "software",
    "progressive",
    "deferred",
    "nearest",
    "step",
    "plateau",
]
LAYERS = [
    "4-3",
    "4-5-3",
    "64-32-10",
    "4",
    "4-",
    "-",
    "4--3",
    "4-0-3",
    "4-99999999-3",
    "9999-9999-10",
    "4-3-" + "3-" * 200 + "3",
    "4x3",
    "٤-3",
]
BOARDS = [
    "golden://",
    "golden",
    "SIM://",
    "sim",
    "foo://",
    "socket://",
    "socket://:1",
    "socket://127.0.0.1:1",
    "[::1]:1",
    "/dev/null",
    ".",
    "icebreaker",
]
TILES = ["16x8", "8x4", "1x1", "0x8", "x", "8", "99999x9", "8x4x2", "-8x4", "512x256"]
VALUES = {
    **dict.fromkeys(["--layers"], LAYERS),
    **dict.fromkeys(["--epochs", "--seed", "--seeds", "--tiles", "--baud", "--clk-hz", "--socket", "--weight-scale", "--lr"], NUMBERS),
    **dict.fromkeys(["--lr-wait", "--lr-factor", "--lr-floor", "--validation", "--patience"], SHARES),
    **dict.fromkeys(["--checkpoint", "--best", "--resume", "--plot", "--pulse-log", "--json", "--file", "--out"], FILES),
    **dict.fromkeys(["--activation", "--output", "--loss", "--device", "--rounding", "--schedule", "--schedules", "--lr-schedule"], NAMES),
    "--board": BOARDS,
    "--tile": TILES,
    "--dataset": ["iris", "table.csv", "none.csv", ".", "/dev/zero", "run.npz", "digits"],
    "--target": ["kind", "3", "a", "kind,a"],
    "--features": ["a", "a,b", "1", "a,,b", "kind"],
    "--drop": ["a", "a,b", "kind", "9"],
    "--missing": ["drop", "mean", "median", "mode"],
    "--part": ["all", "train", "test", "some"],
}
NETWORK = ["--layers", "--activation", "--output", "--loss", "--weight-scale", "--json"]
DATA = ["--dataset", "--target", "--features", "--drop", "--missing"]
TRAINING = ["--lr", "--lr-schedule", "--lr-wait", "--lr-factor", "--lr-floor", "--validation"]
MACHINE = ["--device", "--tile", "--tiles", "--baud", "--json"]
RUN = ["--checkpoint", "--best", "--resume", "--plot", "--pulse-log", "--reference"]
OPTIONS = {
    "train": [
        *NETWORK,
        *DATA,
        *MACHINE,
        *RUN,
        *TRAINING,
        "--patience",
        "--board",
        "--schedule",
        "--seed",
        "--rounding",
        "--no-bias",
        "--no-auto-range",
    ],
    "infer": ["--board", "--dataset", "--target", "--part", "--outputs", "--json", "--baud"],
    "compare": [*NETWORK, *DATA, *TRAINING, "--schedules", "--device", "--rounding", "--tile", "--plot", "--json"],
    "program": [*NETWORK, "--schedule", "--rounding", "--tile", "--tiles"],
    "info": [*MACHINE, "--board"],
    "fit": [*NETWORK, "--schedule"],
    "boards": ["--json"],
    "build": ["--json"],
    "flash": ["--file"],
    "sim": [*MACHINE, "--socket"],
    "export": [*MACHINE, "--clk-hz"],
    "nonsense": ["--json"],
}
ALWAYS = {
    "train": ["--epochs", "1"],
    "infer": ["--checkpoint", "run.npz"],
    "compare": ["--epochs", "1", "--seeds", "1", "--schedules", "progressive"],
    "fit": ["--board", "icebreaker"],
    # These would build, load or serve if nothing were wrong with them.
    "build": ["--board", "nonsense"],
    "flash": ["--board", "nonsense"],
    "sim": ["--tile", "0x8"],
    "export": ["--out", "v", "--tile", "0x8"],
}


def command_line(case: int) -> list[str]:
    """Return a command with options of which most are wrong."""
    chance = random.Random(case)
    command = chance.choice(list(OPTIONS))
    words = [command, *ALWAYS.get(command, [])]
    for option in chance.sample(OPTIONS[command], min(len(OPTIONS[command]), chance.randrange(5))):
        words.append(option)
        if option in VALUES and chance.random() < 0.95:
            words.append(chance.choice(NASTY if chance.random() < 0.2 else VALUES[option]))
    if chance.random() < 0.1:
        words.insert(chance.randrange(len(words) + 1), chance.choice(NASTY))
    if command in ("sim", "export", "build", "flash"):
        words += ALWAYS[command]  # the last one counts
    return words


def table(chance: random.Random) -> bytes:
    """Return a table of text that is sound."""
    between = chance.choice(",;\t")
    rows = [(f"{chance.gauss(0, 1):.3f}", str(chance.randrange(9)), chance.choice(["red", "blue"]), f"k{k % 3}") for k in range(30)]
    return "\n".join(between.join(row) for row in [("a", "b", "c", "kind"), *rows]).encode()


def archive(chance: random.Random) -> bytes:
    """Return a .npz file that is sound."""
    file = io.BytesIO()
    x = np.random.RandomState(chance.randrange(1000)).normal(size=(30, 3))
    save = chance.choice([np.savez, np.savez_compressed])
    save(file, X=x, y=np.arange(30) % 3, feature_names=np.array(["a", "b", "c"]), label_names=np.array(["u", "v", "w"]))
    return file.getvalue()


def damage(chance: random.Random, data: bytes) -> bytes:
    """Return a file of which some bytes are other, gone, too many or twice."""
    raw = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 5, 20])):
        at, size = chance.randrange(len(raw) + 1), chance.choice([1, 1, 2, 4, 30])
        kind = chance.randrange(7)
        if kind == 0:
            raw[at : at + 1] = bytes([raw[at] ^ 1 << chance.randrange(8)]) if at < len(raw) else b""
        elif kind == 1:
            raw[at : at + size] = chance.randbytes(size)
        elif kind == 2:
            del raw[at : at + size]
        elif kind == 3:
            raw[at:at] = raw[at : at + size]
        elif kind == 4:
            del raw[at:]
        elif kind == 5:
            raw[at:at] = chance.choice([b",", b"\n", b'"', b"\0", b"nan", b"1e999", b"-", b"\xff", b"#", "٣".encode(), b"9" * 400])
        else:
            raw[at : at + 4] = chance.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"])
    return bytes(raw)


def data_file(case: int, folder) -> str:
    """Write a damaged data file, and return the path to give to --dataset."""
    chance = random.Random(case)
    kind = chance.choice(["csv", "csv.gz", "npz", "idx", "idx.gz"])
    if kind.startswith("csv"):
        content = damage(chance, table(chance))
        packed = gzip.compress(content, mtime=0)
        path = folder / chance.choice(["t.csv", "t.tsv", "t.txt", "t.dat"])
        if kind == "csv.gz":
            path, content = path.with_name(path.name + ".gz"), damage(chance, packed) if chance.random() < 0.5 else packed
        path.write_bytes(content)
        return str(path)
    if kind == "npz":
        (folder / "t.npz").write_bytes(damage(chance, archive(chance)))
        return str(folder / "t.npz")
    images = np.random.RandomState(chance.randrange(1000)).randint(0, 256, (30, 4, 4)).astype(np.uint8)
    ending = ".gz" if kind == "idx.gz" else ""
    files = []
    for part in ("train", "t10k"):
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", (np.arange(30) % 3).astype(np.uint8))):
            write_idx(folder / name, array)
            files.append(folder / (name + ending))
            if ending:
                files[-1].write_bytes(gzip.compress((folder / name).read_bytes(), mtime=0))
                (folder / name).unlink()
    broken = chance.choice(files)
    broken.write_bytes(damage(chance, broken.read_bytes()))
    return str(chance.choice([folder, files[0]]))
