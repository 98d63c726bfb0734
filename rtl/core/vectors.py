"""Vector memory, and the ports that read elements from it and from the sample page."""

# Amaranth's types know neither the members of a component nor what its operators give.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportGeneralTypeIssues=false

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from backpulse.firmware_py.config import Config
from backpulse.rtl.lib.ports import HostPort, Operand, PagePort, answer, element_layout

__all__ = ["ReadPort", "VectorMemory"]


class VectorMemory(wiring.Component):
    """Vector memory: two reading ports and a writing port, made of two memories with one of each.

    A read takes one cycle and sees what is written in the same cycle; data stay while `en` is low. The host's
    accesses take three cycles and share the first reading port and the writing port: no instruction may
    execute. In a lean machine nothing is read in the cycle that writes it, and the second port has the low
    bits of a word only, as many as a vector word has.

    Parameters
    ----------
    config
        Depth and width of the memory.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        port = wiring.Signature({"addr": Out(16), "en": Out(1), "data": In(signed(config.acc_bits))})
        super().__init__(
            {
                "read_a": In(port),
                "read_b": In(port),
                "w_addr": In(16),
                "w_data": In(signed(config.acc_bits)),
                "w_en": In(1),
                "host": In(HostPort(17)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        host = self.host
        depth = self._config.vector_words
        width = self._config.acc_bits
        inside = Signal()
        m.d.comb += inside.eq(host.addr < depth)

        writing = Signal()
        m.d.sync += writing.eq(host.request & host.write & inside & ~host.ack)
        for name, reader in (("copy_a", self.read_a), ("copy_b", self.read_b)):
            lean = self._config.lean
            bits = self._config.vector_bits if lean and name == "copy_b" else width
            memory = Memory(shape=signed(bits), depth=depth, init=[])
            m.submodules["lean_" * lean + name] = memory
            w = memory.write_port()
            r = memory.read_port(transparent_for=() if lean else (w,))
            m.d.comb += [
                w.addr.eq(Mux(writing, host.addr, self.w_addr)),
                w.data.eq(Mux(writing, host.w_data.as_signed(), self.w_data)),
                w.en.eq(self.w_en | writing),
                r.addr.eq(reader.addr),
                r.en.eq(reader.en),
                reader.data.eq(r.data),
            ]
            if name == "copy_a":
                with m.If(host.request):
                    m.d.comb += [r.addr.eq(host.addr), r.en.eq(1)]
                answer(m, host, r.data, ~inside)
        return m


class ReadPort(wiring.Component):
    """Reads one or two runs of elements, one a cycle, as a stream, the second right after the first.

    The first element is on `o` two cycles after `run` rises. Sample bytes come as vector words; the bias
    element is the unit, and what lies beyond a sample zero. While `o` has no element its word is zero.

    Parameters
    ----------
    config
        Number formats.
    runs
        1 or 2.
    samples
        Whether elements may lie in the sample page.

    Members
    -------
    run
        High while the instruction executes; `operand` must not change then.
    clear
        Ready for the next instruction from the next cycle on.
    operand, use_second
        The runs, and whether the second is wanted.
    memory, page
        Vector memory and, with `samples`, the page in use.
    """

    def __init__(self, config: Config, *, runs: int, samples: bool) -> None:
        if runs not in (1, 2):
            raise ValueError(f"Run count must be 1 or 2, not {runs}")
        self._config = config
        self._runs = runs
        self._samples = samples
        word = signed(config.acc_bits)
        members = {
            "run": In(1),
            "clear": In(1),
            "operand": In(Operand(config)).array(runs),
            "use_second": In(1),
            "memory": Out(wiring.Signature({"addr": Out(16), "en": Out(1), "data": In(word)})),
            "o": Out(stream.Signature(element_layout(config))),
        }
        if samples:
            members["page"] = Out(PagePort())
        super().__init__(members)

    def elaborate(self, platform) -> Module:
        m = Module()
        c = self._config
        bits = c.index_bits
        index = Signal(bits)
        second = Signal()
        finished = Signal()
        operand = Signal(Operand(c))
        last = Signal()
        issue = Signal()
        # The element in the memory's output: whether there is one, what it is, and whether it leaves.
        fetched = Signal()
        fetched_second = Signal()
        fetched_last = Signal()
        is_bias = Signal()
        is_sample = Signal()
        taken = Signal()

        m.d.comb += [
            operand.eq(Mux(second, self.operand[self._runs - 1], self.operand[0])),
            last.eq((index + 1)[:bits] == operand.count),
            taken.eq(~self.o.valid | self.o.ready),
            issue.eq(self.run & ~finished & (~fetched | taken)),
            self.memory.addr.eq(operand.addr + index),
            self.memory.en.eq(issue),
        ]
        word = Signal(signed(c.acc_bits))
        absent = Signal()
        m.d.comb += [word.eq(Mux(is_bias, c.unit, self.memory.data)), absent.eq(~fetched)]
        if self._samples:
            m.d.comb += [self.page.addr.eq(operand.addr + index), self.page.en.eq(issue)]
            with m.If(is_sample & ~is_bias):
                m.d.comb += [word.eq(self.page.data << c.drive_shift), absent.eq(~fetched | self.page.beyond)]

        with m.If(issue):
            m.d.sync += [
                index.eq(index + 1),
                is_bias.eq(operand.bias & (index == operand.bias_at)),
                is_sample.eq(operand.sample),
                fetched_second.eq(second),
                fetched_last.eq(last),
            ]
            with m.If(last):
                m.d.sync += [index.eq(0), second.eq(1), finished.eq(second | ~self.use_second)]
        m.d.sync += fetched.eq(issue | (fetched & ~taken))
        with m.If(taken):
            m.d.sync += [
                self.o.valid.eq(fetched),
                self.o.p.word.eq(Mux(absent, 0, word)),
                self.o.p.second.eq(fetched_second),
                self.o.p.last.eq(fetched_last),
            ]
        with m.If(self.clear):
            m.d.sync += [
                index.eq(0),
                second.eq(0),
                finished.eq(0),
                fetched.eq(0),
                self.o.valid.eq(0),
                self.o.p.word.eq(0),
            ]
        return m
