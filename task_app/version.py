"""Which version of the server this is: the one place that says so."""

# With "-dev" until CHANGELOG.md has a day for it.
VERSION = "1.0.0-dev"
