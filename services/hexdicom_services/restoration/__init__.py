"""Originals out of archive objects while a peer waits: a process that decodes, kept warm, and who asks it.

The one who asks (`client`) knows no codec, so the receiver can. `server` is the process; `cache` is what lies between them on disk.
"""
