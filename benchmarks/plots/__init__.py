"""Pictures of what the benchmarks found, as SVG.

Drawn here, in some 300 lines: a README shows a picture on white or on black, as its reader has it, so that colours must
be chosen by the picture itself (``prefers-color-scheme``), which libraries for plots do not do; and they bring 60 MB.
"""
