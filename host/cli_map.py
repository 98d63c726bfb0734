"""What `compare --map` prints."""

from backpulse.host.comparing import LearningMap
from backpulse.host.departure import DRIFTING
from backpulse.host.learning_map import DEPARTS, LEARNS, Departure
from backpulse.host.settings import SOFTWARE
from backpulse.host.tables import count
from backpulse.host.view import Table, stdout


def show_map(found: LearningMap) -> None:
    """Print the table of where the schedules leave software."""
    about = f"Learning rate at which a schedule is {DEPARTS:g} points below {SOFTWARE}, {count(found.seeds, 'seed')}"
    title = f"{about}; -: {SOFTWARE} is below {LEARNS:g} %"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), pad_edge=False, collapse_padding=True)
    for name in ("function", "device", "layers", *found.found, f"bound of {DRIFTING}"):
        table.add_column(name, justify="left" if name in ("function", "device", "layers") else "right")
    for key in dict.fromkeys((p["activation"], p["device"], p["layers"]) for p in found.points):
        cells = [said(departed.get(key)) for departed in found.found.values()]
        limit = found.limits[key[0], key[2]]
        table.add_row(*key, *cells, f"{limit:.2g}" if limit < float("inf") else "-")
    stdout.print(table)


def said(place: Departure | None) -> str:
    """Return a departure as text."""
    if place is None:
        return "-"
    sign = "" if place.inside else "< " if place.low == 0 else "> "
    return f"{sign}{place.at:.2g}"
