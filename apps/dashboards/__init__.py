"""The pages that look across everything. They read, and own no table."""
