"""Secrets: keys, tokens, passwords and one-time codes, one list for columns, prose and the sweep.

Belongs here: the forms that prove a secret alone, the cues that announce one, and what after a cue is no secret. Does
not belong here: which results win (`text/scanner.py`), and how columns are counted (`columns/`, `sweep.py`).
"""

import math
import re
from collections import Counter
from itertools import pairwise

SECRET_FORMS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(form), re.compile(gate))
    for gate, form in (
        (r"A[KS]IA|AGPA|AIDA|AROA", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AGPA|AIDA|AROA)[0-9A-Z]{16}(?![A-Za-z0-9])"),
        (r"gh[pousr]_|github_pat_", r"(?<![A-Za-z0-9])(?:gh[pousr]_\w{20,}|github_pat_\w{22,})"),
        (r"glpat-", r"(?<![A-Za-z0-9])glpat-[\w-]{20,}"),
        (r"_(?:live|test)_|whsec_", r"(?<![A-Za-z0-9])(?:[rsp]k_(?:live|test)_|whsec_)[0-9A-Za-z]{10,}"),
        (r"sk-", r"(?<![A-Za-z0-9_-])sk-(?=[\w-]*\d)[\w-]{16,}"),
        (r"AIza|GOCSPX-|ya29", r"(?<![A-Za-z0-9])(?:AIza[\w-]{35}|GOCSPX-[\w-]{20,}|ya29\.[\w-]{20,})"),
        (r"xox|slack\.com", r"(?<![A-Za-z0-9])xox[abeoprs]-[\w-]{10,}|hooks\.slack\.com/services/[\w/]{20,}"),
        (r"npm_|pypi-", r"(?<![A-Za-z0-9])(?:npm_[A-Za-z0-9]{30,}|pypi-Ag[\w-]{50,})"),
        (r"hf_", r"(?<![A-Za-z0-9])hf_[A-Za-z0-9]{20,}"),
        (r"SG\.", r"(?<![A-Za-z0-9])SG\.[\w-]{16,}\.[\w-]{16,}"),
        (
            r"SK[0-9a-f]|dop_v1|shp",
            r"(?<![A-Za-z0-9])(?:SK[0-9a-f]{32}|dop_v1_[0-9a-f]{64}|shp(?:at|ss|ca)_[0-9a-fA-F]{32})",
        ),
        (r":AA", r"(?<![A-Za-z0-9])\d{8,10}:AA[\w-]{33}(?!\w)"),
        (r"\$2|\$argon2", r"(?<![\w$])\$(?:2[abxy]?\$\d\d\$[./\w]{53}|argon2\w+\$\S{20,})"),
        (r"eyJ", r"(?<![A-Za-z0-9])eyJ[\w-]{8,}\.[\w-]+\.[\w-]*"),
        (
            r"PRIVATE KEY",
            r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?s:.*?(?:-----END [A-Z ]{0,20}PRIVATE KEY-----|\Z))",
        ),
        (r"(?i)bearer|basic", r"(?i:\b(?:bearer|basic)) (?P<v>(?=[\w+/=~.-]{0,80}\d)[\w+/~.-]{16,}={0,2})"),
        (
            r"://",
            r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{1,20}://(?P<v>[^\s:/@\"'<>\\]{0,64}:[^\s/@\"'<>\\]{1,128})(?=@)",
        ),
        (r"(?i)password=|pwd=", r"(?i:[;?&\s](?:password|pwd)=)(?P<v>[^\s;&\"'<>\\]{3,128})"),
        (
            r"(?i)aws",
            r"(?i:aws[\w .-]{0,24}(?:secret|key)[\w ]{0,12})\\?[\"']?\s*[:=]\s*[\"']?"
            r"(?P<v>[A-Za-z0-9/+]{40})(?![\w/+])",
        ),
    )
)
"""Each form with its gate, a cheaper pattern that a text must hold before the form is tried. The secret is the group
`v` if there is one, else the whole match. Forms are those that the issuers of keys publish for scanners."""

_ANY_GATE = "|".join(re.sub(r"^\(\?i\)(.*)$", r"(?i:\1)", gate.pattern) for _, gate in SECRET_FORMS)
"""All gates as one pattern."""
_GATE = re.compile(_ANY_GATE)

SWEPT = (
    r"A[KS]IA[0-9A-Z]{16}|gh[pousr]_\w{20}|github_pat_|glpat-|[rs]k_(?:live|test)_|whsec_|sk-[\w-]{16}|AIza[\w-]{35}"
    r"|GOCSPX-|ya29\.|xox[abeoprs]-|hooks\.slack\.com|npm_\w{30}|pypi-Ag|hf_\w{20}|SG\.[\w-]{16}|SK[0-9a-f]{32}"
    r"|dop_v1_|shp(?:at|ss|ca)_|:AA[\w-]{33}|\$2[abxy]?\$\d\d\$|\$argon2|eyJ[\w-]{8,}\.|PRIVATE KEY-----"
    r"|(?i:bearer) [\w+/~.-]{16}|://[^\s:/@]*:[^\s/@]+@|(?i:pwd|password)=|(?i:aws).{0,40}[A-Za-z0-9/+]{40}"
)
"""What a text must hold to be looked at by the sweep, for RE2: the forms once more, without what RE2 has not."""


def secret_within(text: str) -> bool:
    """Whether the text holds a secret that its form proves."""
    return any(gate.search(text) is not None and form.search(text) is not None for form, gate in SECRET_FORMS)


def whole_secret(cell: str) -> bool:
    """Whether a cell without blanks is a secret, or a key in PEM, or a URL with a password."""
    if _GATE.search(cell) is None or (" " in cell and "PRIVATE KEY" not in cell):
        return False
    for form, gate in SECRET_FORMS:
        if gate.search(cell) is not None and (match := form.search(cell)) is not None:
            return match.end() - match.start() >= 0.8 * len(cell) or "://" in cell
    return False


_NAMES = (
    r"passwords?|passwd|passcode|passphrase|pwd|passwort|kennwort|mot de passe|contraseña|palabra clave|parola d'ordine"
    r"|wachtwoord|hasło|senha|secret|(?:api|access|secret|client|private|auth|signing|encryption)[ _-]?(?:key|token"
    r"|secret)|api[ _-]?schlüssel|token|pin|cvv2?|cvc2?|otp"
)
_LINK = r"(?i:\s*(?:(?:code|is|ist|es|est|è|war|was)(?!\w)|[:=]|\\?[\"'])){1,4}\s*\\?[\"']?"
_CODES = (
    r"otp|one[- ]?time (?:pass(?:word|code)|code|pin)|(?:verification|security|confirmation|login|auth(?:entication)?"
    r"|access|2fa|mfa|sms)[ -]?(?:code|pin)|(?:bestätigungs|sicherheits|freigabe|zugangs|einmal)code"
    r"|einmal(?:kenn|pass)wort|(?:sms-?|m-?)tan|code (?:de (?:vérification|sécurité|confirmation)|d['’]accès)"
    r"|código de (?:verificación|seguridad|verificação|segurança|confirmación)|codice (?:di (?:verifica|sicurezza)|otp)"
    r"|(?:your|ihr|dein|votre|ton|su|tu|seu|il tuo) (?:code|código|codice)(?= (?:is|ist|lautet|es|est|è|é)(?!\w)|:)"
    r"|cvv2?|cvc2?|cvn"
)
SECRET_CUES = (
    re.compile(rf"(?i:(?<![^\W_])(?:{_NAMES})(?!\w)){_LINK}(?P<v>[^\s\"',;<>\\]{{3,128}})"),
    re.compile(
        rf"(?i:(?<![^\W_])(?:{_CODES})(?!\w))(?i:\s*(?:(?:code|is|ist|lautet|es|est|è|é|was|number)(?!\w)|[:=#-])){{0,3}}\s*"
        r"(?P<v>\d{3}[ -]\d{3}|\d{3,8})(?![\w%]|[.,-]\d| ?(?i:digits?|sec|min|hours?|stellen|times|users)(?!\w))"
    ),
)
"""A word such as "password", what links it to its value, and the value as the group `v`."""

RANDOM_NEAR_CUE = re.compile(
    rf"(?i:(?<![^\W_])(?:{_NAMES}|keys?|credentials?|schlüssel|clave|clé|chiave)(?!\w))[^\n]{{0,60}}?"
    r"(?<![\w/+=.-])(?P<v>(?=[\w+/-]{0,40}\d)[\w+/-]{20,128}={0,2})(?![\w+/=-])"
)
"""The last resort: a long run of letters and digits in the same line as a cue; `random_looking` decides."""


def random_looking(text: str) -> bool:
    """Whether a run of 20 characters or more is as mixed as a random one: at least 3.5 bits of entropy a character, and
    lower case, upper case and digits alternate in more than four of ten places, as they do not in names of programs."""
    counts = Counter(text)
    entropy = -sum(count / len(text) * math.log2(count / len(text)) for count in counts.values())
    classes = ["a" if letter.islower() else "A" if letter.isupper() else "0" for letter in text if letter.isalnum()]
    changes = sum(left != right for left, right in pairwise(classes))
    return len(set(classes)) == 3 and entropy >= 3.5 and changes > 0.4 * len(classes)


_TECHNICAL = re.compile(
    r"(?i)(?:base\d+|sha-?\d+|md5|oauth\d?|utf-?\d+|rfc ?\d+|http/?\d?|x509|ed25519|rsa-?\d*|aes-?\d*|argon2\w*|pbkdf2"
    r"|bcrypt|v?\d+(?:\.\d+)+|v\d+|\d+(?:st|nd|rd|th|er|e)?)(?:-[a-z]+)?|\d+-(?:bit|byte|digit|char)\w*"
    r"|\d{4}-\d{1,2}-\d{1,2}(?:t.*)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|min\.?\d*|max\.?\d*"
)
_PIN = re.compile(r"\d{4,8}")


def secret_value(text: str) -> bool:
    """Whether what follows a cue is a secret: it holds a digit or a symbol, and is not a format, version or date."""
    value = text.rstrip(".!?:)]}")
    if _PIN.fullmatch(value) or re.fullmatch(r"\d{3}|\d{3}[ -]\d{3}", value):
        return True
    if len(value) < 3 or _TECHNICAL.fullmatch(value):
        return False
    return (
        re.search(r"\d", value) is not None or re.search(r"\w[@#$%^&*!+=]+\w|\w[#$^&*!]$", text.rstrip(".")) is not None
    )
