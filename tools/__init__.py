"""Scripts that make files shipped with the package."""
