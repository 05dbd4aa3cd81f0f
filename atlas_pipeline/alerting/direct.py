"""Send a message without the outbox: a test, or that the warehouse, where the outbox is, is unreachable.

Belongs here: sending to several channels at the same time. Does not belong here: what must not be lost (`delivery.py`).
"""

import threading
import time
from collections.abc import Mapping
from datetime import datetime

from atlas_pipeline.alerting.channels import Busy, Channel, Refused, Unreachable
from atlas_pipeline.alerting.document import document_of
from atlas_pipeline.alerting.state import Alert, Message, MessageKind


def send_now(
    channels: Mapping[str, Channel], kind: MessageKind, alert: Alert, at: datetime, seconds: float
) -> dict[str, str | None]:
    """Send one alert to every channel at once.

    Args:
        channels: by name.
        kind: of the message.
        alert: the alert.
        at: the moment of the message.
        seconds: timeout. A channel that takes longer goes on by itself and is reported.

    Returns:
        By channel what went wrong; null where nothing did.
    """
    outcomes: dict[str, str | None] = dict.fromkeys(channels, f"no answer within {seconds:.0f} s")

    def send(name: str, channel: Channel) -> None:
        dedup_key = f"{alert.policy}|{alert.subject}|{alert.since.isoformat()}|{kind}"
        message = Message(dedup_key, dedup_key.rpartition("|")[0], name, kind, alert.severity, alert.team, at, (alert,))
        try:
            channel.send(document_of(message), repeat=False)
            outcomes[name] = None
        except (Busy, Refused, Unreachable) as error:
            outcomes[name] = str(error)

    threads = [threading.Thread(target=send, args=item, daemon=True) for item in channels.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(outcomes)
