"""File formats in which handwriting data sets are published: one module each, hardened.

Every parser takes bytes or a stream and the name to use in its errors; whatever the file holds,
out comes a valid result or one `DataError`, and memory stays a small multiple of what is there.
"""
