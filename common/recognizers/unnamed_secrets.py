"""Random literals under unusual names: beside the name of a provider, or a word such as `key` before them.

A literal must be quoted or assigned, and be random as no identifier is. What stands under the name of an id, a digest
or an address of content is never taken; hexadecimal and UUIDs only where the provider's name stands in the name.
"""

from collections.abc import Iterator

from common.recognizers import secret_values
from common.recognizers.patterns import pattern
from common.recognizers.span import PiiKind, PiiSpan

_LITERAL = pattern(
    r"""(?:["']|=[ ]?)(?P<value>[A-Za-z0-9+/][A-Za-z0-9+/_\-.|]{14,128}+={0,2}+)(?=["'\s;,)&]|\\[n"]|\Z)"""
)
_REACH = 64
_KEYISH = pattern(r"key|secret|token|auth|cred|passw|api|crypt|private|salt|seed|access|login|bearer|webhook|signing")
_NAME_BEFORE = pattern(r"[\W_]{0,8}([a-z0-9]{1,24})")  # read backwards
# Last words of names of ids, digests, addresses and other things that are random and no secret.
_ORDINARY = frozenset(
    "id ids hash hashes digest etag checksum integrity fingerprint trace span request req cursor commit version "
    "uuid guid rev revision sum name path file url uri href src image img icon class type format host node pod "
    "container instance blob block job task event order ref public pub cert certificate code model sitekey "
    "thumbprint message msg user email arn address nonce next page resource bucket index md5 sha sha1 sha256 sha384 "
    "sha512 parent session tag cipher suite agent traceparent branch build release region zone domain server "
    "upstream".split()
)
_PROVIDERS = pattern(
    "adafruit|airtable|algolia|alibaba|aliyun|alphavantage|amplitude|asana|atlassian|auth0|beamer|binance|bitbucket|"
    "bitfinex|bittrex|braintree|bugsnag|circleci|cloudflare|cloudinary|codacy|codecov|cohere|coinbase|confluent|"
    "contentful|coveralls|datadog|digitalocean|discord|docusign|droneci|dropbox|dynatrace|elastic|etherscan|etsy|"
    "facebook|fastly|figma|finicity|finnhub|firebase|fitbit|flickr|foursquare|freshbooks|giphy|github|gitlab|gitter|"
    "google_?maps|grafana|heroku|honeycomb|hubspot|infura|instagram|intercom|ipinfo|ipstack|jenkins|jfrog|jira|keen|"
    "klaviyo|kraken|kucoin|lastfm|launchdarkly|linkedin|linode|lob|loggly|logz|mailchimp|mailgun|mailjet|mandrill|"
    "mapbox|mapquest|mattermost|meraki|messagebird|mixpanel|netlify|new_?relic|newsapi|ngrok|nytimes|okta|onesignal|"
    "openweather|opsgenie|pagerduty|papertrail|paypal|paystack|pinecone|plaid|plivo|postmark|pubnub|pusher|quandl|"
    "rapidapi|razorpay|recaptcha|rollbar|salesforce|sauce|segment|sendbird|sendgrid|sentry|shodan|shopify|slack|snyk|"
    "sonar|soundcloud|sourcegraph|splunk|spotify|squarespace|stripe|strava|sumo|telegram|tiingo|tomtom|travis|trello|"
    "tumblr|twilio|twitch|twitter|typeform|unsplash|vercel|vimeo|virustotal|vultr|wakatime|wandb|webex|wistia|xero|"
    "yandex|yelp|youtube|zapier|zendesk|zoho|zoom"
)
_HEX_LENGTHS = frozenset((32, 37, 40, 48, 64))


def may_hold(text: str, runs: list[str]) -> bool:
    """Whether one of `runs`, the long words of `text`, could be a literal and random: mixed, but no UUID."""
    if "=" not in text and '"' not in text and "'" not in text:
        return False
    for run in runs:
        if run.isalnum():
            if not run.isalpha() and not run.isdigit():
                return True
        elif run[8:9] != "-" and "." not in run and run != run.lower():
            return True
    return False


def find(text: str, lowered: str) -> Iterator[PiiSpan]:
    """Random literals in a telling neighbourhood; `lowered` is `text` in lower case and of the same length."""
    for match in _LITERAL.finditer(text):
        start = match.start("value")
        before = lowered[max(0, start - _REACH) : start]
        if _is_secret(match["value"], before):
            yield PiiSpan(start, match.end("value"), PiiKind.SECRET)


def _is_secret(value: str, before: str) -> bool:
    if value.isalpha() or value.isdigit() or _is_ordinary(before):
        return False
    if secret_values.is_id(value):
        return (len(value) in _HEX_LENGTHS or "-" in value) and _PROVIDERS.search(before) is not None
    if not _is_mixed(value) or not secret_values.looks_random(value, least=15):
        return False
    if secret_values.is_placeholder(value) or secret_values.is_reference(value):
        return False
    return _KEYISH.search(before) is not None or _PROVIDERS.search(before) is not None


def _is_ordinary(before: str) -> bool:
    name = _NAME_BEFORE.match(before[::-1])
    return name is not None and (name[1][::-1] in _ORDINARY or name[1].startswith("di"))


def _is_mixed(value: str) -> bool:
    """Beyond a version, a date or a generated name: at least a fifth digits or both cases."""
    digits = sum(map(str.isdigit, value))
    return digits >= 3 and (value != value.lower() or digits * 5 >= len(value)) and secret_values.changes(value) >= 0.3
