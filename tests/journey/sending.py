"""A sender that knows what was acknowledged: one instance after the other, undaunted by a crash."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import httpx

from tests.journey.living import SENDER, Living, multipart
from tests.journey.patients import Patient, read


@dataclass
class Load:
    """Instances of one patient, sent in the background until all of them were acknowledged."""

    house: Living
    patient: Patient
    numbers: range
    by: str = "dicom"
    """`dicom` or `stow`."""
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    """SOP Instance UID to the file, of each instance that a success was said for."""
    refused: int = 0
    """Instances that were answered with a failure, and sent again."""
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def begin(self) -> None:
        """Begin to send."""
        files = [self.patient.file(number) for number in self.numbers]
        work = self._stow if self.by == "stow" else self._c_store
        self._thread = threading.Thread(target=work, args=(files,), daemon=True)
        self._thread.start()

    def end(self, seconds: float = 60.0, *, give_up: bool = False) -> None:
        """Wait until everything was acknowledged, or stop trying with `give_up`."""
        assert self._thread is not None
        if give_up:
            self._ended.set()
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"{len(self.acknowledged)} of {len(self.numbers)} acknowledged"

    def _c_store(self, files: list[bytes]) -> None:
        from pynetdicom import AE
        from pynetdicom.presentation import build_context

        entity = AE(SENDER)
        entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = 10
        dataset = read(files[0])
        context = build_context(str(dataset.SOPClassUID), str(dataset.file_meta.TransferSyntaxUID))
        waiting = list(files)
        while waiting and not self._ended.is_set():
            association = entity.associate(
                "127.0.0.1", self.house.port("dicom"), contexts=[context], ae_title="HUISCLOS"
            )
            while waiting and association.is_established and not self._ended.is_set():
                sent = read(waiting[0])
                status = association.send_c_store(sent)
                if "Status" not in status:
                    break
                if status.Status == 0:
                    self.acknowledged[str(sent.SOPInstanceUID)] = waiting.pop(0)
                else:
                    self.refused += 1
                    time.sleep(0.1)
            if association.is_established:
                association.release()
            elif waiting:
                association.abort()
                time.sleep(0.1)

    def _stow(self, files: list[bytes]) -> None:
        waiting = list(files)
        while waiting and not self._ended.is_set():
            body, content_type = multipart(waiting[:1])
            try:
                with self.house.client("physician") as client:
                    answer = client.post(
                        "/dicom-web/studies", content=body, headers={"Content-Type": content_type}
                    )
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status_code == 200:
                sent = waiting.pop(0)
                self.acknowledged[str(read(sent).SOPInstanceUID)] = sent
            else:
                self.refused += 1
                time.sleep(0.1)
