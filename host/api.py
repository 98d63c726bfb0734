"""The public interface, `import backpulse`: the names that docs/python.md tells, and where they are."""

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.compiler import SCHEDULES, Program
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.device import PRESETS, Device
from backpulse.firmware_py.network import Network
from backpulse.host.api_parts import dataset, device, open_board, program
from backpulse.host.api_runs import infer, read_trace, replay, sweep, train
from backpulse.host.array_file import read_array
from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.datasets import Dataset
from backpulse.host.datasets import load as load_dataset
from backpulse.host.errors import FaultError, HostError, InputError, LinkError, OwnError, StorageError
from backpulse.host.runs import Training
from backpulse.host.settings import Settings
from backpulse.host.stop import Stop
from backpulse.host.sweep import Interval, Sweep
from backpulse.host.trace_file import TraceFile
from backpulse.host.training import Event
from backpulse.host.urls import Address
from backpulse.host.weights import Weights

__all__ = [
    "PRESETS",
    "SCHEDULES",
    "Address",
    "Array",
    "Board",
    "Checkpoint",
    "Config",
    "Dataset",
    "Device",
    "Event",
    "FaultError",
    "HostError",
    "InputError",
    "Interval",
    "LinkError",
    "Network",
    "OwnError",
    "Program",
    "Settings",
    "Stop",
    "StorageError",
    "Sweep",
    "TraceFile",
    "Training",
    "Weights",
    "dataset",
    "device",
    "infer",
    "load_dataset",
    "open_board",
    "program",
    "read_array",
    "read_trace",
    "replay",
    "sweep",
    "train",
]
