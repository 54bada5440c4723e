"""The whole story by one command: a school's first year, a change of its schema, and a day of its second year.

    python docs/examples/school
    DATABASE_URL=postgresql://localhost/school python docs/examples/school

It runs in this process, on a port that is free. Run it again, and the second year goes on.
"""

import argparse
import sys
from pathlib import Path

from fluxon.connect import ConnectionInterface
from fluxon.database import schema
from fluxon.endpoint import AsyncServer, run_in_background
from fluxon.errors import FluxonError, PermissionDenied

import first_year
import models
from client import School
from router import HERE, make_setup


def two_years(setup):
    """What a person does with ``python -m fluxon.database``, step by step. No server runs meanwhile."""
    files = setup.database_schema_dir
    database = setup.database_api(setup.database_path, models=first_year)
    try:
        saved = schema.save_schema(database, files)
        schema.update_schema(database, files)
        if first_year.User.Count() == 0:
            first_year.fill()
        print(f"The first year: {saved.path.name} is saved and applied, and rows are stored.")
        print(" ", *[f"{row.code} {row.name};" for row in first_year.Course.Check(order_by="code")])

        database.unbind()
        database.bind(models)
        saved = schema.save_schema(database, files)
        print(f"The second year: the models have changed, and are saved as {saved.path.name}. This is to be done:")
        for line in schema.update_schema(database, files, plan_only=True).plan:
            print("  plan:", line)
        schema.update_schema(database, files)
        print("It is done, and every row is there, with a title that was a name:")
        print(" ", *[f"{row.code} {row.title}, {row.seats} seats;" for row in models.Course.Check(order_by="code")])
    finally:
        database.close()
        database.unbind()


def a_day(port):
    """Five people at their terminals."""
    connections, terminals = [], {}
    try:
        for username in (username for names in first_year.PEOPLE.values() for username in names):
            connection = ConnectionInterface("localhost", port)
            connections.append(connection)
            try:
                password = first_year.password_of(username)
                connection.send_request("login", {"username": username, "password": password})
                terminals[username] = School(connection, username)
            except PermissionDenied:
                print(f"{username} is not at this school any more.")
        for line in DAY.strip().splitlines():
            username, typed, command = line.partition("> ")
            if not typed:
                print(line)
            elif username in terminals:
                print(line)
                terminals[username].onecmd(command)
    finally:
        for connection in connections:
            connection.close()


DAY = """
Teachers plan the week. A room is given once, a lesson begins before it ends, and a course is its teacher's.
ada> plan CS1 Monday 9:00 10:30 A1
alan> plan CS2 Tuesday 11:00 12:30 A1
alan> plan CS2 Monday 9:00 10:30 A1
alan> plan CS2 Friday 12:00 11:00 B2
alan> plan CS1 Friday 9:00 10:00 B2
Students take courses, as long as there are seats.
mike> enrol CS1
mike> enrol CS1
zoe> enrol CS1
zoe> enrol CS9
emma> enrol CS2
emma> timetable
ada> enrol CS2
Marks: a teacher's to give, within bounds, and to those who take the course.
ada> mark emma CS1 1
ada> mark emma CS1 7
ada> mark zoe CS1 2
alan> mark mike CS1 5
emma> marks
Alan wants to leave, and cannot as long as he teaches.
alan> resign
alan> hand_over CS2 ada
alan> resign
zoe> courses
"""


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--folder", type=Path, default=HERE / "data", help="where the school keeps its things")
    folder = options.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    setup = make_setup(folder)
    if not (setup.database_schema_dir / "schema_00002.sql").exists():
        two_years(setup)
    # The server gets a thread of its own, so that this one may wait for answers.
    with run_in_background(AsyncServer(port=0, setup=setup)) as server:
        a_day(server.listening_port.getHost().port)


if __name__ == "__main__":
    try:
        main()
    except FluxonError as error:  # such as no database there, or one with other tables
        sys.exit(f"{error.code}: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
