"""The console of a running server: one table of commands, shown over SSH and on the server's own terminal.

The server is given to each command as an argument; nothing here looks for one.
"""
