"""The public DICOMweb clients, Python's and JavaScript's, against the service over TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest

from huisclos.access.nouns import Right
from tests import corpus
from tests.peers.npm import DICOMWEB_CLIENT, npm_package
from tests.tools import need
from tests.web.chromium import Chromium, chromium
from tests.web.demo import Running
from tests.web.live import live

FILES = ["CT_small.dcm", "MR_small.dcm", "color3d_jpeg_baseline.dcm"]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Running]:
    """A served practice with three studies."""
    with live(tmp_path, [corpus.named(name) for name in FILES]) as one:
        yield one


def test_python_client(house: Running) -> None:
    """Search, retrieve, metadata, frames, bulk data, rendered, store: all by the library's own calls."""
    need("python:dicomweb_client")
    import requests
    from dicomweb_client.api import DICOMwebClient

    session = requests.Session()
    session.verify = str(house.authority)
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {house.world.token(Right.READ, Right.STORE)}"
    client = DICOMwebClient(house.url + "/dicom-web", session=session)
    assert len(client.search_for_studies()) == 3
    assert len(client.search_for_studies(limit=1, offset=1)) == 1
    sent = pydicom.dcmread(corpus.named("CT_small.dcm"))
    uids = (sent.StudyInstanceUID, sent.SeriesInstanceUID, sent.SOPInstanceUID)
    assert len(client.search_for_series(uids[0])) == 1
    assert len(client.search_for_instances(uids[0], uids[1])) == 1
    assert client.search_for_studies(search_filters={"PatientID": "nobody"}) == []
    assert client.retrieve_instance(*uids) == sent
    assert client.retrieve_series(*uids[:2]) == [sent]
    assert client.retrieve_study(uids[0]) == [sent]
    assert client.retrieve_instance_metadata(*uids)["00100020"]["Value"] == [sent.PatientID]
    assert len(client.retrieve_series_metadata(*uids[:2])) == 1
    assert client.retrieve_instance_frames(*uids, frame_numbers=[1])[0] == sent.PixelData
    pixels = client.retrieve_instance_metadata(*uids)["7FE00010"]["BulkDataURI"]
    assert client.retrieve_bulkdata(pixels)[0] == sent.PixelData
    assert client.retrieve_instance_rendered(*uids, media_types=("image/jpeg",)).startswith(b"\xff\xd8")
    other = pydicom.dcmread(corpus.named("JPEG2000.dcm"))
    answer = client.store_instances([other])
    assert len(answer.ReferencedSOPSequence) == 1
    assert len(client.search_for_studies()) == 4
    many = pydicom.dcmread(corpus.named("color3d_jpeg_baseline.dcm"))
    frames = client.retrieve_instance_frames(
        many.StudyInstanceUID, many.SeriesInstanceUID, many.SOPInstanceUID, frame_numbers=[1, 5]
    )
    assert [frame[:2] for frame in frames] == [b"\xff\xd8"] * 2
    assert np.frombuffer(frames[0], np.uint8).size > 1000


SCRIPT = """async (origin) => {
  const client = new DICOMwebClient.api.DICOMwebClient({ url: origin + "/dicom-web", verbose: false });
  const studies = await client.searchForStudies({ queryParams: { limit: 2 } });
  const study = studies[0]["0020000D"].Value[0];
  const series = await client.searchForSeries({ studyInstanceUID: study });
  const seriesUID = series[0]["0020000E"].Value[0];
  const instances = await client.searchForInstances({
    studyInstanceUID: study, seriesInstanceUID: seriesUID,
  });
  const names = {
    studyInstanceUID: study, seriesInstanceUID: seriesUID, sopInstanceUID: instances[0]["00080018"].Value[0],
  };
  const metadata = await client.retrieveSeriesMetadata(names);
  const one = await client.retrieveInstance(names);
  const all = await client.retrieveStudy({ studyInstanceUID: study });
  const frames = await client.retrieveInstanceFrames({ ...names, frameNumbers: [1] });
  const picture = await client.retrieveInstanceRendered({
    ...names, mediaTypes: [{ mediaType: "image/jpeg" }],
  });
  const bulk = await client.retrieveBulkData({ BulkDataURI: metadata[0]["7FE00010"].BulkDataURI });
  const none = await client.searchForStudies({ queryParams: { PatientID: "nobody" } });
  await client.storeInstances({ datasets: [one] });
  return {
    studies: studies.length, metadata: metadata.length, one: one.byteLength, all: all.length,
    frames: frames.length, frame: frames[0].byteLength,
    picture: picture.byteLength ?? picture.size ?? picture.length,
    bulk: (bulk[0] || bulk).byteLength, none: none.length,
  };
}"""


def test_javascript_client(house: Running, tmp_path: Path) -> None:
    """The client the viewer is built on, in a browser, with a session."""
    need("chromium", "certutil", "python:playwright")
    bundle = npm_package(*DICOMWEB_CLIENT) / "build" / "dicomweb-client.js"
    with chromium(tmp_path, house) as browser:
        told = in_page(browser, house, bundle)
    assert None not in told.values(), told
    assert told["studies"] == 2
    assert told["none"] == 0
    assert min(told[name] for name in ("metadata", "one", "all", "frames", "frame", "picture", "bulk")) > 0


def in_page(browser: Chromium, house: Running, bundle: Path) -> dict[str, int]:
    """Run the client in a page of ours; only this test's page may load another script."""
    page = browser.page("Dr Martin", bypass_csp=True)
    page.goto(house.url + "/account")
    page.add_script_tag(path=str(bundle))
    told: dict[str, int] = page.evaluate(SCRIPT, house.url)
    return told
