"""What the adapters of database servers share: connections, their pools, and transactions that are tried again."""
