"""hexdicom archives cine MRI, and other 4-D MR, as one small object per series and gives the original instances back."""

__version__ = "0.1.0"
