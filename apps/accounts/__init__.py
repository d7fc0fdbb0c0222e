"""People: their accounts, sign-in, second factor, single sign-on, sessions and the first-run set-up link."""
