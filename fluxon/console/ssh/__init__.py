"""The console over SSH, by Twisted's Conch: keys only, for any OpenSSH client."""
