"""Schema updates on database servers, which change tables in place."""
