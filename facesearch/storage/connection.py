"""The connection of a transaction, which callers hand on to the functions of this package.

`Database.read` and `Database.write` give it. Only the package `storage` sends SQL over it.
"""

from sqlalchemy import Connection

__all__ = ["Connection"]
