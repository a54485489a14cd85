"""The PostgreSQL store, on psycopg 3."""
