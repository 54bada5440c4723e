"""SQLite: connections, who reads and who writes, and what its errors mean."""

__all__: list[str] = []
