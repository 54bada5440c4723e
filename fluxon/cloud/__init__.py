"""The cloud storage: files with roles, versions and an audit log."""
