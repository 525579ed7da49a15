"""The project's own tools: they are not part of the installed package."""
