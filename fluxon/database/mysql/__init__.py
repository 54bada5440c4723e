"""MariaDB and MySQL, through PyMySQL (the extra ``fluxon[mysql]``)."""
