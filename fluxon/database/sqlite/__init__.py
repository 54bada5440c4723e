"""SQLite: connections, the writer thread, and what its errors mean."""

__all__: list[str] = []
