"""Messages between the house's own processes: framed msgpack calls over unix stream sockets."""

from huisclos.channel.calls import Channel, Methods, Sibling
from huisclos.channel.handover import receive_message, send_message

__all__ = ["Channel", "Methods", "Sibling", "receive_message", "send_message"]
