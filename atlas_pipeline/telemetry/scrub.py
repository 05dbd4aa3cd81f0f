"""Remove secrets and personal data, by their format, from text that leaves the process in logs and error reports.

Belongs here: the patterns and the replacement. Does not belong here: which texts pass through (`logs.py`, `sentry.py`),
and finding personal data in tables, which is the work of `pii/`: that looks at columns and language, takes
milliseconds, and may be wrong about an identifier; here a line takes microseconds and the rest of it stays as it is.
Names of people have no form, and are not found.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr

from atlas_pipeline.pii.checks import credit_card, digits_of, iban, social_security
from atlas_pipeline.settings import Settings

_SHORTEST = 8
"""A shorter secret is not looked for by its value: it would be found in ordinary words. Its form or cue still is."""


@dataclass(frozen=True)
class _Pattern:
    """What is replaced: the group `v` where there is one, else the whole; `gate` must occur for it to be tried."""

    label: str
    regex: re.Pattern[str]
    gate: re.Pattern[str]
    holds: Callable[[str], bool] = bool

    def cut(self, text: str) -> str:
        return self.regex.sub(self._replacement, text)

    def _replacement(self, match: re.Match[str]) -> str:
        group = "v" if "v" in self.regex.groupindex else 0
        if not self.holds(match[group]):
            return match[0]
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        return f"{match[0][:start]}[{self.label}]{match[0][end:]}"


def _token(text: str) -> bool:
    """Whether it is not an ordinary word: `Bearer authentication` is not a token."""
    return any(letter.isdigit() or letter == "=" for letter in text)


def _aws_secret(text: str) -> bool:
    """Whether 40 characters are as mixed as a random key; a path or a hex digest is not."""
    counts = [sum(map(kind, text)) for kind in (str.isupper, str.islower, str.isdigit)]
    return min(counts[:2]) >= 6 and counts[2] >= 1


def _phone(text: str) -> bool:
    return 8 <= len(digits_of(text)) <= 15 and len(set(digits_of(text))) > 2


_DIGITS = re.compile(r"\d[\d .()/-]{5,}\d")
_CUE = re.compile(
    r"(?i)passw|pwd|passphrase|secret|token|credential|api[_-]?key|access[_-]?key|signature|[?&]sig=|authorization"
)
_PATTERNS = (
    _Pattern(
        "secret",
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        re.compile("-----BEGIN"),
    ),
    _Pattern("secret", re.compile(r"(?i)AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]{20,}"), re.compile("(?i)AGE-SECRET-KEY")),
    _Pattern(
        "secret",
        re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,30}://[^\s/@:?#]{0,200}:(?P<v>[^\s/?#]+)(?=@)"),
        re.compile("://"),
    ),
    _Pattern(
        "secret",
        re.compile(r"(?i)\bhooks\.slack\.com/(?:services|workflows)/(?P<v>[\w/-]+)"),
        re.compile(r"(?i)hooks\.slack"),
    ),
    _Pattern(
        "secret",
        re.compile(r"(?i)\b(?:bearer|basic)[ ]+(?P<v>[\w.~+/-]{8,}=*)"),
        re.compile("(?i)bearer|basic"),
        _token,
    ),
    _Pattern("secret", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?"), re.compile("eyJ")),
    _Pattern("secret", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), re.compile("AKIA|ASIA")),
    _Pattern(
        "secret",
        re.compile(r"\b(?:gh[opsur]_\w{30,}|github_pat_\w{30,}|glpat-[\w-]{16,}|xox[a-z]-[\w-]{10,}|sk-[\w-]{20,})"),
        re.compile("gh[opsur]_|github_pat|glpat-|xox|sk-"),
    ),
    _Pattern(
        "secret",
        re.compile(
            r"(?i)(?:passw(?:or)?d|pwd|passphrase|secret(?:[_ -]?(?:access[_ -]?)?key)?|token"
            r"|credentials?|api[_-]?key|access[_-]?key(?:[_-]?id)?|signature|[?&]sig|authorization)"
            r"[\"']?\s*(?:=|:)\s*(?:SecretStr\()?[\"']?(?:(?:bearer|basic)\s+)?(?P<v>(?!(?:bearer|basic)\s)[^\s\"',;&)}\[\]%*]{3,})"
        ),
        _CUE,
    ),
    _Pattern(
        "secret",
        re.compile(r"(?<![A-Za-z0-9/+_.-])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=_-])"),
        re.compile(r"[A-Za-z0-9/+]{40}"),
        _aws_secret,
    ),
    _Pattern(
        "email",
        re.compile(
            r"(?<![\w.+-])(?<!://)[^\W_](?:[\w.+'&-]|%2[Bb]){0,80}(?:@|%40)[^\W_][\w-]*(?:\.[\w-]+)*\.[^\W\d_]{2,}"
        ),
        re.compile("@|%40"),
    ),
    _Pattern(
        "iban",
        re.compile(
            r"(?<![A-Za-z0-9_-])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9_-])"
        ),
        re.compile(r"[A-Za-z]{2}\d{2}[ -]?[A-Za-z0-9]{4}"),
        iban,
    ),
    _Pattern("card", re.compile(r"(?<![\w.-])\d(?:[ -]?\d){11,18}(?![\w-]|\.\d)"), _DIGITS, credit_card),
    _Pattern("ssn", re.compile(r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-])"), _DIGITS, social_security),
    _Pattern("phone", re.compile(r"(?<![\w.):+-])\+\d(?:[ ().-]{0,2}\d){7,14}(?![\w-])"), re.compile(r"\+\d"), _phone),
    _Pattern(
        "phone",
        re.compile(r"(?<![\w.:+/-])(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}(?![\w-]|\.\d)"),
        _DIGITS,
        _phone,
    ),
    _Pattern(
        "phone",
        re.compile(r"(?<![\w.:+/-])(?:\(0[1-9]\d{1,3}\)|0[1-9]\d{1,3})[ /-]\d{3,4} ?\d{3,5}(?![\w-]|\.\d)"),
        _DIGITS,
        _phone,
    ),
)
_ANYTHING = re.compile(
    r"(?i)@|%40|://|-----BEGIN|AGE-SECRET|bearer|basic|eyJ|AKIA|ASIA|gh[opsur]_|github_pat|glpat-|xox|sk-|hooks\.slack"
    rf"|[a-z0-9/+]{{40}}|[a-z]{{2}}\d\d[ -]?[a-z0-9]{{4}}|\+\d|{_DIGITS.pattern}|{_CUE.pattern[4:]}"
)
"""What every text that a pattern could match holds: without it none is tried."""


class Scrubber:
    """Replaces secrets and personal data: by format, and the values of the settings' secrets."""

    def __init__(self, secrets: Iterable[str] = ()):
        values = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, values))) if values else None

    def text(self, text: str) -> str:
        """Scrub text: `[secret]`, `[email]`, `[phone]`, `[iban]`, `[card]`, `[ssn]` replace what was found."""
        if self._known is not None:
            text = self._known.sub("[secret]", text)
        if _ANYTHING.search(text) is None:
            return text
        for pattern in _PATTERNS:
            if pattern.gate.search(text) is not None:
                text = pattern.cut(text)
        return text

    def value(self, value: Any) -> Any:
        """Scrub a JSON-like value, keys included; any other object becomes the name of its class.

        A value under a key that names a secret, such as `password`, is one.
        """
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float):
            cut = self.text(str(value))
            return value if cut == str(value) else cut
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): "[secret]"
                if isinstance(inner, str) and inner and _SECRET_KEY.fullmatch(str(key))
                else self.value(inner)
                for key, inner in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(inner) for inner in value]
        return f"<{type(value).__qualname__}>"


_SECRET_KEY = re.compile(
    r"(?i)(?:.*[_-])?(?:password|passwd|pwd|passphrase|secret|token|credentials?|api[_-]?key|(?:secret[_-])?access[_-]?key"
    r"|authorization|cookie|signature|dsn)"
)


def secrets_of(settings: Settings) -> set[str]:
    """The values of every secret setting, the parts of those that are lists, and the passwords of URLs."""
    values: set[str] = set()
    for name in type(settings).model_fields:
        secret = getattr(settings, name)
        if not isinstance(secret, SecretStr):
            continue
        text = secret.get_secret_value()
        values.add(text)
        for part in re.split(r"[\s,]+", text):
            url = part.partition("=")[2] if re.match(r"[\w-]+=\S*://", part) else part
            values |= {part, url, *_credentials(url)}
    return values


def _credentials(url: str) -> set[str]:
    """The password of a URL, as written and as meant; the user too where it stands alone, as the key of a DSN does."""
    try:
        parts = urlsplit(url)
        secret = parts.password or (parts.username if parts.scheme.startswith("http") else None) or ""
    except ValueError:
        return set()
    return {secret, unquote(secret)}
