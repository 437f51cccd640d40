"""The DICOMweb service (PS3.18): query, retrieve and store, at `/dicom-web`."""
