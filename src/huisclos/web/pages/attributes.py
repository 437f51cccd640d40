"""Names a doctor knows for the attributes that differ most often between two copies of an image."""

from __future__ import annotations

from huisclos.web.words import Words


def attribute_names(words: Words) -> dict[str, str]:
    """By keyword of PS3.6."""
    _ = words.gettext
    return {
        "PatientName": _("Patient's name"),
        "PatientID": _("Patient number"),
        "PatientBirthDate": _("Birth date"),
        "PatientSex": _("Sex"),
        "PatientAge": _("Age"),
        "PatientSize": _("Height"),
        "PatientWeight": _("Weight"),
        "PatientAddress": _("Patient's address"),
        "PatientComments": _("Comments on the patient"),
        "OtherPatientIDs": _("Other patient numbers"),
        "IssuerOfPatientID": _("Who gave the patient number"),
        "AccessionNumber": _("Accession number"),
        "ReferringPhysicianName": _("Asked for by"),
        "PerformingPhysicianName": _("Done by"),
        "OperatorsName": _("Operator"),
        "StudyInstanceUID": _("Study"),
        "StudyID": _("Study number"),
        "StudyDate": _("Study date"),
        "StudyTime": _("Study time"),
        "StudyDescription": _("Study description"),
        "SeriesInstanceUID": _("Series"),
        "SeriesNumber": _("Series number"),
        "SeriesDate": _("Series date"),
        "SeriesTime": _("Series time"),
        "SeriesDescription": _("Series description"),
        "ProtocolName": _("Protocol"),
        "BodyPartExamined": _("Body part"),
        "Laterality": _("Side of the body"),
        "ImageLaterality": _("Side of the body"),
        "Modality": _("Kind"),
        "InstanceNumber": _("Image number"),
        "AcquisitionDate": _("Acquisition date"),
        "AcquisitionTime": _("Acquisition time"),
        "ContentDate": _("Image date"),
        "ContentTime": _("Image time"),
        "InstanceCreationDate": _("Made on"),
        "InstanceCreationTime": _("Made at"),
        "ImageComments": _("Comments on the image"),
        "ImageType": _("Image type"),
        "InstitutionName": _("Institution"),
        "InstitutionAddress": _("Address of the institution"),
        "StationName": _("Machine"),
        "Manufacturer": _("Maker"),
        "ManufacturerModelName": _("Model"),
        "SoftwareVersions": _("Software versions"),
        "Rows": _("Rows"),
        "Columns": _("Columns"),
        "NumberOfFrames": _("Number of frames"),
        "WindowCenter": _("Window centre"),
        "WindowWidth": _("Window width"),
        "LossyImageCompression": _("Compressed with loss"),
        "BurnedInAnnotation": _("Writing in the picture"),
    }
