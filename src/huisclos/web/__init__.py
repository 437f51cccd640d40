"""The face for browsers and DICOMweb clients: pages, the gate, the DICOMweb service, the viewer's origin."""
