"""The model-based codecs of the paper, to compare with: six planes as published, NeRF, SIREN. The bitstream is the parameters, four
bytes each. The only part of the bench that imports torch; what hexdicom ships is in hexdicom.codec.
"""
