"""The clients of the cloud storage: ``CloudStorageConnector``, which blocks, and ``CloudClient``, for Twisted."""
