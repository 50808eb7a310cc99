"""Tables of docs/conformance.md, made from the code: what is written into objects, what is left in the trail, what TLS may be."""

from __future__ import annotations

import ast
import inspect
import io
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import dcmread
from pydicom.datadict import dictionary_description, tag_for_keyword

from hexdicom.dicom import derived, modules, private, uids
from hexdicom.dicom.archive import build
from hexdicom.dicom.headers import Header
from hexdicom.dicom.phantom import beating_heart
from hexdicom_services import tls
from hexdicom_services.audit import message, occasions
from hexdicom_services.audit.message import Code
from tests.docs.markdown import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydicom.dataset import Dataset

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 1, 5, 12, 0)


def private_attributes(_: Path) -> str:
    rows = [(f"({private.GROUP:04X},0010)", "Private Creator", "LO", 1, f"`{private.CREATOR}`")]
    for element in private.Element:
        name = element.name.replace("_", " ").title().replace("Sha256", "SHA-256")
        where = f"({private.GROUP:04X},xx{element:02X})"
        rows.append((where, name, private.VRS[element], 1, private.MEANINGS[element]))
    return table(("Tag", "Name", "VR", "VM", "Value"), rows)


def archive_object(_: Path) -> str:
    """The attributes of two archive objects of different sources: what is the same in both is the same in all."""
    one, other = (_archive(_source(seed, text, when), when) for seed, text, when in _SAMPLES)
    rows = []
    for element in one:
        if element.tag.group == private.GROUP:
            continue
        if element.keyword in modules.PATIENT_AND_STUDY:
            said = "as in the first source" + (", else empty" if element.keyword in modules.TYPE_2 else "")
        elif element.VR == "SQ":
            said = _items(element.value)
        elif other.get(element.tag) == element and element.value not in (None, ""):
            said = f"`{element.value}`"
        else:
            said = _VARYING[element.keyword]
        rows.append((str(element.tag), element.name, element.VR, said))
    head = ("Tag", "Attribute", "VR", "Value")
    missing = [keyword for keyword in modules.PATIENT_AND_STUDY if keyword not in one]
    also = ", ".join(dictionary_description(tag_for_keyword(keyword) or 0) for keyword in missing)
    return f"{table(head, rows)}\n\nAlso copied from the first source where it has them: {also}."


_SAMPLES = ((1, "one", NOW), (2, "two", datetime(2025, 2, 3, 4, 5, 6)))
_VARYING = {
    "InstanceCreationDate": "as Content Date",
    "InstanceCreationTime": "as Content Time",
    "SOPInstanceUID": "`2.25.` + hash of source series, payload, manifest and part number",
    "SeriesDate": "as Content Date",
    "SeriesTime": "as Content Time",
    "ContentDate": "when it was written",
    "ContentTime": "when it was written",
    "SeriesDescription": "`hexdicom archive: ` + that of the source, else its Modality; at most 64 characters",
    "SeriesInstanceUID": "`2.25.` + hash of the Series Instance UID of the source",
    "SeriesNumber": "that of the source + 9000",
    "InstanceNumber": "number of the part",
    "Laterality": "as in the source; absent for body parts that have none",
    "BodyPartExamined": "as in the source",
}


def _source(seed: int, text: str, when: datetime) -> Dataset:
    ds = next(iter(beating_heart(slices=1, phases=1, rows=16, columns=16, seed=seed, started=when)))
    ds.PatientName, ds.PatientID, ds.SeriesDescription, ds.StudyDescription = text, text, text, text
    ds.SeriesNumber, ds.InstanceNumber, ds.BodyPartExamined, ds.Laterality = seed, seed, f"ARM{seed}", "LR"[seed - 1]
    ds.SmallestImagePixelValue, ds.LargestImagePixelValue = 0, seed
    return ds


def _encoded(ds: Dataset) -> bytes:
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _archive(source: Dataset, when: datetime) -> Dataset:
    head = Header(_encoded(source), b"", 0, uids.EXPLICIT_VR_LITTLE_ENDIAN)
    references = [(str(source.SOPClassUID), str(source.SOPInstanceUID))]
    payloads = when.isoformat().encode() * 2
    *_, last = build(
        head,
        references,
        b"m",
        b"h",
        payloads,
        source_series_uid=str(source.SeriesInstanceUID),
        now=when,
        largest_part=19 * when.month,
    )
    return dcmread(io.BytesIO(last.data))


def _items(sequence: Sequence[Dataset]) -> str:
    if not sequence:
        return "no item"
    return "; ".join(f"{one.name}{_shown(one)}" for one in sequence[0])


def _shown(element: Any) -> str:
    if element.VR == "SQ":
        item = element.value[0]
        return (
            f": ({item.CodeValue}, {item.CodingSchemeDesignator}, “{item.CodeMeaning}”)"
            if "CodeValue" in item
            else f" ({_items(element.value)})"
        )
    return ""


def derived_image(_: Path) -> str:
    """What a lossy restore changes in a source."""
    source = _source(1, "cine", NOW)
    loss = derived.Loss("1.2.3", "20260105120000", "lossy", 25.0, 0, 45.0, 0, 9)
    made = dcmread(io.BytesIO(derived.derive(_encoded(source), loss)))
    rows = []
    for element in made:
        before = source.get(element.tag)
        if before is None or before.value != element.value:
            shown = _items(element.value) if element.VR == "SQ" else _LOSSY.get(element.keyword) or f"`{element.value}`"
            rows.append((str(element.tag), element.name, "added" if before is None else "replaced", shown))
    kept = {element.tag for element in source if element.tag not in made}
    assert not kept, f"a lossy restore removes {kept}"
    return table(("Tag", "Attribute", "What happens", "Value"), rows)


_LOSSY = {
    "ImageType": "value 1 is `DERIVED`, the others stay",
    "SOPInstanceUID": "`2.25.` + hash of that of the source and of the archive",
    "SeriesInstanceUID": "`2.25.` + hash of that of the source and of the archive",
    "SeriesDescription": "`Lossy: ` + that of the source",
    "SeriesNumber": "that of the source + 9000",
    "DerivationDescription": "is appended to: ratio, version of hexdicom, method, error bound or PSNR",
    "LossyImageCompressionRatio": "is appended to: bytes of pixels over bytes of payload",
    "LossyImageCompressionMethod": f"is appended to: `{derived.METHOD}`",
    "SmallestImagePixelValue": "of the pixels that came back, where the source has it; so too the other three of its kind",
    "LargestImagePixelValue": "of the pixels that came back, where the source has it",
}


def coded_terms(_: Path) -> str:
    """Every code("VALUE", "MEANING") in the library."""
    found: dict[tuple[str, str], set[str]] = {}
    for path in sorted((ROOT / "hexdicom" / "dicom").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "code" and len(node.args) == 2:
                value, meaning = (argument.value for argument in node.args if isinstance(argument, ast.Constant))
                found.setdefault((str(value), str(meaning)), set()).add(path.stem)
    where = {"wrapper": "archive object", "derived": "lossy restore", "enhanced": "Legacy Converted Enhanced MR object"}
    rows = [(*key, "DCM", ", ".join(sorted(where[name] for name in names))) for key, names in sorted(found.items())]
    return table(("Code", "Meaning", "Scheme", "In"), rows)


def audit_messages(_: Path) -> str:
    """One message of each occasion, made as the node makes it."""
    party, study = occasions.Party("NODE", "10.0.0.1"), occasions.Study("1.2.3", "7", {"1.2.840.10008.5.1.4.1.1.4": 1})
    samples = {"node": party, "source": party, "destination": party, "caller": party, "requestor": party, "study": study, "at": 0.0}
    samples |= {"operator": party, "place": "file:///folder"}
    samples |= {"why": "", "action": "C", "sop_class_uid": "1.2", "transfer_syntax_uid": "1.2", "identifier": b""}
    rows = []
    for name, make in inspect.getmembers(occasions, inspect.isfunction):
        if name.startswith("_") or make.__module__ != occasions.__name__:
            continue
        wanted = [one.name for one in inspect.signature(make).parameters.values() if one.name in samples]
        made = make(**{one: samples[one] for one in wanted})
        section = re.search(r"\((A\.5\.3\.\d+)\)", make.__doc__ or "")
        assert section, f"{name} does not say which message of PS3.15 it is"
        action = "C, R, U" if "action" in wanted else made.action
        kind = f"; type ({made.kind.value}, {made.kind.meaning})" if made.kind else ""
        subjects = ", ".join(one.id_type.meaning for one in made.subjects) or "none"
        when = (make.__doc__ or "").partition(f" ({section[1]}")[0]
        rows.append((f"({made.event.value}, {made.event.meaning}){kind}", section[1], action, when, subjects))
    return table(("Event", "PS3.15", "Action", "When", "Participant objects"), sorted(rows))


def audit_codes(_: Path) -> str:
    codes = {one for module in (message, occasions) for one in vars(module).values() if isinstance(one, Code)}
    rows = [(one.value, one.meaning, one.system) for one in sorted(codes, key=lambda one: (one.system, one.value))]
    return table(("Code", "Meaning", "Scheme"), rows)


def cipher_suites(_: Path) -> str:
    return table(("Cipher suite of TLS 1.2 (name in OpenSSL)",), [(f"`{one}`",) for one in tls.CIPHERS])


TABLES: dict[str, Callable[[Path], str]] = {
    "private attributes": private_attributes,
    "archive object": archive_object,
    "lossy restore": derived_image,
    "coded terms": coded_terms,
    "audit messages": audit_messages,
    "audit codes": audit_codes,
    "cipher suites": cipher_suites,
}
