"""Clock, money, ids, histogram, errors, after-commit jobs, paging and page helpers. No domain words live here."""
