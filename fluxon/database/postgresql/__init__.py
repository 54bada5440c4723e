"""PostgreSQL, through psycopg 3 (the extra ``fluxon[postgresql]``)."""
