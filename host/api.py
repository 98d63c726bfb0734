"""The public interface, `import backpulse`: the names that docs/python.md tells, and where they are."""

from backpulse.firmware_py.array import Array
from backpulse.firmware_py.compiler import SCHEDULES, Program
from backpulse.firmware_py.config import Config
from backpulse.firmware_py.device import PRESETS, Device
from backpulse.firmware_py.network import Network
from backpulse.host.api_boards import array_model, boards, build, export, fit, info, open_array, ports
from backpulse.host.api_devices import devices, fit_device, read_device
from backpulse.host.api_parts import dataset, device, open_board, program
from backpulse.host.api_runs import divergence, infer, read_trace, replay, train
from backpulse.host.api_saved import read_run, report, watch
from backpulse.host.api_sweeps import compare, learning_map, sweep
from backpulse.host.array_file import read_array
from backpulse.host.board import Board
from backpulse.host.checkpoint import Checkpoint
from backpulse.host.comparing import Comparison, LearningMap
from backpulse.host.datasets import Dataset
from backpulse.host.datasets import load as load_dataset
from backpulse.host.device_file import DeviceFile
from backpulse.host.device_simulation import Response, simulate_device
from backpulse.host.diverging import Parting
from backpulse.host.errors import FaultError, HostError, InputError, LinkError, OwnError, StorageError
from backpulse.host.lab import Lab
from backpulse.host.lab_results import Curves, Endurance, Forming, IVCurve, Programmed, ReadMap, Retention
from backpulse.host.runs import Training
from backpulse.host.saved.folder import SavedRun
from backpulse.host.self_check import SelfCheck
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
    "Comparison",
    "Config",
    "Curves",
    "Dataset",
    "Device",
    "DeviceFile",
    "Endurance",
    "Event",
    "FaultError",
    "Forming",
    "HostError",
    "IVCurve",
    "InputError",
    "Interval",
    "Lab",
    "LearningMap",
    "LinkError",
    "Network",
    "OwnError",
    "Parting",
    "Program",
    "Programmed",
    "ReadMap",
    "Response",
    "Retention",
    "SavedRun",
    "SelfCheck",
    "Settings",
    "Stop",
    "StorageError",
    "Sweep",
    "TraceFile",
    "Training",
    "Weights",
    "array_model",
    "boards",
    "build",
    "compare",
    "dataset",
    "device",
    "devices",
    "divergence",
    "export",
    "fit",
    "fit_device",
    "infer",
    "info",
    "learning_map",
    "load_dataset",
    "open_array",
    "open_board",
    "ports",
    "program",
    "read_array",
    "read_device",
    "read_run",
    "read_trace",
    "replay",
    "report",
    "simulate_device",
    "sweep",
    "train",
    "watch",
]
