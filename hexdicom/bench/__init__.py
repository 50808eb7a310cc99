"""Measuring: codecs side by side on the same stored values, each step in a process of its own, every result decoded and compared.

Knows values, codecs and files of results; no DICOM, no network. What it is measured on is read by the command line.
"""
