"""The server's side of ``commands.cloud``: what clients ask of a cloud storage over its port."""
