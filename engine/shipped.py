"""Where the shipped definitions are, in a checkout and in an installed wheel alike."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
FOLDERS = ("process", "decisions", "policies", "contracts", "plugins")


def folder(name: str) -> Path:
    """Return the folder `name` (one of FOLDERS): inside the wheel, or at the top of the checkout."""
    inside = _PACKAGE / "bundled" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def definition_files(root: Path | None = None) -> dict[str, bytes]:
    """Return {relative path: content} of the definitions a run is made of: diagrams, tables, policies and their data.

    `root` is a project's own bundle (a folder with process/, decisions/, policies/); None takes the shipped ones.
    The two are never merged. Scenarios and tests beside the definitions are not part of the bundle.
    """
    found: dict[str, bytes] = {}
    for name in ("process", "decisions", "policies"):
        base = (root / name) if root else folder(name)
        for path in sorted(base.rglob("*")) if base.is_dir() else ():
            if path.is_file() and _is_definition(path):
                found[f"{name}/{path.relative_to(base).as_posix()}"] = path.read_bytes()
    return found


def bundle_of(file: Path) -> Path:
    """Return the folder that a definition file belongs to: the bundle it lies in, or its own folder.

    A bundle is a folder with a folder `process`; what lies anywhere else belongs together with its neighbours.
    """
    around = file.parent
    if around.resolve().name != "process":
        return around
    return around.parent if around.name == "process" else around / ".."


def definitions_around(file: Path) -> list[Path]:
    """Return the definition files of the bundle or folder that `file` lies in, scenarios and tests left out."""
    root = bundle_of(file)
    folders = [root / name for name in ("process", "decisions", "policies")]
    is_bundle = folders[0].is_dir()
    found = [path for base in folders for path in base.rglob("*")] if is_bundle else []
    found = found or list(root.glob("*"))
    return sorted(path for path in found if path.is_file() and _is_definition(path))


def _is_definition(path: Path) -> bool:
    if path.suffix in {".bpmn", ".dmn"}:
        return True
    if path.suffix == ".rego":
        return not path.stem.endswith("_test")
    return path.parent.name == "policies" and path.suffix in {".yml", ".yaml"}
