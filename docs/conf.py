"""Sphinx configuration."""

import os
import re
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("MPLBACKEND", "Agg")

project = "custanalytics"
author = "The custanalytics developers"
copyright = "2026, the custanalytics developers"

from custanalytics import __version__ as release  # noqa: F401

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.extlinks",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "auto_examples/*.ipynb", "auto_examples/*.py.md5"]
templates_path = ["_templates"]
default_role = "literal"  # docstrings write names of parameters and columns in single backticks
extlinks = {"doi": ("https://doi.org/%s", "doi:%s")}

autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
autodoc_typehints = "none"
suppress_warnings = ["config.cache"]

# Every name that a docstring or page refers to must exist; names of other libraries are not looked up.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(sklearn|numpy|pandas|datetime|matplotlib|scipy)\..*")]

sphinx_gallery_conf = {
    "examples_dirs": str(Path(__file__).parents[1] / "examples"),
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"score_real_data\.py",
    "download_all_examples": False,
    "abort_on_example_error": True,
    "show_memory": False,
    "ignore_repr_types": r"Display",  # the picture says it
}
warnings.filterwarnings("ignore", category=DeprecationWarning)

html_theme = "pydata_sphinx_theme"
html_title = "custanalytics"
html_theme_options = {"navigation_with_keys": False, "show_toc_level": 2}
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_sidebars: dict[str, list[str]] = {"getting_started": [], "architecture": [], "add_a_model": []}


def escape_shapes(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Let "shape (n_features_in_,)" be read as it stands: a word that ends in an underscore is a link in RST."""
    for at, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[at] = re.sub(r"\((n_\w+)_(?=[,)])", r"(\1\\_", line)


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", escape_shapes, priority=100)  # before numpydoc
