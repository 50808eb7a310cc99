"""Tables of docs/conformance.md, made from the code: what is offered, asked for, answered and configured."""

from __future__ import annotations

import importlib
import pkgutil
import types
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.tag import Tag
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.presentation import DEFAULT_TRANSFER_SYNTAXES
from pynetdicom.sop_class import SOPClass

from hexdicom.dicom import uids
from hexdicom.dicom.archive import LARGEST_PART
from hexdicom_services import scu, statuses
from hexdicom_services.catalog import keys, matching
from hexdicom_services.commitment import courier
from hexdicom_services.jobs import findable
from hexdicom_services.scp import admission, commitment, incoming, negotiation, server
from hexdicom_services.scu import association, classes, retrieve
from hexdicom_services.sections import AeTitle, NodeSection
from hexdicom_services.settings import Settings
from hexdicom_services.stores import pacs
from tests.docs.markdown import table

if TYPE_CHECKING:
    from collections.abc import Callable


def supported(folder: Path) -> list[Any]:
    """The presentation contexts that a receiver offers, beside storage."""
    (folder / "vitals").mkdir()
    entity = server.application_entity(Settings(node=NodeSection(state_dir=folder)), "docs")
    contexts = list(entity.supported_contexts)
    entity.close()
    return contexts


def identity(_: Path) -> str:
    node = NodeSection()
    return table(
        ("", ""),
        [
            ("Implementation Class UID", f"`{uids.IMPLEMENTATION_CLASS_UID}`"),
            ("Implementation Version Name", f"`{uids.IMPLEMENTATION_VERSION_NAME}`"),
            ("Application Context Name", "1.2.840.10008.3.1.1.1"),
            ("AE title", f"`{node.ae_title}`, configurable"),
            ("Port", f"{node.port}, configurable"),
        ],
    )


def scp_classes(folder: Path) -> str:
    rows = []
    for context in supported(folder):
        name = context.abstract_syntax.name.removesuffix(" SOP Class")
        assert context.transfer_syntax == DEFAULT_TRANSFER_SYNTAXES, f"{name} has transfer syntaxes of its own"
        rows.append((name, context.abstract_syntax, "SCP; SCU of reports that a PACS brings" if context.scu_role else "SCP"))
    return table(("SOP class", "UID", "Role"), sorted(rows, key=lambda row: row[1]))


def service_syntaxes(_: Path) -> str:
    return table(("Transfer syntax", "UID"), [(UID(uid).name, uid) for uid in DEFAULT_TRANSFER_SYNTAXES])


def not_stored(folder: Path) -> str:
    """Classes of the standard that are called storage and are rejected all the same."""
    contexts, rejected = supported(folder), []
    for uid, (name, kind, *_) in UID_dictionary.items():
        if kind == "SOP Class" and "Storage" in name and "Commitment" not in name:
            context = build_context(uid, uids.EXPLICIT_VR_LITTLE_ENDIAN)
            context.context_id = 1
            ((answer,), _) = negotiation.negotiate([context], contexts)
            if answer.result != 0:
                rejected.append((name, uid))
    return table(("Not accepted", "UID"), rejected)


def scu_classes(_: Path) -> str:
    """The SOP classes that the modules of scu/ name."""
    rows: dict[str, set[str]] = {}
    for found in pkgutil.iter_modules(scu.__path__):
        for value in vars(importlib.import_module(f"{scu.__name__}.{found.name}")).values():
            if isinstance(value, SOPClass):
                rows.setdefault(str(value), set()).add(found.name)
    assert set().union(*rows.values()) == {"commitment", "echo", "find", "move", "retrieve"}
    return table(("SOP class", "UID", "Role"), [(UID(uid).name.removesuffix(" SOP Class"), uid, "SCU") for uid in sorted(rows)])


def scu_storage(_: Path) -> str:
    return table(("SOP class", "UID"), [(UID(uid).name, uid) for uid in classes.COMMON_CLASSES])


def scu_syntaxes(_: Path) -> str:
    return table(("Transfer syntax", "UID"), [(UID(uid).name, uid) for uid in classes.TRANSFER_SYNTAXES])


def status(kind: type[statuses.Status], head: str = "Status") -> Callable[[Path], str]:
    return lambda _: table((head, "When"), [(f"0x{one:04X}", one.when) for one in kind])


def rejections(_: Path) -> str:
    rows = [(", ".join(map(str, one.code)), one.why) for one in admission.REFUSALS]
    return table(("Result, source, reason", "When"), rows)


def limits(_: Path) -> str:
    defaults = incoming.Limits()
    return table(
        ("What", "Most"),
        [
            ("Operations on an association at once", 1),
            ("Messages that a peer sends without waiting for answers", incoming._MOST_WAITING),
            ("Command set", f"{incoming._MOST_COMMAND >> 10} KiB"),
            ("Identifier, action information, attribute list", f"{incoming._MOST_OTHER >> 20} MiB"),
            ("Instance that is held in memory; a larger one goes to disk while it comes", f"{defaults.spill >> 20} MiB"),
            ("Instances in one request for storage commitment", commitment._MOST),
            ("Instances in one C-GET or C-MOVE", 65535),
        ],
    )


def timers(_: Path) -> str:
    said = {
        "connect": "TCP connection",
        "negotiate": "answer to the association request",
        "respond": "answer to an operation, and silence",
    }
    rest = {"attempts": "associations in a row that bring nothing", "delay": "pause before the next association"}
    kinds = (association.DEFAULT_PATIENCE, courier.PATIENCE)
    rows = []
    for one in fields(association.Patience):
        unit = "" if one.name == "attempts" else " s"
        values = [f"{getattr(kind, one.name):g}{unit}" for kind in kinds]
        if one.name in rest:
            values[1] = "by `[commitment]`"
        rows.append(({**said, **rest}[one.name], *values))
    return table(("Waits for", "Storage, query, retrieve, verification", "Storage commitment"), rows)


def find_keys(_: Path) -> str:
    rows = []
    for keyword, key in keys.KEYS.items():
        how = "single value, wildcard"
        if keyword in matching.UIDS:
            how = "single value, list of UIDs"
        elif keyword in matching.RANGES:
            how = "single value, wildcard, range"
        elif keyword in matching.NAMES:
            how = "single value, wildcard; without regard to case, each component group alone"
        rows.append((key.level, *_named(keyword), "yes" if keyword in keys.UNIQUE.values() else "", how))
    return table(("Level", "Tag", "Attribute", "Unique key", "Matching beside universal"), rows)


def find_answers(_: Path) -> str:
    return table(("Tag", "Attribute"), sorted(_named(keyword) for keyword in findable.ANSWERED))


def coercible(_: Path) -> str:
    return table(("Tag", "Attribute"), sorted(_named(keyword) for keyword in pacs.COERCIBLE))


def configuration(_: Path) -> str:
    rows = []
    for name, entry in Settings.model_fields.items():
        section = entry.annotation
        if not (isinstance(section, type) and issubclass(section, BaseModel)):
            rows.append((f"`[{name}]`", "none", "NAME = AET@HOST:PORT, or AET@HOST:PORT+tls", entry.description))
            continue
        for key, one in section.model_fields.items():
            rows.append((f"`{name}.{key}`", _default(one.default), _allowed(one), one.description))
    return table(("Parameter", "Default", "Allowed", "Meaning"), rows)


def _default(value: object) -> str:
    if value is None or value == ():
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`" if value != "" else "empty"


def _allowed(one: Any) -> str:
    kinds = [kind for kind in get_args(one.annotation) or (one.annotation,) if kind is not types.NoneType]
    if get_origin(one.annotation) is Literal or any(get_origin(kind) is Literal for kind in kinds):
        values = get_args(one.annotation if get_origin(one.annotation) is Literal else kinds[0])
        return ", ".join(f"`{value}`" for value in values)
    bounds = {sign: getattr(found, name) for found in one.metadata for name, sign in _SIGNS.items() if hasattr(found, name)}
    if {"≥", "≤"} <= set(bounds):
        return f"{bounds['≥']:g} to {bounds['≤']}"
    if bounds:
        return ", ".join(f"{sign} {value:g}" for sign, value in bounds.items())
    if get_origin(one.annotation) is tuple:
        return "list of text"
    if AeTitle in kinds or list(get_args(AeTitle)[1:]) == one.metadata:
        return "AE title"
    return {bool: "`true`, `false`", str: "text", Path: "path"}[kinds[0]]


_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def requests(_: Path) -> str:
    contexts = retrieve.get_contexts({""})
    return table(
        ("Figure", "Value"),
        [
            ("Largest PDU announced as SCU", f"{association.MAX_PDU} bytes"),
            ("Presentation contexts of an association, at most", association.MAX_CONTEXTS),
            ("Presentation contexts of a C-GET where SOP classes are not known", len(contexts)),
            ("SOP Instance UIDs in one request at IMAGE level", retrieve.LIST),
            ("Instances in one request for storage commitment", courier._MOST),
            ("Seconds that a report may come on the association of the request", f"{courier._LISTEN:g}"),
            ("Payload of one archive object; a larger archive has several", f"{LARGEST_PART >> 20} MiB"),
        ],
    )


def _named(keyword: str) -> tuple[str, str]:
    tag = Tag(tag_for_keyword(keyword) or 0)
    return str(tag), dictionary_description(tag)


TABLES: dict[str, Callable[[Path], str]] = {
    "identity": identity,
    "SOP classes as SCP": scp_classes,
    "transfer syntaxes of services": service_syntaxes,
    "storage classes not accepted": not_stored,
    "SOP classes as SCU": scu_classes,
    "storage classes of C-GET": scu_storage,
    "transfer syntaxes of C-GET": scu_syntaxes,
    "figures as SCU": requests,
    "rejections": rejections,
    "limits": limits,
    "timers as SCU": timers,
    "status of C-ECHO": status(statuses.Echo),
    "status of C-STORE": status(statuses.Store),
    "status of C-FIND": status(statuses.Find),
    "status of C-GET and C-MOVE": status(statuses.Retrieve),
    "status of N-ACTION": status(statuses.Commit),
    "failure reasons": status(statuses.Failure, "Failure Reason"),
    "status of N-EVENT-REPORT": status(statuses.Report),
    "status of N-CREATE": status(statuses.CreateStep),
    "status of N-SET": status(statuses.SetStep),
    "status of C-STORE of what was asked for": status(statuses.Returned),
    "keys of C-FIND": find_keys,
    "other answers of C-FIND": find_answers,
    "attributes that a PACS may change": coercible,
    "configuration": configuration,
}
