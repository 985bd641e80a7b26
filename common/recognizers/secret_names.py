"""How much a name says about its value: `password` says all, `key` little, `token_count` nothing.

The last word decides, as the head noun does in English: a `password` is a secret, a `password_reset_at` is a time. So
`tokenizer`, `max_tokens`, `secretary` and `passport` need no list of their own.
"""

from enum import IntEnum
from functools import lru_cache

from common.recognizers.patterns import pattern


class Evidence(IntEnum):
    """What a name asks of a value before it counts as a secret."""

    NONE = 0
    DIGITS = 1  # a PIN, a CVV, a one-time code: 3 to 8 digits
    WEAK = 2  # it must look random
    SESSION = 3  # random, and may be hexadecimal
    TOKEN = 4  # it must not be a word, a small number or a placeholder
    SECRET = 5  # in quotes any literal, else as a token
    PASSWORD = 6  # any literal


_WORD = pattern(r"[A-Z]{2,64}(?![a-z])|[A-Z]?[a-z]{1,64}|[A-Z]|\d{1,20}")

# Words after the head noun that change nothing: `password2`, `API_KEY_PROD`, `tokenValue`.
_TRAILING = frozenset(
    "value val str string text txt plain plaintext raw env var prod prd production dev development test testing "
    "tests staging stage stg qa uat live sandbox local default new old current previous confirm confirmation again "
    "repeat base64 b64 base encoded enc encrypted decrypted v backup primary secondary main master us eu uk global "
    "write read ro rw admin user server api".split()
)
_PASSWORDS = (
    "password", "passwd", "passwrd", "passwort", "passphrase", "passcode", "pwd", "pswd", "passw", "kennwort",
    "contrasena", "wachtwoord", "motdepasse", "haslo", "parola", "senha",
)  # fmt: skip
FOREIGN_STEMS = ("парол", "密码", "口令", "パスワード")  # "password" in Russian, Chinese and Japanese
_SHORT_PASSWORDS = frozenset(
    ("pw", "psw", "pword", "psk", "pws", "dbpw", "bindpw", "rootpw", "requirepass", "masterauth", "passe")
)
_PASS = pattern(
    r"(?:db|database|user|usr|my|root|admin|adm|ftp|sftp|ssh|sql|mysql|pg|postgres|smtp|mail|email|imap|ldap|store|key|"
    r"login|proxy|http|auth|redis|mongo|default|acc|wifi|ssl|cert|rabbit|mq|svc|app|master|sudo|bind|repl)pass\Z"
)
_TOKENS = (
    "token", "credential", "apikey", "credentials", "accesskey", "privatekey", "authkey", "appkey", "passkey",
    "scrt", "tkn",
    "signingkey", "encryptionkey", "masterkey", "clientkey", "servicekey", "sharedkey", "accountkey", "jwt",
)  # fmt: skip
_TOKEN_WORDS = frozenset(("bearer", "hmac", "authorization", "creds", "secretid", "cookie", "tok"))
_SECRETS = ("secret", "secretkey", "secretkeybase")
_SESSIONS = ("jsessionid", "sessid", "sessionkey", "sessiontoken", "sessioncookie")
_WEAK_WORDS = frozenset(
    "auth key keys secrets tokens passwords pat code cookies salt nonce dsn sid session connectionstring webhook "
    "seed mnemonic apikeys cred access license licence pk sk ak hash pepper".split()
)
_DIGIT_WORDS = frozenset(("pin", "otp", "totp", "pincode", "mfacode"))
_CODES = frozenset(("verification", "security", "auth", "mfa", "otp", "2fa", "confirmation", "sms", "login", "card"))
_KEY_QUALIFIERS = frozenset(
    "api secret access private priv auth authentication authorization encryption encrypt encrypting decryption "
    "signing sign signed master account app application service client server shared developer dev deploy admin "
    "storage license licence ssh rsa dsa ec aes hmac jwt jws jwe ssl tls session cookie consumer customer "
    "subscription functions integration integrations ingest write read webhook webhooks stripe sendgrid aws gcp "
    "azure google openai anthropic datadog dd newrelic relic algolia mailgun mailchimp twilio github gitlab slack "
    "maps firebase fcm crypto cipher instrumentation bot vault kms user team org project root fernet token password "
    "wallet rapidapi host function pgp gpg cosmos redis sas mapbox sentry segment amplitude bugsnag rollbar "
    "honeycomb".split()
)
_PLAIN_KEYS = frozenset(
    "foreign public pub publishable sort partition routing cache object row index unique composite natural "
    "surrogate translation message locale lookup group shard registry hot shortcut arrow press idempotency dedup "
    "dedupe event metric label config feature bucket file blob site candidate map dict property attribute field "
    "param query header data state context compare search filter menu item node json yaml xml parent child column "
    "table issue return enter escape modifier meta shift ctrl control alt tab function down up left right by any no "
    "next prev first last hash range answer anon i18n tag topic record entity document cookie host".split()
)
_PLAIN_TOKENS = frozenset(
    "next page paging continuation continue sync syntax eos bos pad unk mask sep cls special stop prompt "
    "cancellation cancel first last current prev previous max min num total per input output completion cached time "
    "change resume unexpected public start end span".split()
)


@lru_cache(maxsize=4096)
def evidence(name: str) -> Evidence:
    """What `name`, in snake, kebab, camel, screaming or dotted form, says about the value it stands for."""
    if not name.isascii() and any(stem in name.lower() for stem in FOREIGN_STEMS):
        return Evidence.PASSWORD
    words = [word.lower() for word in _WORD.findall(name)]
    while len(words) > 1 and (words[-1] in _TRAILING or words[-1].isdigit()):
        words.pop()
    if not words:
        return Evidence.NONE
    before = words[-2] if len(words) > 1 else ""
    if before and words[-1] == "pass" and (name.islower() or name.isupper()):  # not the base class of an `XPass`
        return Evidence.PASSWORD
    return _of_head(words[-1], before, words)


def is_secret_name(name: str) -> bool:
    """Whether whatever stands under `name` is a secret, be it a text or a number."""
    return evidence(name) >= Evidence.TOKEN or evidence(name) is Evidence.DIGITS


def _of_head(head: str, before: str, words: list[str]) -> Evidence:
    if (
        head.endswith(_PASSWORDS)
        or head in _SHORT_PASSWORDS
        or (before, head) == ("pass", "phrase")
        or _PASS.match(head)
    ):
        return Evidence.PASSWORD
    if head in _DIGIT_WORDS or (head == "code" and before in _CODES):
        return Evidence.DIGITS
    if head.endswith("token") and (before in _PLAIN_TOKENS or "public" in words):
        return Evidence.NONE
    if head.endswith(_SECRETS) or head == "pass" or (head == "key" and before == "secret"):
        return Evidence.SECRET
    if head.endswith(_TOKENS) or head in _TOKEN_WORDS:
        return Evidence.TOKEN
    return _of_key(before) if head == "key" else _of_weak_head(head, before, words)


def _of_weak_head(head: str, before: str, words: list[str]) -> Evidence:
    if head in ("id", "sessionid") and "ssl" not in words:
        return _of_id(head, before)
    if head.endswith(_SESSIONS) or head in ("signature", "sig"):
        return Evidence.SESSION
    if head in _WEAK_WORDS or head.endswith(("key", "auth")):
        return Evidence.WEAK
    return Evidence.NONE


def _of_key(before: str) -> Evidence:
    if before in _KEY_QUALIFIERS:
        return Evidence.TOKEN
    return Evidence.NONE if before in _PLAIN_KEYS else Evidence.WEAK


def _of_id(head: str, before: str) -> Evidence:
    if before == "secret":  # Vault's AppRole
        return Evidence.TOKEN
    return Evidence.SESSION if head != "id" or before in ("session", "sess") else Evidence.NONE
