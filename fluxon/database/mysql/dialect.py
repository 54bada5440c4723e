"""How Core writes SQL for MariaDB and MySQL here.

Rules kept here:

- Texts are compared byte by byte, case and blanks at the end included, as on the other databases: the servers' own
  collations would let "mike" log in as "Mike".
- Columns hold what their fields promise: texts and bytes of any length, times to the microsecond.
- ``LIKE`` has no escape character unless one is named, as on SQLite.
- One text for both servers. ``/*M!`` comments are read by MariaDB alone, ``/*!8`` comments by MySQL 8 alone.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy
from sqlalchemy.dialects.mysql.base import MySQLDDLCompiler, MySQLTypeCompiler
from sqlalchemy.dialects.mysql.mysqldb import MySQLCompiler_mysqldb
from sqlalchemy.dialects.mysql.pymysql import MySQLDialect_pymysql

from fluxon.database.statements import Statements

#: What follows the closing parenthesis of every CREATE TABLE.
TABLE_OPTIONS = (
    " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
    " /*M!100200 COLLATE=utf8mb4_nopad_bin */ /*!80017 COLLATE=utf8mb4_0900_bin */"
)


#: With '' the backslash would stay the escape character. No text here holds a NUL.
_NO_ESCAPE = " ESCAPE '\\0'"


class _Compiler(MySQLCompiler_mysqldb):
    def visit_like_op_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        text = str(super().visit_like_op_binary(binary, operator, **kwargs))  # type: ignore[no-untyped-call]
        return text if binary.modifiers.get("escape") is not None else text + _NO_ESCAPE

    def visit_not_like_op_binary(self, binary: Any, operator: Any, **kwargs: Any) -> str:
        text = str(super().visit_not_like_op_binary(binary, operator, **kwargs))  # type: ignore[no-untyped-call]
        return text if binary.modifiers.get("escape") is not None else text + _NO_ESCAPE


class _TypeCompiler(MySQLTypeCompiler):
    def visit_TEXT(self, type_: Any, **_: Any) -> str:
        return "LONGTEXT"

    def visit_BLOB(self, type_: Any, **_: Any) -> str:
        return "LONGBLOB"

    def visit_TIME(self, type_: Any, **_: Any) -> str:
        return "TIME(6)"

    def visit_DATETIME(self, type_: Any, **_: Any) -> str:
        return "DATETIME(6)"


class _DDLCompiler(MySQLDDLCompiler):
    def post_create_table(self, table: sqlalchemy.Table) -> str:
        return TABLE_OPTIONS


class MySQLDialect(MySQLDialect_pymysql):
    """The dialect, known without asking a server."""

    statement_compiler = _Compiler
    type_compiler_cls = _TypeCompiler
    ddl_compiler = _DDLCompiler
    supports_statement_cache = True


class MySQLStatements(Statements):
    """The prepared statements of a MariaDB or MySQL database."""

    def __init__(self) -> None:
        super().__init__(MySQLDialect(), MySQLDialect(paramstyle="named"))
