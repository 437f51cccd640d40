"""The state table against the Standard's own, as another implementation typed it."""

from __future__ import annotations

from huisclos.dimse.protocol.machine import Machine
from huisclos.dimse.protocol.states import NEXT, TABLE, Action, Evt, Sta
from tests.tools import need


def test_the_table_is_the_one_pynetdicom_has() -> None:
    """Two people who copied table 9-10 of PS3.8 separately agree on each of its cells."""
    need("python:pynetdicom")
    from pynetdicom.fsm import TRANSITION_TABLE

    ours = {(event.value, state.value): action.value for (event, state), action in TABLE.items()}
    assert TRANSITION_TABLE == ours


def test_next_states_are_those_pynetdicom_has() -> None:
    """Every action that leads to one state leads to the Standard's."""
    need("python:pynetdicom")
    from pynetdicom.fsm import ACTIONS

    for action in Action:
        theirs = ACTIONS[action.value][2]
        if action in NEXT:
            assert theirs == NEXT[action].value
        else:
            assert set(theirs) == ({"Sta3", "Sta13"} if action is Action.AE_6 else {"Sta9", "Sta10"})


def test_every_pdu_has_a_cell_in_every_state_with_a_transport() -> None:
    """No PDU finds the machine without an answer, once a peer can send one."""
    pdus = [event for event in Evt if event.name.endswith("_PDU")]
    for state in Sta:
        if state not in (Sta.STA1, Sta.STA4):
            assert all((event, state) in TABLE for event in pdus), state


def test_every_action_is_known_to_the_machine() -> None:
    """The actions without code only lead to a state, or move data."""
    silent = {Action.AE_1, Action.DT_1, Action.DT_2, Action.AR_6, Action.AR_7, Action.AA_6}
    assert set(Action) - silent == set(Machine._ACTIONS)
