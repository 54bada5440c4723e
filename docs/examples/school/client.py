"""A client for a person in a terminal: python client.py emma

At its prompt: courses, enrol CS1, leave CS1, timetable, marks; for teachers: mark emma CS1 2,
plan CS1 Monday 9:00 10:30 A1, hand_over CS1 alan, resign. "help" lists them; Ctrl+D ends it.
"""

import argparse
import cmd
import getpass
import sys
from datetime import time

from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")


class School(cmd.Cmd):
    """A function ``do_something`` is a command of that name; it gets the rest of the line."""

    def __init__(self, connection, username):
        super().__init__()
        self.ask = connection.send_request
        self.prompt = f"{username}> "

    def onecmd(self, line):
        """Whatever a command raises is told, and the next one may be typed."""
        try:
            return super().onecmd(line)
        except FluxonError as error:
            print(f"  {error.code}: {error}", flush=True)
        except ValueError:
            print("  that is not how it is typed; try: help", flush=True)

    def emptyline(self):
        """Nothing was typed. Without this the last command would be done again."""

    def do_courses(self, _):
        """courses: all of them"""
        for code, title, teacher, seats, taken in self.ask("courses"):
            print(f"  {code}  {title:<10} {teacher:<13} {taken} of {seats} seats taken")

    def do_enrol(self, code):
        """enrol CODE: take a course"""
        print(f"  you take {self.ask('enrol', {'code': code})}")

    def do_leave(self, code):
        """leave CODE: take a course no longer"""
        self.ask("leave", {"code": code})
        print(f"  you have left {code}")

    def do_timetable(self, _):
        """timetable: your week"""
        for day, begins, ends, title, teacher, room in self.ask("timetable"):
            print(f"  {DAYS[day - 1]:<10} {begins:%H:%M}-{ends:%H:%M}  {title:<10} {teacher:<13} {room}")

    def do_marks(self, _):
        """marks: yours"""
        for title, mark in self.ask("marks"):
            print(f"  {title:<10} {mark}")

    def do_mark(self, line):
        """mark STUDENT CODE MARK: give one"""
        student, code, mark = line.split()
        self.ask("give_mark", {"student": student, "code": code, "mark": int(mark)})
        print(f"  {student} has a {mark} in {code}")

    def do_plan(self, line):
        """plan CODE DAY BEGIN END ROOM: a lesson each week"""
        code, day, begins, ends, room = line.split()
        # A time of day is a value of its own on the wire: no text has to be read at the other end.
        lesson = {"code": code, "day": DAYS.index(day) + 1, "begins": _time(begins), "ends": _time(ends), "room": room}
        self.ask("plan_lesson", lesson)
        print(f"  {code} is held on {day} in {room}")

    def do_hand_over(self, line):
        """hand_over CODE TEACHER: somebody else teaches it from now on"""
        code, username = line.split()
        self.ask("hand_over", {"code": code, "to": username})
        print(f"  {username} teaches {code} now")

    def do_resign(self, _):
        """resign: leave the school"""
        self.ask("resign")
        print("  you have left the school")

    def do_EOF(self, _):
        """Ctrl+D: the end"""
        print()
        return True


def _time(text):
    """``9:00`` or ``09:00``"""
    hour, minute = text.split(":")
    return time(int(hour), int(minute))


def main():
    options = argparse.ArgumentParser(description="The school, for one of its teachers or students.")
    options.add_argument("username")
    options.add_argument("--port", type=int, default=8080)
    chosen = options.parse_args()
    password = getpass.getpass() if sys.stdin.isatty() else input()
    with ConnectionInterface("localhost", chosen.port) as connection:
        try:
            who = connection.send_request("login", {"username": chosen.username, "password": password})
        except FluxonError as error:
            sys.exit(str(error))
        School(connection, chosen.username).cmdloop(f"You are a {who} here. Try: help")


if __name__ == "__main__":
    main()
