"""The face that DICOM peers see: the vault admits their associations, the archive keeps what they send."""
