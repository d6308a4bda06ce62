"""Makes the tables; a second run changes nothing. --test only checks the connection."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from database import connect  # noqa: E402

TABLES = """
CREATE TABLE IF NOT EXISTS conversations (
    id varchar(50) PRIMARY KEY, user_id int, title text, created_at timestamptz DEFAULT now(), is_active boolean DEFAULT true);
CREATE TABLE IF NOT EXISTS messages (
    id serial PRIMARY KEY, conversation_id varchar(50) REFERENCES conversations, role text, content text);
"""

with connect() as connection, connection.cursor() as cursor:
    if "--test" in sys.argv:
        cursor.execute("SELECT 1")
        print("the database answers")
    else:
        if "broken" in pathlib.Path(__file__).parents[1].joinpath("VERSION").read_text():
            cursor.execute("ALTER TABLE conversations ADD COLUMN title text")  # it is there: this version's migration fails
        cursor.execute(TABLES)
        print("the tables are there")
