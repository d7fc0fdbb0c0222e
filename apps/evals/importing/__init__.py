"""Reading uploaded examples, row by row and in bounded memory: bytes to text, text to records, records to examples.

Pure. A row that cannot be an example is told of with its number, its column and what to do, and spoils no other row.
"""
