"""The state table of the upper layer, in the Standard's own names (PS3.8 section 9.2).

`TABLE` is PS3.8 table 9-10: what happens (`Evt`) in which state (`Sta`) leads to which `Action`;
an empty cell is a pair that cannot be, and is not in it. `NEXT` gives the state an action leads
to (tables 9-6 to 9-9), but for AE-6 and AR-8, which choose between two.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Sta(StrEnum):
    """The states (PS3.8 tables 9-1 to 9-5)."""

    STA1 = "Sta1"
    """idle"""
    STA2 = "Sta2"
    """transport open, awaiting A-ASSOCIATE-RQ"""
    STA3 = "Sta3"
    """awaiting our user's answer to the request"""
    STA4 = "Sta4"
    """awaiting the transport connection"""
    STA5 = "Sta5"
    """awaiting A-ASSOCIATE-AC or -RJ"""
    STA6 = "Sta6"
    """association established"""
    STA7 = "Sta7"
    """awaiting A-RELEASE-RP"""
    STA8 = "Sta8"
    """awaiting our user's answer to the release"""
    STA9 = "Sta9"
    """release collision, requestor: awaiting our user's answer"""
    STA10 = "Sta10"
    """release collision, acceptor: awaiting A-RELEASE-RP"""
    STA11 = "Sta11"
    """release collision, requestor: awaiting A-RELEASE-RP"""
    STA12 = "Sta12"
    """release collision, acceptor: awaiting our user's answer"""
    STA13 = "Sta13"
    """awaiting the end of the transport connection"""


class Evt(StrEnum):
    """What happens (PS3.8 table 9-10): our user's primitives, the peer's PDUs, transport, timer."""

    ASSOCIATE_REQUEST = "Evt1"
    TRANSPORT_CONFIRM = "Evt2"
    ASSOCIATE_AC_PDU = "Evt3"
    ASSOCIATE_RJ_PDU = "Evt4"
    TRANSPORT_INDICATION = "Evt5"
    ASSOCIATE_RQ_PDU = "Evt6"
    ASSOCIATE_RESPONSE_ACCEPT = "Evt7"
    ASSOCIATE_RESPONSE_REJECT = "Evt8"
    P_DATA_REQUEST = "Evt9"
    P_DATA_TF_PDU = "Evt10"
    RELEASE_REQUEST = "Evt11"
    RELEASE_RQ_PDU = "Evt12"
    RELEASE_RP_PDU = "Evt13"
    RELEASE_RESPONSE = "Evt14"
    ABORT_REQUEST = "Evt15"
    ABORT_PDU = "Evt16"
    TRANSPORT_CLOSED = "Evt17"
    ARTIM_EXPIRED = "Evt18"
    INVALID_PDU = "Evt19"


class Action(StrEnum):
    """What is done (PS3.8 tables 9-6 to 9-9)."""

    AE_1 = "AE-1"
    """open the transport connection"""
    AE_2 = "AE-2"
    """send A-ASSOCIATE-RQ"""
    AE_3 = "AE-3"
    """tell: accepted"""
    AE_4 = "AE-4"
    """tell: rejected; close the transport"""
    AE_5 = "AE-5"
    """start ARTIM"""
    AE_6 = "AE-6"
    """stop ARTIM; tell: requested, or send A-ASSOCIATE-RJ and start ARTIM"""
    AE_7 = "AE-7"
    """send A-ASSOCIATE-AC"""
    AE_8 = "AE-8"
    """send A-ASSOCIATE-RJ; start ARTIM"""
    DT_1 = "DT-1"
    """send P-DATA-TF"""
    DT_2 = "DT-2"
    """tell: data"""
    AR_1 = "AR-1"
    """send A-RELEASE-RQ"""
    AR_2 = "AR-2"
    """tell: release asked"""
    AR_3 = "AR-3"
    """tell: released; close the transport"""
    AR_4 = "AR-4"
    """send A-RELEASE-RP; start ARTIM"""
    AR_5 = "AR-5"
    """stop ARTIM"""
    AR_6 = "AR-6"
    """tell: data"""
    AR_7 = "AR-7"
    """send P-DATA-TF"""
    AR_8 = "AR-8"
    """tell: release asked, both at once"""
    AR_9 = "AR-9"
    """send A-RELEASE-RP"""
    AR_10 = "AR-10"
    """tell: released"""
    AA_1 = "AA-1"
    """send A-ABORT (user); start ARTIM"""
    AA_2 = "AA-2"
    """stop ARTIM; close the transport"""
    AA_3 = "AA-3"
    """tell: aborted; close the transport"""
    AA_4 = "AA-4"
    """tell: lost"""
    AA_5 = "AA-5"
    """stop ARTIM"""
    AA_6 = "AA-6"
    """ignore"""
    AA_7 = "AA-7"
    """send A-ABORT"""
    AA_8 = "AA-8"
    """send A-ABORT (provider); tell: aborted; start ARTIM"""


_TABLE_9_10: Final = """
      Sta1 Sta2 Sta3 Sta4 Sta5 Sta6 Sta7 Sta8 Sta9 Sta10 Sta11 Sta12 Sta13
Evt1  AE-1 .    .    .    .    .    .    .    .    .     .     .     .
Evt2  .    .    .    AE-2 .    .    .    .    .    .     .     .     .
Evt3  .    AA-1 AA-8 .    AE-3 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
Evt4  .    AA-1 AA-8 .    AE-4 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
Evt5  AE-5 .    .    .    .    .    .    .    .    .     .     .     .
Evt6  .    AE-6 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
Evt7  .    .    AE-7 .    .    .    .    .    .    .     .     .     .
Evt8  .    .    AE-8 .    .    .    .    .    .    .     .     .     .
Evt9  .    .    .    .    .    DT-1 .    AR-7 .    .     .     .     .
Evt10 .    AA-1 AA-8 .    AA-8 DT-2 AR-6 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
Evt11 .    .    .    .    .    AR-1 .    .    .    .     .     .     .
Evt12 .    AA-1 AA-8 .    AA-8 AR-2 AR-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-6
Evt13 .    AA-1 AA-8 .    AA-8 AA-8 AR-3 AA-8 AA-8 AR-10 AR-3  AA-8  AA-6
Evt14 .    .    .    .    .    .    .    AR-4 AR-9 .     .     AR-4  .
Evt15 .    .    AA-1 AA-2 AA-1 AA-1 AA-1 AA-1 AA-1 AA-1  AA-1  AA-1  .
Evt16 .    AA-2 AA-3 .    AA-3 AA-3 AA-3 AA-3 AA-3 AA-3  AA-3  AA-3  AA-2
Evt17 .    AA-5 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4 AA-4  AA-4  AA-4  AR-5
Evt18 .    AA-2 .    .    .    .    .    .    .    .     .     .     AA-2
Evt19 .    AA-1 AA-8 .    AA-8 AA-8 AA-8 AA-8 AA-8 AA-8  AA-8  AA-8  AA-7
"""

NEXT: Final[dict[Action, Sta]] = {
    Action.AE_1: Sta.STA4,
    Action.AE_2: Sta.STA5,
    Action.AE_3: Sta.STA6,
    Action.AE_4: Sta.STA1,
    Action.AE_5: Sta.STA2,
    Action.AE_7: Sta.STA6,
    Action.AE_8: Sta.STA13,
    Action.DT_1: Sta.STA6,
    Action.DT_2: Sta.STA6,
    Action.AR_1: Sta.STA7,
    Action.AR_2: Sta.STA8,
    Action.AR_3: Sta.STA1,
    Action.AR_4: Sta.STA13,
    Action.AR_5: Sta.STA1,
    Action.AR_6: Sta.STA7,
    Action.AR_7: Sta.STA8,
    Action.AR_9: Sta.STA11,
    Action.AR_10: Sta.STA12,
    Action.AA_1: Sta.STA13,
    Action.AA_2: Sta.STA1,
    Action.AA_3: Sta.STA1,
    Action.AA_4: Sta.STA1,
    Action.AA_5: Sta.STA1,
    Action.AA_6: Sta.STA13,
    Action.AA_7: Sta.STA13,
    Action.AA_8: Sta.STA13,
}


def _read_table(text: str) -> dict[tuple[Evt, Sta], Action]:
    header, *rows = (line.split() for line in text.strip().splitlines())
    return {
        (Evt(row[0]), Sta(state)): Action(cell)
        for row in rows
        for state, cell in zip(header, row[1:], strict=True)
        if cell != "."
    }


TABLE: Final[dict[tuple[Evt, Sta], Action]] = _read_table(_TABLE_9_10)
