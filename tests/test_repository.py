"""Properties of the checkout itself: names, imports, versions."""

from __future__ import annotations

import ast
import contextlib
import re
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CODE = ("bench", "data_cards", "filters", "pipelines", "scaling", "studies", "tests", "tokenizers", "training")


def modules() -> Iterator[Path]:
    """Every Python file of the checkout, tests and benchmarks included, relative to the root."""
    yield from (path.relative_to(ROOT) for path in sorted(ROOT.glob("*.py")))
    for folder in CODE:
        yield from (path.relative_to(ROOT) for path in sorted((ROOT / folder).rglob("*.py")))


def python(*arguments: str, cwd: Path = ROOT) -> str:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=True).stdout


def test_no_module_is_named_like_a_standard_one():
    standard = set(sys.stdlib_module_names) - {"__main__"}
    assert [str(path) for path in modules() if path.stem in standard] == []


def test_folders_are_not_named_like_standard_modules():
    folders = {part for path in modules() for part in path.parts[:-1]}
    assert folders & set(sys.stdlib_module_names) == set()


def test_test_files_have_names_of_their_own():
    # Test folders are not packages, so two files of one name would be one module.
    names = [path.name for path in modules() if path.parts[0] == "tests"]
    assert sorted(names) == sorted(set(names))


def test_tokenizers_has_no_init_file():
    assert not (ROOT / "tokenizers" / "__init__.py").exists()


@pytest.mark.parametrize("start", [["-c"], ["-X", "utf8", "-c"]], ids=["plain", "with an option"])
def test_import_tokenizers_from_the_root_is_hugging_faces(start):
    said = python(*start, "import tokenizers; print(tokenizers.Tokenizer.__module__, tokenizers.__file__)")
    module, file = said.split(maxsplit=1)
    assert module == "tokenizers"
    assert ROOT / "tokenizers" not in Path(file.strip()).parents


def test_the_package_is_this_checkout_whatever_the_working_directory(tmp_path):
    said = python("-c", "import tokenladder; print(tokenladder.__file__)", cwd=tmp_path)
    assert Path(said.strip()) == ROOT / "__init__.py"


def test_every_package_folder_is_installed():
    folders = {path.parent for path in modules() if path.parts[0] in set(CODE) - {"bench", "tests"}}
    found = {".".join(("tokenladder", *folder.parts)) for folder in folders} | {"tokenladder"}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


def test_imports_inside_the_package_are_relative():
    absolute = []
    for path in modules():
        if path.parts[0] in {"tests", "bench", "__main__.py"}:
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            absolute += [f"{path}:{node.lineno}" for name in names if name.split(".")[0] == "tokenladder"]
    assert absolute == []


def is_there(name: str) -> bool:
    """Whether a dotted name of the package is a module of the checkout, or stands in one; nothing is imported."""
    path = ROOT.joinpath(*name.split(".")[1:])
    if path.is_dir() or path.with_suffix(".py").exists():
        return True
    file = path.parent / "__init__.py" if path.parent.is_dir() else path.parent.with_suffix(".py")
    return file.exists() and re.search(rf"\b{path.name}\b", file.read_text()) is not None


def programs(file: Path) -> Iterator[ast.AST]:
    """A file's own program, and those that stand in it as text, for another interpreter."""
    own = ast.parse((ROOT / file).read_text())
    yield own
    for node in ast.walk(own):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "from tokenladder" in node.value:
            with contextlib.suppress(SyntaxError):  # a sentence
                yield ast.parse(node.value)


def test_benchmarks_import_what_there_is():
    # Most of them are run by hand alone, so that nothing else would tell.
    stale = [
        f"{file}: {node.module}.{alias.name}"
        for file in modules()
        if file.parts[0] == "bench"
        for program in programs(file)
        for node in ast.walk(program)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tokenladder")
        for alias in node.names
        if not is_there(f"{node.module}.{alias.name}")
    ]
    assert stale == []


def test_docstrings_refer_to_modules_that_there_are():
    stale = [
        f"{file}: :{role}:`{dots}{name}`"
        for file in modules()
        for role, dots, name in re.findall(r":(mod|func|class|data):`(\.+)([\w.]+)`", (ROOT / file).read_text())
        if not is_there(".".join((*("tokenladder", *file.parts)[: len(file.parts) + 1 - len(dots)], name)))
    ]
    assert stale == []


@pytest.mark.parametrize("kind", [FutureWarning, ImportWarning])
def test_what_googles_libraries_warn_of_stops_no_test_and_other_warnings_do(kind):
    warnings.warn_explicit("your Python is old", kind, "x.py", 1, module="google.api_core._python_version_support")
    with pytest.raises(kind, match="ours"):
        warnings.warn_explicit("ours", kind, "x.py", 1, module="tokenladder.filters.text.words")


def requirements(*chosen: str) -> list[Requirement]:
    """The base and the chosen extras, with the package's own extras resolved."""
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"]]
    queue = [*chosen]
    for extra in queue:
        for line in extras[extra]:
            requirement = Requirement(line)
            if requirement.name == PROJECT["project"]["name"]:
                queue += sorted(requirement.extras - set(queue))
            else:
                wanted.append(line)
    return [Requirement(line) for line in wanted]


def constraints() -> dict[str, str]:
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", line), f"constraints.txt: not NAME==VERSION: {line!r}"
            name, version = line.split("==")
            pins[name] = version
    return pins


def test_constraints_pin_every_requirement_inside_its_range():
    pins = constraints()
    outside = [
        f"{requirement} against {pins.get(canonicalize_name(requirement.name), 'nothing')}"
        for requirement in requirements("test", "dev")
        if not requirement.specifier.contains(pins.get(canonicalize_name(requirement.name), "0"), prereleases=True)
    ]
    assert outside == []


def test_constraints_pin_what_requirements_require():
    pins = constraints()
    missing = set()
    for requirement in requirements("test"):
        for line in metadata.requires(requirement.name) or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                missing |= {canonicalize_name(needed.name)} - set(pins)
    assert missing <= {"setuptools", "fasttext-predict-v2"}  # the second stands in for fasttext-predict on Python 3.14
