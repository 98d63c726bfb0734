"""How Sphinx makes the documentation of these pages: `make docs`."""

from importlib.metadata import version as version_of

project = "Backpulse"
copyright = "the Backpulse contributors"
author = "Backpulse contributors"
version = release = version_of("backpulse")

extensions = [
    "myst_nb",  # Markdown pages, and notebooks, which it executes
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinxcontrib.typer",  # the commands' options, from the command line itself
]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["builds", "examples", "_build"]
nitpicky = True
html_theme = "furo"
html_title = "Backpulse"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
numpydoc_show_class_members = False
