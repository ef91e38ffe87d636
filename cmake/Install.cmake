# Filled in by the packaging rules: install() and the package config.
