"""The Tang Nano 9K's platform with nextpnr-himbaechel; amaranth 0.5 calls its predecessor."""

from typing import Any

from amaranth_boards.tang_nano_9k import TangNano9kPlatform

__all__ = ["TangNano9k"]

_PLACE = """
{{invoke_tool("nextpnr-himbaechel-gowin")}}
    {{quiet("--quiet")}}
    {{get_override("nextpnr_opts")|options}}
    --log {{name}}.tim
    --device {{platform.part}}
    --vopt family={{platform._chipdb_device}}
    --vopt cst={{name}}.cst
    --json {{name}}.syn.json
    --write {{name}}.pnr.json
"""


class TangNano9k(TangNano9kPlatform):
    """Amaranth's platform but for place and route, whose options have other names."""

    @property
    def required_tools(self) -> list[str]:
        return ["yosys", "nextpnr-himbaechel-gowin", "gowin_pack"]

    @property
    def command_templates(self) -> list[Any]:
        synthesise, _, pack = super().command_templates
        return [synthesise, _PLACE, pack]
