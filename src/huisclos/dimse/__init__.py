"""The DICOM upper layer (PS3.8) and DIMSE messages (PS3.7): a pure machine, and its asyncio ends."""
