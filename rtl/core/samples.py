"""The samples of training: their order, the loader, and the two pages that they lie in."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.ports import PagePort, StorePort

__all__ = ["Samples"]


class Samples(wiring.Component):
    """Loads granted samples from the store, one ahead, into the page that is not in use.

    A sample is loaded in a few cycles and for each of its words three more than the store takes; meanwhile
    the other page is read, a byte a cycle, with one cycle of latency.

    Parameters
    ----------
    config
        Order depth, page and store sizes.

    Members
    -------
    clear
        Forget the samples that are granted and not begun.
    order
        Indices of granted samples.
    credit, room
        Samples granted and not begun, and how many more can be.
    stride
        Words of one sample in the store.
    ready, take
        The next sample is loaded; `take` puts its page to use from the next cycle on.
    busy
        A sample is being loaded or waits for that.
    page
        Reading port of the page in use.
    store
        Where samples come from.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        super().__init__(
            {
                "clear": In(1),
                "order": In(stream.Signature(16)),
                "credit": Out(range(config.order_depth + 1)),
                "room": Out(range(config.order_depth + 1)),
                "stride": In(16),
                "ready": Out(1),
                "take": In(1),
                "busy": Out(1),
                "page": In(PagePort()),
                "store": Out(StorePort(config)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        page_words = c.page_bytes // 4
        bits = (page_words - 1).bit_length()
        m.submodules.order_words = order = Memory(shape=16, depth=c.order_depth, init=[])
        m.submodules.pages = pages = Memory(shape=32, depth=2 * page_words, init=[])
        order_in = order.write_port()
        order_out = order.read_port()
        w = pages.write_port()
        r = pages.read_port()

        # A sample stays in the order until it is begun: what lies there is the credit. The most is its depth,
        # a power of two.
        granted = Signal(range(2 * c.order_depth))
        begun = Signal(range(2 * c.order_depth))
        put = self.order.valid & self.order.ready
        m.d.sync += [granted.eq(granted + put), begun.eq(begun + self.take)]
        m.d.comb += [
            self.credit.eq((granted - begun)[: len(granted)]),
            self.room.eq(c.order_depth - self.credit),
            self.order.ready.eq(~self.credit[-1]),
            order_in.addr.eq(granted),
            order_in.data.eq(self.order.payload),
            order_in.en.eq(put),
            order_out.addr.eq(begun),
        ]

        # Beyond the sample lies what an earlier one left.
        used = Signal()
        byte = Signal(2)
        stride = self.stride[: c.stride_bits]
        word_at = self.page.addr[2 : 2 + bits]
        read_bytes = Array(r.data.word_select(i, 8).as_signed() for i in range(4))
        m.d.comb += [
            r.addr.eq(Cat(word_at, used)),
            r.en.eq(self.page.en),
            self.page.data.eq(read_bytes[byte]),
        ]
        with m.If(self.page.en):
            m.d.sync += [byte.eq(self.page.addr[:2]), self.page.beyond.eq(word_at >= stride)]

        # A sample's address is its index as often as the stride says.
        waiting = Signal()
        loading = Signal()
        dropped = Signal()
        count = Signal(c.stride_bits)
        address = Signal.like(self.store.addr)
        adding = Signal()
        full = Signal()
        # The store may be far away: its word is written a cycle later.
        word = Signal(32, reset_less=True)
        arrived = Signal()
        m.d.sync += [word.eq(self.store.data), arrived.eq(self.store.request & self.store.ack)]
        m.d.comb += [
            waiting.eq(self.credit != 0),
            full.eq(count == stride),
            self.busy.eq(loading | (waiting & ~self.ready)),
            self.store.addr.eq(address),
            w.addr.eq(Cat(count[:bits], ~used)),
            w.data.eq(word),
            w.en.eq(arrived),
        ]
        with m.If(self.take):
            m.d.sync += [used.eq(~used), self.ready.eq(0)]
        with m.If(adding | arrived):
            m.d.sync += [address.eq(address + Mux(adding, order_out.data, 1)), count.eq(count + 1)]
        with m.FSM():
            with m.State("WAIT"):
                m.d.sync += [count.eq(0), address.eq(0), dropped.eq(0)]
                with m.If(~self.ready & ~self.clear & waiting):
                    m.next = "MULTIPLY"
            with m.State("MULTIPLY"):
                m.d.comb += [loading.eq(1), adding.eq(~full)]
                with m.If(full):
                    m.d.sync += count.eq(0)
                    m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += loading.eq(1)
                with m.If(dropped):
                    m.next = "WAIT"
                with m.Elif(full & ~arrived):
                    m.d.sync += self.ready.eq(1)
                    m.next = "WAIT"
                with m.Elif(~arrived):
                    m.next = "WORD"
            with m.State("WORD"):
                m.d.comb += [loading.eq(1), self.store.request.eq(1)]
                with m.If(self.store.ack):
                    m.next = "LOAD"
        with m.If(self.clear):
            m.d.sync += [granted.eq(0), begun.eq(0), self.ready.eq(0), dropped.eq(1)]
        return m
