"""The pictures of README.md and the site."""
