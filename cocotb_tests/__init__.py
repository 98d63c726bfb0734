"""RTL against the golden model: test_*.py is run by pytest, *_bench.py inside the simulator."""

import gc
import os

from cocotb_tests import light

if libraries := os.environ.get(light.VARIABLE):
    light.stand_in(libraries.split(","))
    gc.disable()  # a simulator ends before garbage would matter
