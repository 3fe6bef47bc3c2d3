"""The rules of the house that a reviewer would otherwise have to remember."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import custanalytics

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "custanalytics"
MODULES = sorted(SOURCE.rglob("*.py"))

FOUNDATION = {
    "_columns",
    "_engine_checks",
    "_engines",
    "_frames",
    "_holdouts",
    "_instants",
    "_output",
    "_params",
    "_units",
    "exceptions",
}
DOMAINS = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
TOP = {"customer360", "__init__", "_report"}
PLOT_ONLY = "matplotlib"

ALLOWED_OUTSIDE = {
    1: {"numpy", "math", "numba"},
    2: {"numpy", "narwhals", "sklearn"},
    3: {"numpy", "narwhals", "sklearn", "scipy", "threadpoolctl"},  # scikit-learn depends on threadpoolctl
    4: {"numpy", "narwhals", "sklearn", "scipy"},
}
EXTRA_OUTSIDE = {"datasets": {"pandas"}, "plotting": {PLOT_ONLY}}


def tier(path: Path) -> int:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    if path.name.startswith("_kernels") or parts[0] in {"_jit", "_special", "_hashing"}:
        return 1
    if parts[0] in FOUNDATION:
        return 2
    return 3 if parts[0] in DOMAINS else 4


def imports(path: Path) -> Iterator[str]:
    """Absolute names of everything a module imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def outside(path: Path) -> set[str]:
    roots = {name.partition(".")[0] for name in imports(path)}
    return roots - set(sys.stdlib_module_names) - {"custanalytics"} | (roots & {"math"})


def inside(path: Path) -> set[Path]:
    """Our own modules that a module imports."""
    found = set()
    for name in imports(path):
        if name.partition(".")[0] == "custanalytics":
            at = SOURCE.joinpath(*name.split(".")[1:])
            while at != SOURCE and not (at.with_suffix(".py").exists() or (at / "__init__.py").exists()):
                at = at.parent
            found.add(at.with_suffix(".py") if at.with_suffix(".py").exists() else at / "__init__.py")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_down_the_ladder(path: Path) -> None:
    mine = tier(path)
    domain = path.relative_to(SOURCE).parts[0] if mine in (1, 3) else ""
    allowed = ALLOWED_OUTSIDE[mine] | {"math"} | EXTRA_OUTSIDE.get(domain, set())
    if path.name != "_jit.py":
        allowed = allowed - {"numba"}
    assert outside(path) <= allowed
    for other in inside(path):
        if other == SOURCE / "__init__.py":
            continue
        assert tier(other) <= mine or (mine == 2 and tier(other) == 1), f"{path} looks up at {other}"
        other_domain = other.relative_to(SOURCE).parts[0]
        if mine in (1, 3) and other_domain in DOMAINS:
            assert other_domain == domain, f"{path}: domains never import each other"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_private_scikit_learn_is_never_imported(path: Path) -> None:
    private = [name for name in imports(path) if re.match(r"sklearn(\.\w+)*\._", name)]
    assert private == []


def kernels() -> list[tuple[Path, ast.FunctionDef]]:
    found = []
    for path in MODULES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.decorator_list:
                names = {ast.unparse(decorator) for decorator in node.decorator_list}
                if any("njit" in name or name == "jit" or "kernel" in name for name in names):
                    found.append((path, node))
    return found


def test_numba_options_are_set_in_one_place() -> None:
    for path, node in kernels():
        assert [ast.unparse(decorator) for decorator in node.decorator_list] == ["kernel"], f"{path}:{node.name}"
    from custanalytics._jit import OPTIONS

    assert OPTIONS == {"nogil": True, "error_model": "numpy", "fastmath": False}


def test_kernels_raise_nothing_and_know_no_strings() -> None:
    for path, node in kernels():
        body = node.body[1:] if ast.get_docstring(node) else node.body
        for inner in (each for statement in body for each in ast.walk(statement)):
            assert not isinstance(inner, ast.Raise | ast.Try), f"{path}:{node.name} raises"
            assert not (isinstance(inner, ast.Constant) and isinstance(inner.value, str)), f"{path}:{node.name}"


def test_every_kernel_is_used() -> None:
    files = [*MODULES, *(ROOT / "tests").rglob("*.py")]
    words = Counter(word for path in files for word in re.findall(r"\w+", path.read_text()))
    for path, node in kernels():
        assert words[node.name] > 1, f"{path}:{node.name} is never called"


def public_names() -> dict[str, object]:
    """Dotted public name -> object, for every public module."""
    found: dict[str, object] = {}
    for module in pkgutil.iter_modules(custanalytics.__path__):
        if not module.name.startswith("_"):
            loaded = importlib.import_module(f"custanalytics.{module.name}")
            names = getattr(loaded, "__all__", None) or [
                name
                for name, value in vars(loaded).items()
                if not name.startswith("_") and getattr(value, "__module__", "") == loaded.__name__
            ]
            found.update({f"{module.name}.{name}": getattr(loaded, name) for name in names})
    return found


def test_public_names_are_those_of_the_api_reference() -> None:
    listed = set()
    for page in (ROOT / "docs" / "api").glob("*.rst"):
        listed |= set(re.findall(r"^   custanalytics\.(\w+\.\w+)$", page.read_text(), re.MULTILINE))
    assert listed == set(public_names())


def test_every_public_name_is_offered_at_the_top_or_in_its_module() -> None:
    for dotted, value in public_names().items():
        module, name = dotted.split(".")
        if name in custanalytics._HOME:
            assert getattr(custanalytics, name) is value
            assert custanalytics._HOME[name] == module
    for name, module in custanalytics._HOME.items():
        assert f"{module}.{name}" in public_names()


def test_every_public_name_has_an_example_and_a_test() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for dotted, value in public_names().items():
        assert ">>>" in (value.__doc__ or ""), f"{dotted} has no example"
        assert re.search(rf"\b{dotted.split('.')[1]}\b", tests), f"{dotted} is never tested"


def test_files_stay_readable() -> None:
    long = [str(path) for path in MODULES if path.read_text().count("\n") > 350]
    assert long == []
    assert not list(SOURCE.rglob("utils.py"))


def test_import_is_lazy() -> None:
    code = (
        "import sys, custanalytics\n"
        "heavy = {'numba', 'scipy', 'sklearn', 'pandas', 'numpy', 'narwhals', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "custanalytics.RFMSummary, custanalytics.Customer360\n"
        "assert 'matplotlib' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_unknown_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        custanalytics.nonsense
    assert "Customer360" in dir(custanalytics)
