"""Real arrays whose devices are step tables: what is inside, and array files that name a device file."""

from dataclasses import replace
from pathlib import Path

import pytest

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.compiler import compile_network
from backpulse.firmware_py.config import TABLE
from backpulse.firmware_py.dead import Dead
from backpulse.firmware_py.image import program_image, random_image, samples_image, scales_image
from backpulse.firmware_py.network import Network
from backpulse.firmware_py.real import inside_config, real_config, real_machine
from backpulse.firmware_py.registers import Stream
from backpulse.firmware_py.streams import seed_states
from backpulse.firmware_py.table_device import STUCK, TableDevice, spread_offset
from backpulse.host.array_file import parse_array, read_array, self_contained
from backpulse.host.device_file import write_device
from backpulse.host.devices import text_of
from backpulse.host.errors import InputError
from backpulse.host.settings import Settings
from backpulse.host.training import Trainer
from backpulse.host.urls import Address, board_config, open_board

from .machines import Loaded, loaded
from .test_device_fit import fitted
from .test_table_device import WILD, wild

NETWORK = Network.parse("4-8-3")
SMALL = replace(TABLE, tile_rows=24, tile_cols=16, tiles=1)


def test_the_devices_inside_do_what_emulated_ones_do() -> None:
    """From the same cells and random states the same program leaves the same cells, though nobody has written a table."""
    device = replace(wild(3, **WILD), leak_samples=400.0)
    emulated = loaded(NETWORK, device=device, config=SMALL)
    inside = emulated.machine.memory
    machine = real_machine(SMALL, device, 1, stuck=[(23, 15, 0.25)])
    assert machine.config == real_config(SMALL)
    assert inside_config(SMALL, device) == replace(SMALL, read_noise=1)
    real = Loaded(machine, compile_network(NETWORK, machine.config))
    assert spread_offset(machine.memory.spread[23, 15]) == STUCK
    assert machine.memory.law.persistent[23, 15] == machine.memory.cells[23, 15] == 0.25 * (1 << SMALL.cell_frac)
    emulated.machine.memory.spread[23, 15] = machine.memory.spread[23, 15]
    assert (machine.memory.spread == inside.spread).all()
    for there, here in ((machine.memory, inside), (machine.memory.law, inside.law)):
        for name in {"cells", "write", "persistent"} & set(here._fields):
            getattr(there, name)[:] = getattr(here, name)
    real.write(program_image(real.program))
    real.write(random_image({Stream.ROUNDING: seed_states(SMALL, 1)[Stream.ROUNDING]}))
    real.write(scales_image(Settings(layers="4-8-3", dataset="iris", device=text_of(device), lr=0.5).scale_words(0.5)))
    words = emulated.machine.memory.store.view("<u4").reshape(-1, 1)
    real.write(samples_image(0, words))
    before = inside.cells.copy()
    for one in (emulated, real):
        one.run(0, range(64))
    assert (inside.cells != before).sum() > 50
    assert (machine.memory.cells == inside.cells).all()
    assert (machine.memory.law.persistent == inside.law.persistent).all()
    assert (inside.cells != inside.law.persistent).any()  # noise that a later pulse takes away
    assert machine.memory.cells[23, 15] == before[23, 15]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    write_device(tmp_path / "mine.toml", fitted("sandia")[1])
    file = tmp_path / "lab.toml"
    file.write_text('kind = "real"\ndevice = "mine.toml"  # measured\n[dead]\nrows = [5]\n')
    return file


def test_an_array_file_names_a_device_file_beside_it(lab: Path) -> None:
    array = read_array(lab)
    assert isinstance(array.inside, TableDevice)
    alone = self_contained(lab)
    lab.with_name("mine.toml").unlink()
    assert parse_array(alone, "it") == array
    settings = Settings(dataset="iris", layers="4-8-3", device=text_of(array.inside), dead="r5", lr=1.0)
    config = board_config(settings.network, array.inside, array=array, dead=Dead.parse(settings.dead))
    with open_board(Address("golden://", array), config=config) as board:
        trainer = Trainer(board, settings, 3)
        trainer.run()
        result = trainer.result()
    assert result["conductance_digest"] is None
    assert result["test_accuracy"][-1] > 0.6


@pytest.mark.parametrize(
    ("device", "sentence"),
    [
        ("mine.tml", r"lab\.toml: device: Unknown device mine\.tml"),
        ("other.toml", r"lab\.toml: device: .*other\.toml"),
        ("ecrma", r"lab\.toml: device: Unknown device ecrma \(did you mean ecram"),
        ("enode:linear", r"lab\.toml: device: Device enode of enode has no linear fit"),
    ],
)
def test_a_device_that_is_none_is_told_with_the_file(lab: Path, device: str, sentence: str) -> None:
    lab.write_text(lab.read_text().replace("mine.toml", device))
    with pytest.raises(InputError, match=sentence):
        read_array(lab)


def test_models_without_tables_say_so(lab: Path) -> None:
    array = read_array(lab)
    config = board_config(NETWORK, array.inside, array=array)
    with (
        pytest.raises(InputError, match="behind sim:// carries no step tables: take golden://"),
        open_board(Address("sim://", array), config=config),
    ):
        pass
    with pytest.raises(ValueError, match="device is no device"):
        Array(device="mine.toml")
