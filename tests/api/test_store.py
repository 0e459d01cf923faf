from __future__ import annotations

import sqlite3

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

from api.errors import OutOfSpace
from api.store import open_store
from api.store.sql import SqlStore
from api.store.tables import Base
from detector.errors import Failure, WrongUse


def test_an_empty_folder_becomes_a_store_with_all_tables(tmp_path):
    url = f"sqlite:///{tmp_path}/cases.db"
    open_store(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        assert "alembic_version" in inspect(connection).get_table_names()
    engine.dispose()


def test_upgrading_again_changes_nothing(tmp_path):
    url, path = f"sqlite:///{tmp_path}/cases.db", tmp_path / "cases.db"
    open_store(url).close()
    before = path.read_bytes()
    open_store(url).close()
    assert path.read_bytes() == before


def test_sqlite_is_set_for_durability(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/cases.db")
    with store.read() as tx:
        ask = tx._session.connection().exec_driver_sql
        said = {
            name: ask(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    store.close()
    assert said == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


def test_a_newer_store_is_not_touched(tmp_path):
    url = f"sqlite:///{tmp_path}/cases.db"
    open_store(url).close()
    with sqlite3.connect(tmp_path / "cases.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(Failure, match="newer Kerbwatch"):
        open_store(url)


def test_what_is_no_database_is_refused(tmp_path):
    (tmp_path / "cases.db").write_text("a shopping list, long enough to be looked at " * 200)
    with pytest.raises(Failure, match=r"cannot be opened: file is not a database"):
        open_store(f"sqlite:///{tmp_path}/cases.db")
    with pytest.raises(Failure, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}/no/such/folder/cases.db")


@pytest.mark.parametrize("url", ["", "cases.db", "mysql://host/db"])
def test_what_is_no_store_is_refused(url):
    with pytest.raises(WrongUse):
        open_store(url)


def test_a_full_disk_is_said_in_one_sentence(tmp_path):
    store = SqlStore(f"sqlite:///{tmp_path}/cases.db")

    def fill():
        with store.write() as tx:
            ask = tx._session.connection().exec_driver_sql
            ask("PRAGMA max_page_count = 1")
            ask("CREATE TABLE big AS SELECT randomblob(100000)")

    with pytest.raises(OutOfSpace, match="no space is left for the database"):
        fill()
    store.close()
