"""The house style, as far as a test can see it: file lengths, names, prints, swallowed exceptions, environment, imports."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY, SERVICES = ROOT / "hexdicom", ROOT / "services" / "hexdicom_services"
FILES = sorted([*LIBRARY.rglob("*.py"), *SERVICES.rglob("*.py")])
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "core", "misc", "base", "tools", "stuff"}
LONGEST = 400


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    return {relative(path): ast.parse(path.read_text()) for path in FILES}


def test_no_file_is_long() -> None:
    files = [*FILES, *(ROOT / "tests").rglob("*.py")]
    long = {relative(path): n for path in files if (n := len(path.read_text().splitlines())) > LONGEST}
    assert not long, f"split by noun: {long}"


def test_names_say_what_is_inside() -> None:
    assert not [relative(path) for path in FILES if path.stem in FORBIDDEN_NAMES or path.parent.name in FORBIDDEN_NAMES]


def test_folders_are_shallow() -> None:
    assert not [relative(p) for p in FILES if len(p.relative_to(LIBRARY if LIBRARY in p.parents else SERVICES).parts) > 3]


def test_every_module_says_what_it_is_for(trees: dict[str, ast.Module]) -> None:
    assert not [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)]


def test_a_broad_except_logs_a_traceback(trees: dict[str, ast.Module]) -> None:
    silent = []
    for name, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "Exception":
                text = ast.unparse(node)
                if not re.search(r"\.exception\(|exc_info|_put_off\(|raise$", text, re.MULTILINE):
                    silent.append(f"{name}:{node.lineno}")
    assert not silent


def test_the_library_has_no_clock_and_no_environment(trees: dict[str, ast.Module]) -> None:
    pattern = re.compile(r"datetime\.(now|today|utcnow)\(|\btime\.time\(|os\.environ|os\.getenv|\bsocket\b|\bsqlite3?\b")
    for name, tree in trees.items():
        if name.startswith("hexdicom/"):
            for node in ast.walk(tree):
                if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                    node.value.value = ""  # a docstring may speak of them
            assert not pattern.search(ast.unparse(tree)), name


def test_only_codecs_import_torch(trees: dict[str, ast.Module]) -> None:
    for name, tree in trees.items():
        imported = {
            alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        } | {
            (node.module or "").partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0
        }
        if "torch" in imported:
            assert name.startswith(("hexdicom/codec/", "hexdicom/bench/fitted/")), name
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level], f"{name}: relative import"


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError")
    assert not [relative(path) for path in FILES if marks.search(path.read_text())]


def test_nothing_names_the_machine_it_was_made_on() -> None:
    text_files = [path for kind in ("*.py", "*.md", "*.toml", "*.service") for path in ROOT.rglob(kind)]
    own = [path for path in text_files if ".venv" not in path.parts and path != Path(__file__)]
    assert not [relative(path) for path in own if re.search(r"(?<![\w.])/(work|root)/", path.read_text(errors="replace"))]
