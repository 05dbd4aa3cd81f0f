"""A webhook: the document as it is, posted to a URL.

Belongs here: what a webhook receives. Does not belong here: the request (`http.py`), the document (`document.py`).
"""

import json
import string
from urllib.parse import quote

from atlas_pipeline.alerting.channels.http import Address, Poster
from atlas_pipeline.alerting.document import for_people
from atlas_pipeline.alerting.state import Document

_IN_A_HEADER = string.punctuation.replace("%", "") + " "


class Webhook:
    """Posts the document with an `Idempotency-Key`, by which the receiver recognises repeats."""

    def __init__(self, address: Address, ui_url: str):
        self._poster, self._ui_url = Poster(address), ui_url

    def send(self, document: Document, repeat: bool) -> None:
        """See `Channel.send`."""
        body = json.dumps(for_people(document, self._ui_url, repeat), ensure_ascii=False).encode()
        self._poster.post(body, {"Idempotency-Key": quote(document["dedupe"], safe=_IN_A_HEADER)})
