"""Notification channels: webhooks, Alertmanager, and every receiver that Apprise supports.

Belongs here: how a channel is declared, and which class sends to it. Does not belong here: sending (the modules), and
when to try again (`alerting/delivery.py`).
"""

import re
from collections.abc import Callable, Mapping
from functools import cache

from pydantic import SecretStr

from atlas_pipeline.alerting.channels.alertmanager import Alertmanager
from atlas_pipeline.alerting.channels.apprise import AppriseChannel
from atlas_pipeline.alerting.channels.channel import Busy, Channel, ChannelError, Refused, Unreachable
from atlas_pipeline.alerting.channels.http import Address
from atlas_pipeline.alerting.channels.webhook import Webhook
from atlas_pipeline.settings import Settings

__all__ = [
    "Busy",
    "Channel",
    "ChannelError",
    "Refused",
    "Unreachable",
    "configured_channels",
    "make_channel",
    "parse_channels",
]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_OWN: Mapping[str, Callable[[Address, str], Channel]] = {"webhook": Webhook, "alertmanager": Alertmanager}


def parse_channels(text: str) -> dict[str, SecretStr]:
    """Parse `name=url` entries, separated by whitespace, into URLs by name.

    Raises ChannelError for an entry without a name, a name twice, or a URL that is none. Whether Apprise knows its
    scheme shows when something is sent.
    """
    channels: dict[str, SecretStr] = {}
    for position, entry in enumerate(text.split(), start=1):
        name, _, url = entry.partition("=")
        if not _NAME.fullmatch(name):
            raise ChannelError(
                f"channel {position} has no name: expected name=url, the name of letters, digits, _ and -, and blanks "
                "within a URL as %20"
            )
        if name in channels:
            raise ChannelError(f"channel {name} is there twice: expected one URL for each name")
        make_channel(name, SecretStr(url), "")
        channels[name] = SecretStr(url)
    return channels


@cache
def configured_channels(settings: Settings) -> Mapping[str, Channel]:
    """The channels of the setting `alert_channels`, by name, in order. Raises ChannelError."""
    text = settings.alert_channels.get_secret_value() if settings.alert_channels else ""
    return {name: make_channel(name, url, settings.ui_address) for name, url in parse_channels(text).items()}


def make_channel(name: str, url: SecretStr, ui_url: str) -> Channel:
    """The channel for a URL.

    Args:
        name: the channel's, for errors.
        url: of the receiver; its scheme says which kind of channel it is.
        ui_url: address of Dagster's UI, which links in messages begin with.

    Raises:
        ChannelError: the URL cannot be read.
    """
    scheme, separator, rest = url.get_secret_value().partition("://")
    if not separator or not rest or not _SCHEME.fullmatch(scheme):
        raise ChannelError(f"channel {name}: expected a URL such as webhook+https://host/path")
    kind, _, carrier = scheme.lower().partition("+")
    if kind not in _OWN:
        return AppriseChannel(url, ui_url)
    try:
        return _OWN[kind](Address.of(f"{carrier}://{rest}"), ui_url)
    except ValueError as error:
        raise ChannelError(f"channel {name}: {kind}+ and a URL: {error}") from None
