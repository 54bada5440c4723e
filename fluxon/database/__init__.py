"""Models, queries and schemas over SQLAlchemy Core, off the reactor's thread.

Start at ``models`` (declarations and their calls), ``query`` (``where``) and ``apis`` (adapters).
"""

__all__: list[str] = []
