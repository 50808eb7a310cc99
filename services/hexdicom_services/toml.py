"""Settings written as commented TOML: what `hexdicom node init` makes and what config/hexdicom.toml is."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from hexdicom_services.settings import Settings

_HEAD = """\
# Configuration of a hexdicom node. Every setting is here with its default.
# The environment wins over this file: HEXDICOM_NODE__PORT=104 sets port in [node].
# `hexdicom node check` says whether it is right.
"""


def default_toml() -> str:
    """The text of config/hexdicom.toml."""
    return render_toml(Settings())


def render_toml(settings: Settings) -> str:
    """The settings as a file to edit: each with its comment; what has no value is commented out."""
    blocks = [_HEAD]
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        title = type(value).__doc__ if isinstance(value, BaseModel) else field.description
        lines = [*_comment(title or ""), f"[{name}]"]
        if isinstance(value, BaseModel):
            for key, entry in type(value).model_fields.items():
                lines += [*_comment(entry.description or ""), _assignment(key, getattr(value, key))]
        else:
            lines += [f"{key} = {_text(entry)}" for key, entry in value.items()]
            lines += [] if value else [f"# {example}" for example in field.examples or []]
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), 116)]


def _assignment(key: str, value: Any) -> str:
    return f"# {key} =" if value is None else f"{key} = {_text(value)}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, Path)):
        plain = str(value).replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04X}" for c in plain) + '"'
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_text(entry) for entry in value) + "]"
    return repr(value)
