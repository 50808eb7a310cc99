"""A second decoder of the bitstream, written from docs/format.md alone: plain integers, slow, nothing shared with hexdicom.

That it agrees with hexdicom.codec shows that the specification suffices to read an archive without our code. Section numbers
are those of docs/format.md. It checks what the specification demands and raises ValueError.
"""
