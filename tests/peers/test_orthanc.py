"""The Orthanc that we are measured beside takes what its settings say, and nothing else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from bench.images import write_series
from tests.peers.orthanc import orthanc
from tests.tools import program


def test_it_takes_instances_from_the_titles_named(tmp_path: Path, free_port: Callable[[], int]) -> None:
    """A named sender's instances are stored and found over DICOMweb; another title is turned away."""
    storescu = program("storescu")
    write_series(tmp_path / "series", 2, 1)
    dicom = free_port()
    with orthanc(tmp_path / "orthanc", dicom_port=dicom, http_port=free_port(), senders=("CT01",)) as peer:
        to = ["-aec", peer.title, "127.0.0.1", str(dicom), "+sd", str(tmp_path / "series")]
        subprocess.run([storescu, "-aet", "CT01", *to], check=True, capture_output=True)
        stranger = subprocess.run([storescu, "-aet", "STRANGER", *to], check=False, capture_output=True)
        assert stranger.returncode != 0
        assert len(peer.get("/instances")) == 2
        assert len(peer.get("/dicom-web/instances")) == 2
        assert any(path.is_file() for path in peer.storage.rglob("*"))
