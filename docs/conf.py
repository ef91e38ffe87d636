# Sphinx's configuration: Markdown pages, and the public headers through
# Doxygen's XML (tools/docs.sh runs both).
project = "Mantissa"
author = "the Mantissa authors"
copyright = author
extensions = ["breathe", "myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
breathe_projects = {"mantissa": "_build/doxygen/xml"}
breathe_default_project = "mantissa"
myst_heading_anchors = 3
html_theme = "pydata_sphinx_theme"
html_title = project
html_theme_options = {"show_prev_next": False}
html_show_sourcelink = False
