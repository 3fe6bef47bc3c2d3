"""Find the data files that other packages ship, without importing those packages."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from custanalytics.exceptions import MissingExtraError


def installed_file(package: str, distribution: str, *parts: str) -> Path:
    """The path of a file inside an installed package; a MissingExtraError where it is not there."""
    spec = find_spec(package)  # of a top-level package: nothing of it is run
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, *parts)
        if path.is_file():
            return path
    what = "has no file " + "/".join(parts) if spec else "is not installed"
    raise MissingExtraError(
        f"This data set lies in the package {distribution!r}, which {what}. "
        "Install it with: pip install 'custanalytics[data]'"
    )
