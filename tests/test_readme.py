"""What the README shows is what the program prints."""

from pathlib import Path

from backpulse.firmware_py.compiler import DEFAULT_SCHEDULE, compile_network
from backpulse.firmware_py.config import IDEAL
from backpulse.firmware_py.network import Network

ROOT = Path(__file__).parent.parent


def test_the_listing_is_the_compilers():
    listing = compile_network(Network.parse("64-32-10"), IDEAL, DEFAULT_SCHEDULE).listing()
    assert listing in (ROOT / "README.md").read_text()


def test_what_it_links_to_is_there():
    text = (ROOT / "README.md").read_text()
    for part in text.split("](")[1:]:
        assert (ROOT / part.partition(")")[0]).exists()
