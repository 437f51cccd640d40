"""Messages between the house's own processes: framed msgpack calls over unix stream sockets."""

from huisclos.channel.calls import Channel, Methods, Sibling, locked_when_away
from huisclos.channel.handover import Message, receive_message, receive_word, send_message
from huisclos.channel.remote import remote, serve

__all__ = [
    "Channel",
    "Message",
    "Methods",
    "Sibling",
    "locked_when_away",
    "receive_message",
    "receive_word",
    "remote",
    "send_message",
    "serve",
]
